"""The spool: never more than its bound, what goes first, and what a restart finds."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from producers.cameras.segments import Segment, folder_name, segment_at
from producers.cameras.spool import Spool, remove_spool

BEGAN = 1_800_000_000
SIZE = 100


def segment(root: Path, stream: str, number: int, size: int = SIZE) -> Segment:
    folder = root / folder_name(stream)
    folder.mkdir(parents=True, exist_ok=True)
    name = datetime.fromtimestamp(BEGAN + 10 * number, UTC).strftime("%Y-%m-%dT%H-%M-%S.%fZ.mp4")
    (folder / name).write_bytes(b"x" * size)
    made = segment_at(stream, folder / name)
    assert made is not None
    return made


def filled(root: Path, most: int, kinds: str, stream: str = "dock") -> tuple[Spool, list[Segment]]:
    """Return a spool with a segment per letter: `w`aiting, being judged (`b`), or judged (`d`)."""
    spool = Spool(root, most * SIZE)
    made = [segment(root, stream, number) for number in range(len(kinds))]
    for kind, one in zip(kinds, made, strict=True):
        spool.add(one)
        if kind != "w":
            spool.handed_in(one)
        if kind == "d":
            spool.judged(one)
    return spool, made


def left(made: list[Segment]) -> list[int]:
    return [number for number, one in enumerate(made) if one.path.exists()]


@pytest.mark.parametrize(
    ("kinds", "most", "since", "expected", "lost"),
    [
        ("ddbbww", 6, None, [0, 1, 2, 3, 4, 5], 0),
        ("ddbbww", 4, None, [2, 3, 4, 5], 0),
        ("ddbbww", 3, None, [2, 3, 5], 1),
        ("ddbbww", 2, None, [2, 3], 2),
        ("ddbbww", 1, None, [3], 3),
        ("ddddww", 4, 0, [2, 3, 4, 5], 0),  # half of the bound is for the incident
        ("dddd", 3, 30, [1, 2, 3], 0),
        ("ddw", 2, 0, [1, 2], 0),
    ],
)
def test_what_goes_first(
    tmp_path: Path, kinds: str, most: int, since: int | None, expected: list[int], lost: int
) -> None:
    spool, made = filled(tmp_path, most, kinds)
    spool.make_room({} if since is None else {"dock": BEGAN + 60 + 10 * since})
    assert left(made) == expected
    assert spool.lost.get("dock", 0) == lost
    assert spool.size == SIZE * len(expected)


def test_footage_of_an_open_incident_outlives_what_waits_up_to_half_of_the_bound(tmp_path: Path) -> None:
    spool, made = filled(tmp_path, 4, "ddddwwww")
    spool.make_room({"dock": float(BEGAN)})
    assert left(made) == [2, 3, 6, 7]
    assert spool.lost == {"dock": 2}


def test_a_loss_is_said_with_what_to_do(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spool, _ = filled(tmp_path, 1, "wwww")
    spool.make_room({})
    (record,) = caplog.records
    assert "SENTINEL_SPOOL_MB" in record.getMessage() and "dock" in record.getMessage()


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("wbd"), st.integers(0, 300)), max_size=40))
@hypothesis_settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_comes_the_spool_keeps_its_bound_and_counts_what_is_there(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, int]]
) -> None:
    root = tmp_path_factory.mktemp("spool")
    spool = Spool(root, 1000)
    for number, (stream, kind, size) in enumerate(rows):
        one = segment(root, stream, number, size)
        spool.add(one)
        if kind != "w":
            spool.handed_in(one)
        if kind == "d":
            spool.judged(one)
        spool.make_room({"a": float(BEGAN)})
        there = sum(file.stat().st_size for file in root.glob("*/*.mp4"))
        assert spool.size == there <= 1000
        shelves = spool.shelves.values()
        assert sum(len(s.waiting) + len(s.judging) + len(s.judged) for s in shelves) == len(list(root.glob("*/*.mp4")))


def test_a_restart_finds_what_waits_and_removes_what_was_cut_off(tmp_path: Path) -> None:
    made = [segment(tmp_path, "dock", number) for number in range(3)]
    other = segment(tmp_path, "gone", 1)
    torn = made[0].path.with_name(".unfinished.mp4")
    torn.write_bytes(b"half")
    (made[0].path.parent / "note.txt").write_text("a stranger's")
    spool = Spool(tmp_path, 3 * SIZE)
    spool.open({"dock"}, counted_before=BEGAN + 5)
    assert spool.shelf("dock").waiting == made[1:], "the first may have been counted and forgotten"
    assert not torn.exists()
    spool.make_room({})
    assert not made[0].path.exists() and other.path.exists()
    remove_spool(tmp_path, "dock")
    assert not made[2].path.exists() and other.path.exists()
