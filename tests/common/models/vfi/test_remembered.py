"""The memory of motion: what it returns is what the engine finds, and it never takes more than it may."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from common.models.vfi.design import DisEngine
from common.models.vfi.flow import Warped
from common.models.vfi.remembered import RememberedMotion
from common.models.vfi.triplets import TripletArray

TRIPLETS = np.random.default_rng(5).integers(0, 256, (6, 3, 32, 48, 3), dtype=np.uint8)
BYTES = DisEngine().warp(TRIPLETS[:1]).nbytes  # of one triplet


class Counting:
    """An engine that says how many triplets it was asked for."""

    further = 0

    def __init__(self) -> None:
        self.asked = 0

    def warp(self, triplets: TripletArray) -> Warped:
        self.asked += len(triplets)
        return DisEngine().warp(triplets)


def same(one: Warped, other: Warped) -> bool:
    pairs = zip(
        (one.plain, one.refined, one.motion, one.further),
        (other.plain, other.refined, other.motion, other.further),
        strict=True,
    )
    return all(np.array_equal(mine, yours) and mine.dtype == yours.dtype for mine, yours in pairs)


@given(st.lists(st.lists(st.integers(0, 5), max_size=6), max_size=6), st.integers(0, 7 * BYTES))
def test_whatever_is_asked_in_whatever_order_the_answer_is_the_engines(asked: list[list[int]], most: int) -> None:
    engine = Counting()
    memory = RememberedMotion(engine, most)
    for places in asked:
        chosen = TRIPLETS[places]
        assert same(memory.warp(chosen), DisEngine().warp(chosen))
    room = most // BYTES
    distinct = len({place for places in asked for place in places})
    total = sum(len(places) for places in asked)
    assert distinct <= engine.asked <= total
    if distinct <= room and all(len(set(places)) == len(places) for places in asked):
        assert engine.asked == distinct


def test_middle_frames_are_not_seen_and_outer_ones_are() -> None:
    engine = Counting()
    memory = RememberedMotion(engine, 10 * BYTES)
    memory.warp(TRIPLETS[:1])
    other = TRIPLETS[:1].copy()
    other[0, 1] = 0
    memory.warp(other)
    assert engine.asked == 1
    other[0, 2, 0, 0, 0] ^= 1
    assert same(memory.warp(other), DisEngine().warp(other))
    assert engine.asked == 2


def test_what_is_changed_afterwards_does_not_change_what_is_remembered() -> None:
    memory = RememberedMotion(Counting(), 10 * BYTES)
    memory.warp(TRIPLETS[:2]).motion[:] = 7
    memory.warp(TRIPLETS[:1]).plain[:] = 7
    assert same(memory.warp(TRIPLETS[:2]), DisEngine().warp(TRIPLETS[:2]))


def test_a_full_memory_keeps_what_it_has() -> None:
    engine = Counting()
    memory = RememberedMotion(engine, 2 * BYTES)
    memory.warp(TRIPLETS)
    assert engine.asked == 6
    memory.warp(TRIPLETS[:2])
    assert engine.asked == 6
    memory.warp(TRIPLETS[2:4])
    assert engine.asked == 8
