"""The memory of a retraining is shared out before a frame is read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import NothingToLearnFrom
from common.models.kinds import load_kind
from common.models.material import FEWEST_HELD_OUT
from common.models.memory import Room

KIND = load_kind("vfi")
TRIPLET = (3, 216, 384, 3)
OWN = 3 * 216 * 384 * 3
WARPED = 216 * 384 * 16  # two warps twice, and the motion
GOLDEN = 240 * OWN + 120 * (OWN + WARPED)


def taken(count: int) -> int:
    """Return the bytes of a stretch of so many triplets, and of what is made of those that are trained on."""
    return count * OWN + len(KIND.split_stretch(count).training) * (OWN + WARPED)


def test_what_fits_is_read_whole() -> None:
    room = Room(KIND, 4000, stretches=3, conditions=4)
    assert [room.take(500, TRIPLET) for _ in range(3)] == [500, 500, 500]


def test_stretches_share_what_there_is_in_equal_parts() -> None:
    room = Room(KIND, 2400, stretches=5, conditions=0)
    counts = [room.take(500, TRIPLET) for _ in range(5)]
    assert all(150 < count < 500 for count in counts)
    assert max(counts) - min(counts) <= 5
    assert GOLDEN + sum(taken(count) for count in counts) <= 2400e6 < GOLDEN + sum(taken(c + 5) for c in counts)


def test_conditions_that_are_replayed_take_room() -> None:
    without, beside = (Room(KIND, 2000, stretches=4, conditions=count).take(500, TRIPLET) for count in (0, 4))
    assert beside < without


def test_where_there_is_no_room_for_enough_the_setting_is_named() -> None:
    room = Room(KIND, 1500, stretches=9, conditions=0)
    (fewest,) = {room.take(500, TRIPLET) for _ in range(3)}
    assert len(KIND.split_stretch(round(fewest / 1.5)).held_out) == FEWEST_HELD_OUT
    with pytest.raises(NothingToLearnFrom, match=r"MB are left: raise SENTINEL_RETRAIN_MEMORY_MB, or wait"):
        room.take(500, TRIPLET)


@given(st.integers(500, 20_000), st.integers(1, 40), st.integers(0, 20), st.integers(160, 1000))
def test_the_bound_holds_whatever_asks(most_mb: int, stretches: int, conditions: int, wanted: int) -> None:
    room = Room(KIND, most_mb, stretches=stretches, conditions=conditions)
    total = 0
    for _ in range(stretches):
        try:
            count = room.take(wanted, TRIPLET)
        except NothingToLearnFrom:
            continue
        assert count <= wanted
        total += taken(count)
    assert not total or GOLDEN + total <= most_mb * 1e6
