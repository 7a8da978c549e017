"""The gate: what is promoted, and what is not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from common.features import FloatArray
from common.models.bounds import lower_bound, lower_bound_of_excess
from common.models.gate import Comparison, Decision, Scores, decide, digests_of
from common.models.proof import Proof

decibels = st.floats(-20, 20, width=32)
differences = arrays.arrays(np.float32, st.integers(4, 60), elements=decibels)
GOOD = Proof(True, "fine", 1.0, 0.9, 120)


def scores(gains: FloatArray, *, name: str = "s", over: float = 5.0, level: float = 30.0) -> Scores:
    """Scores of a champion at `level`, and of references that are `over` below the challenger."""
    champion = np.full(len(gains), level, np.float32)
    challenger = champion + gains
    references = {"average": challenger - np.float32(over) - 1, "dis": challenger - np.float32(over)}
    return Scores(champion, challenger, references, frozenset(f"{name}{i}" for i in range(len(gains))))


def compared(gains: Mapping[str, FloatArray], losses: FloatArray) -> Comparison:
    stretches = {name: scores(row, name=name) for name, row in gains.items()}
    return Comparison(stretches, scores(-losses, name="golden"), frozenset({"elsewhere"}), {"c1": GOOD})


def verdict(comparison: Comparison) -> Decision:
    return decide(comparison, min_gain_db=0.05, max_loss_db=0.5)


def judge(gains: FloatArray, losses: FloatArray) -> Decision:
    return verdict(compared({"night": gains}, losses))


def spread(mean: float, sigma: float, count: int = 24, seed: int = 0) -> FloatArray:
    """`count` differences of exactly this mean."""
    numbers = np.random.default_rng(seed).normal(0.0, sigma, count)
    return (numbers - numbers.mean() + mean).astype(np.float32)


NO_LOSS = np.zeros(12, np.float32)


def test_a_clear_gain_without_loss_is_promoted() -> None:
    decision = judge(spread(0.5, 0.2), NO_LOSS)
    assert decision.promote, decision.reason
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
    assert "golden footage may lose" in decision.reason
    assert decision.loss_db == pytest.approx(1.0, abs=1e-4)


def test_a_gain_that_golden_footage_shares_is_training_and_no_healing() -> None:
    decision = judge(spread(0.3, 0.1), spread(-0.3, 0.1, count=12))
    assert not decision.promote
    assert "training, not healing" in decision.reason
    assert judge(spread(0.8, 0.1), spread(-0.3, 0.1, count=12)).promote


@pytest.mark.parametrize("reference", ["average", "dis"])
def test_a_challenger_that_is_not_above_a_reference_is_rejected_and_the_reference_named(reference: str) -> None:
    good = compared({"night": spread(0.5, 0.1)}, NO_LOSS)
    night = good.stretches["night"]
    equal = replace(night, references={**night.references, reference: night.challenger + spread(0.0, 0.1)})
    decision = verdict(replace(good, stretches={"night": equal}))
    assert not decision.promote
    assert f"not surely above {reference}" in decision.reason


def test_one_stretch_without_gain_is_not_carried_by_the_others() -> None:
    both = {"noisy": spread(2.0, 0.2), "covered": spread(0.0, 0.1)}
    decision = verdict(compared(both, NO_LOSS))
    assert not decision.promote
    assert "no sure gain on covered" in decision.reason
    assert verdict(compared({**both, "covered": spread(0.5, 0.1)}, NO_LOSS)).promote


def test_held_out_examples_that_were_trained_on_are_no_evidence() -> None:
    good = compared({"night": spread(0.5, 0.1)}, NO_LOSS)
    decision = verdict(replace(good, trained_on=frozenset({"night3"})))
    assert not decision.promote
    assert "1 held-out examples of night were trained on" in decision.reason
    assert not verdict(replace(good, trained_on=frozenset({"golden3"}))).promote


def test_a_live_condition_that_the_challenger_fails_is_named() -> None:
    good = compared({"night": spread(0.5, 0.1)}, NO_LOSS)
    failed = Proof(False, "not surely above dis", -0.2, -0.3, 120)
    decision = verdict(replace(good, live={"c1": GOOD, "c2": failed}))
    assert not decision.promote
    assert "live condition c2: not surely above dis" in decision.reason


def test_too_few_examples_promote_nothing() -> None:
    assert "only 3 examples" in judge(np.ones(3, np.float32), NO_LOSS).reason
    assert not judge(np.ones(12, np.float32), np.zeros(0, np.float32)).promote
    assert not verdict(compared({}, NO_LOSS)).promote


def test_scores_that_are_not_finite_promote_nothing() -> None:
    assert "not finite" in judge(np.full(12, np.nan, np.float32), NO_LOSS).reason
    assert not judge(np.ones(12, np.float32), np.full(12, np.nan, np.float32)).promote
    assert not judge(np.full(12, np.inf, np.float32), NO_LOSS).promote


@given(differences, differences)
def test_what_is_promoted_gains_enough_and_loses_little(gains: FloatArray, losses: FloatArray) -> None:
    decision = judge(gains, losses)
    if decision.promote:
        assert decision.gain_db >= 0.05
        assert decision.loss_db <= 0.5


@given(differences, differences, st.floats(0.5, 20, width=32))
def test_more_gain_on_drifted_footage_is_never_judged_worse(gains: FloatArray, losses: FloatArray, more: float) -> None:
    if judge(gains, losses).promote:
        assert judge(gains + np.float32(more), losses).promote


@given(differences, differences, st.floats(0.5, 20, width=32))
def test_more_loss_never_turns_a_refusal_into_a_promotion(gains: FloatArray, losses: FloatArray, more: float) -> None:
    losses = losses - min(float(losses.mean()), 0.0)  # a gain on golden footage is another matter: it may be training
    if not judge(gains, losses).promote:
        assert not judge(gains, losses + np.float32(more)).promote


@given(differences, differences)
def test_a_failed_proof_never_turns_a_refusal_into_a_promotion(gains: FloatArray, losses: FloatArray) -> None:
    comparison = compared({"night": gains}, losses)
    assert not verdict(replace(comparison, live={"c1": replace(GOOD, proved=False)})).promote


@given(differences, differences)
def test_the_bounds_are_no_higher_than_the_mean(values: FloatArray, others: FloatArray) -> None:
    mean, other = (float(np.mean(row, dtype=np.float64)) for row in (values, others))
    assert lower_bound(values) <= mean + 1e-6
    assert lower_bound_of_excess(values, others) <= mean - other + 1e-6


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


def test_a_digest_is_of_one_example_and_its_content() -> None:
    examples = np.random.default_rng(0).integers(0, 256, (5, 3, 4, 6, 3), dtype=np.uint8)
    assert len(digests_of(examples)) == 5
    assert digests_of(examples[::-1]) == digests_of(examples)
    assert not digests_of(examples[:2]) & digests_of(examples[2:])
