"""Comparing: what is scored of held-out examples, in which order, and how long the models take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.features import FloatArray
from common.models.betting import BLOCK
from common.models.comparing import (
    FIRST_LOOK,
    Comparison,
    Scores,
    compare,
    digests_of,
    looks,
    spread_blocks,
    time_side_by_side,
)
from common.models.protocols import Examples, Predictor
from common.models.vfi.kind import InterpolationKind


@dataclass
class Paper:
    """A model that nobody asks for more than time; `takes` seconds of `clock` per example."""

    takes: Sequence[float] = (0.0,)
    clock: list[float] = field(default_factory=lambda: [0.0])
    calls: int = 0

    def predict(self, examples: Examples) -> npt.NDArray[np.uint8]:
        self.clock[0] += self.takes[self.calls % len(self.takes)] * len(examples)
        self.calls += 1
        return examples


class PaperKind(InterpolationKind):
    """The interpolation kind, but the first bytes of an example are the scores of champion and challenger."""

    scored: int = 0

    def score(self, predictors: Sequence[Predictor], examples: Examples) -> FloatArray:
        self.scored += len(examples)
        rows = [examples[:, 0] / 10.0, examples[:, 1] / 10.0, *(np.zeros(len(examples)) for _ in predictors[2:])]
        return np.asarray(rows, np.float32)


def footage(count: int, champion: int = 200, challenger: int = 210) -> Examples:
    return np.array([(champion, challenger, i // 256, i % 256) for i in range(count)], np.uint8)


def compared(kind: PaperKind, stretch: Examples, *, is_open: Callable[[Scores], bool]) -> Comparison:
    return compare(
        kind,  # type: ignore[type-var]
        Paper(),
        Paper(),
        {"night": stretch},
        footage(30),
        trained_on=frozenset(),
        live={"noise of dock": footage(120)},
        lost={},
        is_open=is_open,
        max_slowdown=1.5,
    )


# --- looks


@given(st.integers(0, 1500))
def test_looks_take_each_whole_block_once_and_in_time_order_within(count: int) -> None:
    taken = np.concatenate(looks(count))
    assert len(taken) == len(set(taken)) == (count // BLOCK * BLOCK if count >= BLOCK else count)
    for block in taken[: len(taken) // BLOCK * BLOCK].reshape(-1, BLOCK):
        assert block[0] % BLOCK == 0
        assert (np.diff(block) == 1).all()


@given(st.integers(FIRST_LOOK, 1500))
def test_every_look_is_long_enough_for_a_proof_and_spread_over_the_stretch(count: int) -> None:
    for look in looks(count):
        assert len(look) >= FIRST_LOOK
        assert look[0] < 0.1 * count + BLOCK
        assert look[-1] >= 0.9 * count - 2 * BLOCK


@given(st.integers(0, 1500))
def test_what_is_kept_for_proving_again_is_whole_blocks_from_the_beginning_to_the_end(count: int) -> None:
    kept = spread_blocks(count, 120)
    assert len(set(kept)) == len(kept) == min(count, 120)
    assert count <= 120 or (kept[0] == 0 and kept[-1] >= count - BLOCK - count % BLOCK)


def test_a_stretch_is_scored_look_by_look_until_it_is_decided() -> None:
    stretch = footage(365)
    for is_open, scored in ((False, 120), (True, 360)):
        kind = PaperKind()
        found = compared(kind, stretch, is_open=lambda scores, answer=is_open: answer)
        night = found.stretches["night"]
        assert len(night.gains_db) == len(night.order) == len(night.digests) == scored
        assert kind.scored == scored + 30 + 120, "golden footage and conditions are scored once, all of them"
        assert digests_of(stretch[night.order]) == night.digests
        assert night.gains_db == pytest.approx(np.ones(scored))


def test_what_is_open_is_asked_with_all_that_was_scored_so_far() -> None:
    asked: list[int] = []

    def is_open(scores: Scores) -> bool:
        asked.append(len(scores.gains_db))
        return True

    compared(PaperKind(), footage(365), is_open=is_open)
    assert asked == [120, 240]


# --- latency


def test_models_are_timed_by_turns_and_the_fastest_round_of_each_counts() -> None:
    clock = [0.0]
    champion = Paper((9.0, 0.3, 0.2, 0.2, 0.5, 0.2), clock)  # the first call compiles
    challenger = Paper((9.0, 0.3, 7.0, 0.3, 0.3, 0.25), clock)
    latency = time_side_by_side(champion, challenger, footage(4), 1.5, lambda: clock[0])
    assert (latency.champion_ms, latency.challenger_ms) == (pytest.approx(200.0), pytest.approx(250.0))
    assert champion.calls == challenger.calls == 6


def test_a_challenger_that_the_machine_has_held_up_is_timed_again() -> None:
    clock = [0.0]
    champion, challenger = Paper((0.2,), clock), Paper((*[3.0] * 20, 0.2), clock)
    latency = time_side_by_side(champion, challenger, footage(4), 1.5, lambda: clock[0])
    assert latency.challenger_ms == pytest.approx(200.0)
    assert challenger.calls == 21


def test_a_challenger_that_is_slow_stays_slow_however_often_it_is_timed() -> None:
    clock = [0.0]
    champion, challenger = Paper((0.2,), clock), Paper((0.4,), clock)
    latency = time_side_by_side(champion, challenger, footage(4), 1.5, lambda: clock[0])
    assert (latency.champion_ms, latency.challenger_ms) == (pytest.approx(200.0), pytest.approx(400.0))
    assert challenger.calls < 100


def test_a_digest_is_of_one_example_and_its_content() -> None:
    examples = np.random.default_rng(0).integers(0, 256, (5, 3, 4, 6, 3), dtype=np.uint8)
    assert len(digests_of(examples)) == 5
    assert digests_of(examples[::-1]) == digests_of(examples)
    assert not digests_of(examples[:2]) & digests_of(examples[2:])
