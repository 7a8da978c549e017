"""The gate: what is promoted, what is refused, and what stays open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from common.contracts.decisions import GateOutcome
from common.features import FloatArray
from common.models.betting import spent_error
from common.models.bounds import lower_bound, lower_bound_of_excess
from common.models.comparing import Comparison, Latency, Scores
from common.models.gate import Decision, Rules, after_loss, decide, worst_mean
from common.settings import Settings

decibels = st.floats(-20, 20, width=32)
differences = arrays.arrays(np.float32, st.integers(4, 200), elements=decibels)
RULES = Rules(min_gain_db=0.05, max_loss_db=0.5, max_worst_loss_db=2.0, max_slowdown=1.5, error=spent_error(0.05, 1))
LENIENT = replace(RULES, max_worst_loss_db=100.0)
AS_FAST = Latency(10.0, 10.0)
PROMOTED, REFUSED, INCONCLUSIVE = GateOutcome.PROMOTED, GateOutcome.REFUSED, GateOutcome.INCONCLUSIVE


def scores(gains: FloatArray, *, name: str = "s", over: float = 5.0, level: float = 30.0) -> Scores:
    """Scores of a champion at `level`, and of references that are `over` below the challenger."""
    champion = np.full(len(gains), level, np.float32)
    challenger = champion + gains
    references = {"average": challenger - np.float32(over) - 1, "dis": challenger - np.float32(over)}
    digests = frozenset(f"{name}{i}" for i in range(len(gains)))
    return Scores(champion, challenger, references, digests, np.arange(len(gains)))


def compared(gains: Mapping[str, FloatArray], losses: FloatArray, live: FloatArray | None = None) -> Comparison:
    return Comparison(
        stretches={name: scores(row, name=name) for name, row in gains.items()},
        golden=scores(-losses, name="golden"),
        trained_on=frozenset({"elsewhere"}),
        latency=AS_FAST,
        live={} if live is None else {"noise of dock": scores(live, name="live")},
    )


def verdict(comparison: Comparison, rules: Rules = RULES) -> Decision:
    return decide(comparison, rules)


def judge(gains: FloatArray, losses: FloatArray, rules: Rules = RULES) -> Decision:
    return verdict(compared({"night": gains}, losses), rules)


def spread(mean: float, sigma: float, count: int = 150, seed: int = 0) -> FloatArray:
    """`count` differences of exactly this mean."""
    numbers = np.random.default_rng(seed).normal(0.0, sigma, count)
    return (numbers - numbers.mean() + mean).astype(np.float32)


NO_LOSS = np.zeros(100, np.float32)


# --- what is promoted


def test_a_clear_gain_without_loss_is_promoted() -> None:
    decision = judge(spread(0.5, 0.2), NO_LOSS)
    assert decision.promote, decision.reason
    assert decision.gain_db == pytest.approx(0.5, abs=1e-4)
    assert "to 1 for more than +0.05" in decision.reason


@pytest.mark.parametrize("kept", [12, 24, 48, 100])
def test_little_golden_footage_is_enough_where_it_loses_nothing(kept: int) -> None:
    """Blocks are smaller then, so that there are bets at all."""
    assert judge(spread(0.5, 0.2), NO_LOSS[:kept]).promote


def test_live_conditions_that_lose_little_are_kept() -> None:
    assert verdict(compared({"night": spread(0.5, 0.2)}, NO_LOSS, spread(-0.1, 0.2, 120))).promote


# --- what is refused


def test_a_gain_too_small_to_matter_is_refused_however_sure_it_is() -> None:
    decision = judge(np.full(10_000, 0.023, np.float32), NO_LOSS)
    assert decision.outcome is REFUSED
    assert "surely gains less than the 0.05 dB asked for" in decision.reason


def test_a_gain_bought_with_golden_footage_is_refused() -> None:
    decision = judge(spread(2.0, 0.2), spread(1.0, 0.1, count=100))
    assert decision.outcome is REFUSED
    assert "golden footage surely loses more than 0.50 dB" in decision.reason
    assert decision.loss_db == pytest.approx(1.0, abs=1e-4)


def test_a_live_condition_that_is_forgotten_is_refused_and_named() -> None:
    decision = verdict(compared({"night": spread(2.0, 0.2)}, NO_LOSS, spread(-1.0, 0.1, 120)))
    assert decision.outcome is REFUSED
    assert "live condition noise of dock surely loses more than 0.50 dB" in decision.reason


def test_promotions_together_lose_no_more_than_one_may() -> None:
    once = compared({"night": spread(0.5, 0.2)}, spread(0.3, 0.1, count=100), spread(-0.3, 0.1, 120))
    assert verdict(once).promote
    golden = verdict(replace(once, lost_db=0.3))
    assert golden.outcome is REFUSED
    assert "golden footage surely loses more than the 0.20 dB that promotions before it have left of 0.50" in (
        golden.reason
    )
    live = verdict(replace(once, live_lost_db={"noise of dock": 0.3}))
    assert "live condition noise of dock surely loses more than the 0.20 dB" in live.reason
    assert verdict(replace(once, live_lost_db={"low light of dock": 0.3})).promote, "of another condition"


@given(st.lists(decibels, max_size=30), st.floats(0.0625, 2, width=32))
def test_no_line_of_promotions_loses_more_than_is_allowed(losses: list[float], allowed: float) -> None:
    """The law, where what is surely lost is known: what was gained in between may be lost again."""
    rules = replace(RULES, max_loss_db=allowed)
    lost, level, highest = 0.0, 0.0, 0.0
    for loss in losses:
        if loss <= rules.left_db(lost):
            lost, level = after_loss(lost, loss), level - loss
            highest = max(highest, level)
            assert highest - level <= allowed + 1e-4


def test_a_gain_that_golden_footage_shares_is_training_and_no_healing() -> None:
    decision = judge(spread(0.3, 0.1), spread(-0.3, 0.1, count=100))
    assert decision.outcome is REFUSED
    assert "training, not healing" in decision.reason
    assert judge(spread(0.8, 0.1), spread(-0.3, 0.1, count=100)).promote


@pytest.mark.parametrize("reference", ["average", "dis"])
def test_a_challenger_that_is_not_above_a_reference_is_refused_and_the_reference_named(reference: str) -> None:
    good = compared({"night": spread(0.5, 0.1)}, NO_LOSS)
    night = good.stretches["night"]
    equal = replace(night, references={**night.references, reference: night.challenger + spread(0.0, 0.1)})
    decision = verdict(replace(good, stretches={"night": equal}))
    assert decision.outcome is REFUSED
    assert f"not surely above {reference}" in decision.reason


@pytest.mark.parametrize("where", ["stretch", "golden", "condition"])
def test_rare_disasters_are_refused_though_the_mean_is_fine(where: str) -> None:
    """One example in twenty-five loses 8 dB, of which the bets count half a decibel."""
    fine = {"stretch": spread(1.0, 0.1), "golden": NO_LOSS, "condition": spread(0.0, 0.1, 120)}
    rare = fine[where].copy()
    rare[::25] -= 8.0
    worse = {**fine, where: rare}
    assert verdict(compared({"night": fine["stretch"]}, -fine["golden"], fine["condition"])).promote
    decision = verdict(compared({"night": worse["stretch"]}, -worse["golden"], worse["condition"]))
    assert decision.outcome is REFUSED
    assert "the worst 5% of the examples of" in decision.reason


def test_a_challenger_that_takes_longer_is_refused() -> None:
    good = compared({"night": spread(0.5, 0.1)}, NO_LOSS)
    assert verdict(replace(good, latency=Latency(10.0, 14.9))).promote
    decision = verdict(replace(good, latency=Latency(10.0, 15.1)))
    assert decision.outcome is REFUSED
    assert "it takes 15.1 ms per example, the champion 10.0" in decision.reason


def test_one_stretch_without_gain_is_not_carried_by_the_others() -> None:
    both = {"noisy": spread(2.0, 0.2), "covered": spread(-0.2, 0.1)}
    decision = verdict(compared(both, NO_LOSS))
    assert decision.outcome is REFUSED
    assert "covered surely gains less" in decision.reason
    assert not verdict(compared({**both, "covered": spread(0.0, 0.1)}, NO_LOSS)).promote
    assert verdict(compared({**both, "covered": spread(0.5, 0.1)}, NO_LOSS)).promote


def test_held_out_examples_that_were_trained_on_are_no_evidence() -> None:
    good = compared({"night": spread(0.5, 0.1)}, NO_LOSS, spread(0.0, 0.1, 120))
    decision = verdict(replace(good, trained_on=frozenset({"night3"})))
    assert decision.outcome is REFUSED
    assert "1 held-out examples of night were trained on" in decision.reason
    assert not verdict(replace(good, trained_on=frozenset({"golden3"}))).promote
    assert not verdict(replace(good, trained_on=frozenset({"live3"}))).promote


def test_a_live_condition_that_the_challenger_fails_is_named() -> None:
    good = compared({"night": spread(0.5, 0.1)}, NO_LOSS)
    failed = scores(spread(0.0, 0.1, 120), name="live", over=-0.2)
    decision = verdict(replace(good, live={"noise of dock": failed}))
    assert decision.outcome is REFUSED
    assert "it fails live condition noise of dock: not surely above dis" in decision.reason
    decision = verdict(replace(good, lost={"noise of dock": "its footage is gone"}))
    assert decision.outcome is REFUSED
    assert "it fails live condition noise of dock: its footage is gone" in decision.reason


def test_too_few_examples_promote_nothing() -> None:
    assert "only 3 examples" in judge(np.ones(3, np.float32), NO_LOSS).reason
    assert not judge(np.ones(120, np.float32), np.zeros(0, np.float32)).promote
    assert not verdict(compared({}, NO_LOSS)).promote


def test_scores_that_are_not_finite_promote_nothing() -> None:
    assert "not finite" in judge(np.full(120, np.nan, np.float32), NO_LOSS).reason
    assert not judge(np.ones(120, np.float32), np.full(100, np.nan, np.float32)).promote
    assert not judge(np.full(120, np.inf, np.float32), NO_LOSS).promote


# --- what stays open


def test_a_gain_on_too_few_examples_is_inconclusive_and_more_of_the_same_promotes() -> None:
    decision = judge(spread(0.4, 0.3, count=40), NO_LOSS)
    assert decision.outcome is INCONCLUSIVE
    assert "inconclusive, night may gain less than asked for: later footage may say more" in decision.reason
    assert judge(spread(0.4, 0.3, count=240), NO_LOSS).promote


def test_one_stretch_that_is_open_is_not_carried_by_the_others() -> None:
    both = {"noisy": spread(2.0, 0.2), "short": spread(2.0, 0.2, count=30)}
    assert verdict(compared(both, NO_LOSS)).outcome is INCONCLUSIVE


def test_a_stretch_that_is_open_goes_on_with_the_other_footage_of_its_incident() -> None:
    short = {f"part {i}": spread(0.4, 0.3, count=40, seed=i) for i in range(4)}
    alone = compared(short, NO_LOSS)
    assert verdict(alone).outcome is INCONCLUSIVE
    assert verdict(replace(alone, incidents=dict.fromkeys(short, "one incident"))).promote
    assert not verdict(replace(alone, incidents={name: name for name in short})).promote


def test_a_stretch_that_gains_nothing_in_the_mean_is_not_carried_by_its_incident() -> None:
    parts = {"noisy": spread(2.0, 0.2, count=300), "covered": spread(0.0, 0.1, count=40)}
    found = compared(parts, NO_LOSS)
    assert not verdict(replace(found, incidents=dict.fromkeys(parts, "one incident"))).promote


def test_golden_footage_that_may_lose_too_much_is_inconclusive() -> None:
    decision = judge(spread(2.0, 0.2), spread(0.45, 0.5, count=100))
    assert decision.outcome is INCONCLUSIVE
    assert "golden footage may lose more than 0.50 dB" in decision.reason


def test_a_live_condition_that_may_lose_too_much_is_inconclusive() -> None:
    decision = verdict(compared({"night": spread(2.0, 0.2)}, NO_LOSS, spread(-0.45, 0.5, 120)))
    assert decision.outcome is INCONCLUSIVE
    assert "live condition noise of dock may lose more than 0.50 dB" in decision.reason


def test_later_decisions_about_a_model_ask_for_more(settings: Settings) -> None:
    gains = spread(0.3, 0.3, count=200)
    first, twentieth = Rules.of(settings, 1), Rules.of(settings, 20)
    assert judge(gains, NO_LOSS, first).promote
    assert judge(gains, NO_LOSS, twentieth).outcome is INCONCLUSIVE
    assert judge(spread(0.3, 0.3, count=600), NO_LOSS, twentieth).promote


# --- laws


@given(differences, differences)
def test_what_is_promoted_has_no_tail_beyond_the_bound(gains: FloatArray, losses: FloatArray) -> None:
    if judge(gains, losses).promote:
        assert worst_mean(gains) >= -2.0
        assert worst_mean(-losses) >= -2.0


@given(differences, differences, st.floats(0.5, 20, width=32))
def test_more_gain_on_drifted_footage_is_never_judged_worse(gains: FloatArray, losses: FloatArray, more: float) -> None:
    if judge(gains, losses, LENIENT).promote:
        assert judge(gains + np.float32(more), losses, LENIENT).outcome is not REFUSED


@given(differences, differences, st.floats(0.5, 20, width=32))
def test_more_loss_never_turns_a_refusal_into_a_promotion(gains: FloatArray, losses: FloatArray, more: float) -> None:
    losses = losses - min(float(losses.mean()), 0.0)  # a gain on golden footage is another matter: it may be training
    if judge(gains, losses).outcome is REFUSED:
        assert not judge(gains, losses + np.float32(more)).promote


@given(differences, differences)
def test_a_failed_proof_never_turns_a_refusal_into_a_promotion(gains: FloatArray, losses: FloatArray) -> None:
    comparison = compared({"night": gains}, losses)
    assert not verdict(replace(comparison, lost={"noise of dock": "gone"})).promote


@given(differences, differences)
def test_the_bounds_are_no_higher_than_the_mean(values: FloatArray, others: FloatArray) -> None:
    mean, other = (float(np.mean(row, dtype=np.float64)) for row in (values, others))
    assert lower_bound(values) <= mean + 1e-6
    assert lower_bound_of_excess(values, others) <= mean - other + 1e-6


@given(differences)
def test_the_worst_are_no_better_than_the_mean(values: FloatArray) -> None:
    assert float(values.min()) - 1e-4 <= worst_mean(values) <= float(np.mean(values, dtype=np.float64)) + 1e-4


def test_a_useless_challenger_is_hardly_ever_promoted_even_where_neighbours_are_alike() -> None:
    # Differences that wander (AR(1), rho 0.5) around no gain at all.
    numbers = np.random.default_rng(1)
    promoted = 0
    for _ in range(300):
        noise = numbers.normal(0.0, 0.3, 300)
        for i in range(1, len(noise)):
            noise[i] += 0.5 * noise[i - 1]
        promoted += judge(noise.astype(np.float32), NO_LOSS).promote
    assert promoted / 300 < 0.02


# --- a champion that decayed


def decayed(gains: FloatArray, golden: FloatArray) -> Decision:
    return verdict(replace(compared({"day": gains}, -golden), decayed=True))


def test_what_heals_decay_gains_on_clean_footage_and_golden_alike_and_is_promoted() -> None:
    stretch, golden = spread(0.8, 0.2), spread(0.8, 0.2, 100, seed=1)
    assert decayed(stretch, golden).promote
    trained_on = verdict(compared({"day": stretch}, -golden))
    assert not trained_on.promote and "training, not healing" in trained_on.reason, "of any other cause it is training"


@pytest.mark.parametrize("golden", [spread(0.0, 0.2, 100), spread(-0.4, 0.2, 100), NO_LOSS, spread(0.1, 1.0, 40)])
def test_decay_that_golden_footage_knows_nothing_of_is_no_decay(golden: FloatArray) -> None:
    decision = decayed(spread(0.8, 0.2), golden)
    assert decision.outcome is REFUSED
    assert "golden footage does not surely gain" in decision.reason


def test_a_champion_that_is_merely_trained_further_is_not_promoted_for_decay() -> None:
    assert not decayed(spread(0.02, 0.2), spread(0.02, 0.2, 100, seed=1)).promote
