"""Betting on paired differences: its laws, and how often it errs on differences whose mean is known."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from common.drift.intervals import most_share
from common.features import FloatArray
from common.models.betting import BLOCK, CLIP_DB, Bets, Finding, bet, spent_error

decibels = st.floats(-3, 3, width=32)
differences = arrays.arrays(np.float32, st.integers(0, 25 * BLOCK), elements=decibels)
errors = st.floats(1e-6, 0.2)
leasts = st.floats(-1, 1)
RUNS = 400


def found(rows: npt.NDArray[np.float64], least_db: float, number: int = 1) -> list[Finding]:
    return [bet(row.astype(np.float32), least_db, error=spent_error(0.05, number)).finding for row in rows]


def wandering(mean: float, spread: float, count: int, *, rho: float = 0.0, seed: int = 0) -> npt.NDArray[np.float64]:
    """Return (RUNS, count) differences of this mean and spread, of which neighbours correlate by `rho` (AR(1))."""
    numbers = np.random.default_rng(seed).normal(0.0, 1.0, (RUNS, count))
    for i in range(1, count):
        numbers[:, i] = rho * numbers[:, i - 1] + math.sqrt(1.0 - rho**2) * numbers[:, i]
    return mean + spread * numbers


# --- laws


@given(differences, leasts, errors)
def test_a_fortune_is_never_lost_altogether(gains: FloatArray, least: float, error: float) -> None:
    bets = bet(gains, least, error=error)
    assert all(fortune > 0.0 for fortune in (*bets.for_it, *bets.against_it))
    assert len(bets.for_it) == len(bets.against_it) == bets.examples // BLOCK <= len(gains) // BLOCK


@given(differences, leasts, errors, st.floats(0, 5, width=32))
def test_more_gain_never_turns_above_into_below(gains: FloatArray, least: float, error: float, more: float) -> None:
    if bet(gains, least, error=error).finding is Finding.ABOVE:
        assert bet(gains + np.float32(more), least, error=error).finding is not Finding.BELOW


@given(differences, leasts, errors, st.integers(1, BLOCK))
def test_what_fills_no_block_changes_nothing_but_the_mean(
    gains: FloatArray, least: float, error: float, block: int
) -> None:
    whole = len(gains) // block * block
    all_of_it, filled = bet(gains, least, error=error, block=block), bet(gains[:whole], least, error=error, block=block)
    assert (all_of_it.finding, all_of_it.examples) == (filled.finding, filled.examples)
    assert (all_of_it.for_it, all_of_it.against_it) == (filled.for_it, filled.against_it)


@given(differences, leasts, errors, st.integers(0, 25))
def test_an_early_look_that_decides_agrees_with_all_that_come_later(
    gains: FloatArray, least: float, error: float, blocks: int
) -> None:
    early, late = bet(gains[: blocks * BLOCK], least, error=error), bet(gains, least, error=error)
    if early.finding is not Finding.OPEN:
        assert (early.finding, early.examples, early.for_it) == (late.finding, late.examples, late.for_it)
    else:
        assert late.for_it[: len(early.for_it)] == early.for_it


@given(differences, leasts, errors)
def test_what_is_found_above_has_the_fortune_that_it_needs_and_a_mirror_finds_it_below(
    gains: FloatArray, least: float, error: float
) -> None:
    bets = bet(gains, least, error=error, early_error=error)
    assert (bets.finding is Finding.ABOVE) == (bool(bets.for_it) and bets.for_it[-1] >= bets.needed)
    mirrored = bet(-gains, -least, error=error, early_error=error)
    opposite = {Finding.ABOVE: Finding.BELOW, Finding.BELOW: Finding.ABOVE, Finding.OPEN: Finding.OPEN}
    assert mirrored.finding is opposite[bets.finding]


@given(differences, leasts, st.integers(1, 30), st.integers(1, 30))
def test_a_later_decision_asks_for_no_less(gains: FloatArray, least: float, number: int, more: int) -> None:
    late = bet(gains, least, error=spent_error(0.05, number + more))
    if late.finding is Finding.ABOVE:
        assert bet(gains, least, error=spent_error(0.05, number)).finding is Finding.ABOVE


@given(differences, leasts, errors)
def test_no_difference_counts_for_more_than_the_clip(gains: FloatArray, least: float, error: float) -> None:
    clipped = np.clip(gains.astype(np.float64) - least, -CLIP_DB, CLIP_DB) + least
    one, other = bet(gains, least, error=error), bet(clipped, least, error=error)
    assert np.allclose(one.for_it, other.for_it, rtol=1e-4)


def test_the_first_block_is_bet_on_before_anything_is_known_so_it_wins_nothing() -> None:
    assert bet(np.ones(BLOCK, np.float32), 0.0, error=0.05).for_it == (1.0,)


def test_all_decisions_of_a_model_together_spend_the_error() -> None:
    assert sum(spent_error(0.05, number) for number in range(1, 20_000)) == pytest.approx(0.05, rel=0.005)
    with pytest.raises(ValueError, match="counted from 1"):
        spent_error(0.05, 0)


def test_the_text_has_the_figures() -> None:
    bets: Bets = bet(np.full(200, 0.31, np.float32), 0.05, error=0.01)
    assert bets.text.startswith(f"+0.31 dB on {bets.examples} examples, ")
    assert bets.text.endswith(" to 1 for more than +0.05")


# --- errors and power; benchmarks/gate.py has more runs


@pytest.mark.parametrize("spread", [0.1, 0.3, 1.0])
@pytest.mark.parametrize("rho", [0.0, 0.5])
def test_no_gain_is_hardly_ever_found_to_be_one(spread: float, rho: float) -> None:
    false = found(wandering(0.0, spread, 300, rho=rho), 0.1).count(Finding.ABOVE)
    assert most_share(false, RUNS) <= 0.02


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.8])
def test_a_gain_just_below_the_least_is_seldom_found_above_it(rho: float) -> None:
    false = found(wandering(0.09, 0.3, 300, rho=rho), 0.1).count(Finding.ABOVE)
    assert false / RUNS <= 0.05


@pytest.mark.parametrize(("number", "count", "least"), [(1, 300, 0.95), (20, 600, 0.90)])
@pytest.mark.parametrize("rho", [0.0, 0.5])
def test_a_gain_as_large_as_its_spread_is_found(number: int, count: int, least: float, rho: float) -> None:
    missed = RUNS - found(wandering(0.3, 0.3, count, rho=rho), 0.1, number).count(Finding.ABOVE)
    assert most_share(missed, RUNS) <= 1.0 - least


def test_a_hopeless_case_ends_early() -> None:
    rows = wandering(-0.2, 0.3, 300)
    bets = [bet(row.astype(np.float32), 0.1, error=0.03) for row in rows]
    assert np.mean([row.finding is Finding.BELOW for row in bets]) > 0.95
    assert np.median([row.examples for row in bets]) <= 100
