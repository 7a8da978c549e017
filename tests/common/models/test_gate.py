"""The gate: what is promoted, and what is not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from common.features import FloatArray
from common.models.gate import Decision, decide, lower_bound
from common.models.vfi.scores import Scores, psnr_db, split_in_blocks

decibels = st.floats(-20, 20, width=32)
differences = arrays.arrays(np.float32, st.integers(4, 60), elements=decibels)


def judge(gains: FloatArray, losses: FloatArray, *, level: float = 30.0) -> Decision:
    scores = Scores(
        champion_drifted=np.full(len(gains), level, np.float32),
        challenger_drifted=level + gains,
        champion_golden=level + losses,
        challenger_golden=np.full(len(losses), level, np.float32),
    )
    return decide(scores, min_gain_db=0.05, max_loss_db=0.5)


def spread(mean: float, sigma: float, count: int = 24, seed: int = 0) -> FloatArray:
    """`count` differences of exactly this mean."""
    numbers = np.random.default_rng(seed).normal(0.0, sigma, count)
    return (numbers - numbers.mean() + mean).astype(np.float32)


NO_LOSS = np.zeros(12, np.float32)


def test_a_clear_gain_without_loss_is_promoted() -> None:
    decision = judge(spread(0.5, 0.2), NO_LOSS)
    assert decision.promote
    assert decision.gain_db == pytest.approx(0.5, abs=1e-4)


def test_a_gain_too_small_to_matter_is_rejected_however_sure_it_is() -> None:
    decision = judge(np.full(10_000, 0.023, np.float32), NO_LOSS)
    assert not decision.promote
    assert "0.05 dB" in decision.reason


def test_a_gain_that_may_be_an_accident_is_rejected() -> None:
    decision = judge(spread(0.2, 3.0, count=12), NO_LOSS)
    assert not decision.promote
    assert "accident" in decision.reason


def test_a_gain_bought_with_golden_footage_is_rejected() -> None:
    decision = judge(spread(2.0, 0.2), spread(1.0, 0.1, count=12))
    assert not decision.promote
    assert "golden" in decision.reason
    assert decision.loss_db == pytest.approx(1.0, abs=1e-4)


def test_too_few_triplets_promote_nothing() -> None:
    assert not judge(np.ones(3, np.float32), NO_LOSS).promote
    assert not judge(np.ones(12, np.float32), np.zeros(0, np.float32)).promote


def test_scores_that_are_not_finite_promote_nothing() -> None:
    assert not judge(np.full(12, np.nan, np.float32), NO_LOSS).promote
    assert not judge(np.ones(12, np.float32), np.full(12, np.nan, np.float32)).promote


@given(differences, differences)
def test_what_is_promoted_gains_enough_and_loses_little(gains: FloatArray, losses: FloatArray) -> None:
    decision = judge(gains, losses)
    if decision.promote:
        assert decision.gain_db >= 0.05
        assert decision.loss_db <= 0.5


@given(differences, differences, st.floats(0.5, 20, width=32))
def test_a_better_challenger_is_never_judged_worse(gains: FloatArray, losses: FloatArray, more: float) -> None:
    if judge(gains, losses).promote:
        assert judge(gains + np.float32(more), losses - np.float32(more)).promote


@given(differences)
def test_the_lower_bound_is_no_higher_than_the_mean(values: FloatArray) -> None:
    assert lower_bound(values) <= float(np.mean(values, dtype=np.float64)) + 1e-6


def test_a_useless_challenger_is_seldom_promoted_even_where_neighbours_are_alike() -> None:
    # Differences that wander (AR(1), rho 0.5) around no gain at all.
    numbers = np.random.default_rng(1)
    promoted = 0
    for _ in range(300):
        noise = numbers.normal(0.0, 0.3, 60)
        for i in range(1, len(noise)):
            noise[i] += 0.5 * noise[i - 1]
        promoted += judge(noise.astype(np.float32), NO_LOSS).promote
    assert promoted / 300 < 0.10


@given(st.integers(0, 400))
def test_held_out_triplets_are_kept_apart_from_those_trained_on(count: int) -> None:
    split = split_in_blocks(count)
    assert len(split.held_out) >= count / 4 - 1
    assume(len(split.training) > 0 and len(split.held_out) > 0)
    assert np.abs(split.training[:, None] - split.held_out[None]).min() > 2


@given(st.integers(12, 400))
def test_footage_that_is_long_enough_has_triplets_for_both(count: int) -> None:
    split = split_in_blocks(count)
    assert len(split.training) >= 4
    assert len(split.held_out) >= 4


def test_psnr_is_that_of_the_textbook() -> None:
    truth = np.full((1, 8, 8, 3), 100, np.uint8)
    assert psnr_db(truth + np.uint8(1), truth)[0] == pytest.approx(48.1308, abs=1e-3)
    assert psnr_db(truth, truth)[0] == pytest.approx(58.92, abs=0.01)
