"""Conditions: what they make pass, and the laws that keep them from hiding anything else."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.contracts.verdicts import Cause, Status
from common.drift.conditions import Condition, fit_condition, frames_needed
from common.errors import BadMessage, NothingToLearnFrom
from common.features import FeatureBlock
from tests.common.builders import condition_record
from tests.common.drift.footage import RULE, fitted, footage, judge

BASELINE = fitted(footage(600, seed=1))
NOISE, BLUR, SCENE = {"noise": 1.5}, {"sharpness": -1.5}, {"shift": 3.0}
law = settings(max_examples=40, deadline=None)


def drifted(frames: int, *, seed: int, noise: float = 0.0, sharpness: float = 0.0, shift: float = 0.0) -> FeatureBlock:
    """Footage whose readings of noise and sharpness, and whose content, differ from golden's by so much."""
    block = footage(frames, seed=seed, noise=noise, shift=shift)
    block.groups["quality"][:, 2] += sharpness
    return block


def window(seed: int, **drift: float) -> FeatureBlock:
    return drifted(RULE.frames, seed=seed, **drift)


def condition(name: str, cause: Cause, *, seed: int = 50, frames: int = 200, **drift: float) -> Condition:
    segment = fit_condition(name, drifted(frames, seed=seed, **drift), BASELINE, "clip0")
    return Condition(condition_record(name, cause=cause), segment)


NOISY = condition("noise", Cause.NOISE, **NOISE)
BLURRED = condition("blur", Cause.BLUR, **BLUR)
OTHER_SCENE = condition("scene", Cause.NEW_CONTENT, **SCENE)
ALL = (NOISY, BLURRED, OTHER_SCENE)

conditions = st.lists(st.sampled_from(ALL), unique=True)
drifts = st.fixed_dictionaries(
    {"noise": st.floats(0, 3), "sharpness": st.floats(-3, 0), "shift": st.floats(0, 4)}
)  # fmt: skip
seeds = st.integers(1000, 9000)


@law
@given(seeds, conditions)
def test_no_condition_ever_changes_a_golden_pass(seed: int, live: Sequence[Condition]) -> None:
    golden = judge(BASELINE, window(seed))
    if golden.status is Status.PASS:
        assert judge(BASELINE, window(seed), conditions=live) == golden


@law
@given(seeds, drifts)
def test_without_conditions_a_window_is_judged_by_golden_alone(seed: int, drift: dict[str, float]) -> None:
    golden = judge(BASELINE, window(seed, **drift))
    assert judge(BASELINE, window(seed, **drift), conditions=[]) == golden
    assert golden.condition is None


@law
@given(seeds, drifts, st.floats(0.2, 4.0), st.integers(100, 400))
def test_the_bounds_of_a_condition_are_nowhere_wider_than_its_own_or_golden_ones(
    seed: int, drift: dict[str, float], liveliness: float, frames: int
) -> None:
    """The smaller of both in each column, however restless or still the footage was."""
    block = drifted(frames, seed=seed, **drift)
    for values in (block.groups["embedding"], block.groups["quality"]):
        values[:] = values.mean(axis=0) + liveliness * (values - values.mean(axis=0))
    segment = fit_condition("c", block, BASELINE, "clip0")
    golden, own = BASELINE.segments[0], fitted(block).segments[0]
    assert (
        segment.groups["quality"].bounds.distance
        == np.minimum(own.groups["quality"].bounds.distance, golden.groups["quality"].bounds.distance)
    ).all()
    assert (
        segment.groups["quality"].bounds.size
        >= np.maximum(own.groups["quality"].bounds.size, golden.groups["quality"].bounds.size)
    ).all()
    assert (
        segment.groups["embedding"].spread
        == np.minimum(own.groups["embedding"].spread, golden.groups["embedding"].spread)
    ).all()
    # Distances of the embedding are in units of the spread: the bound in the unit of the features is narrower too.
    assert (segment.groups["embedding"].bounds.distance <= golden.groups["embedding"].bounds.distance).all()
    assert (segment.groups["embedding"].bounds.size >= golden.groups["embedding"].bounds.size).all()


@law
@given(seeds, drifts, conditions, st.randoms())
def test_a_window_passes_like_one_condition_or_fails_with_goldens_cause(
    seed: int, drift: dict[str, float], live: list[Condition], random: object
) -> None:
    """Whatever was filmed, and whichever conditions there are, in whatever order."""
    seen = window(seed, **drift)
    golden, judged = judge(BASELINE, seen), judge(BASELINE, seen, conditions=live)
    alone = [judge(BASELINE, seen, conditions=[one]) for one in live]
    if golden.status is Status.PASS:
        assert judged == golden
    elif judged.status is Status.FAIL:
        assert all(one.status is Status.FAIL for one in alone)
        assert (judged.cause, judged.began, judged.segment) == (golden.cause, golden.began, golden.segment)
        assert judged.worst_frames == golden.worst_frames
        assert judged.drift_score <= golden.drift_score
        assert judged.p_value >= golden.p_value
        assert judged.condition is None
    else:
        assert judged.condition is not None
        assert (judged.condition.golden_cause, judged.cause) == (golden.cause, None)
        assert (judged.condition.golden_score, judged.condition.golden_p_value) == (golden.drift_score, golden.p_value)
        assert any(one.condition == judged.condition for one in alone)
        assert judged.segment == golden.segment, "the golden segment, which a condition's record is fitted within"
    assert judge(BASELINE, seen, conditions=live[::-1]) == judged, "the order of conditions does not matter"


def test_later_footage_of_a_condition_passes_and_names_it() -> None:
    for known, drift in ((NOISY, NOISE), (BLURRED, BLUR), (OTHER_SCENE, SCENE)):
        judged = [judge(BASELINE, window(seed, **drift), conditions=ALL) for seed in range(300, 340)]
        named = [row.condition.id for row in judged if row.condition]
        assert set(named) == {known.record.id}
        assert len(named) >= 34, "85% of it"
        assert all(row.condition and row.condition.golden_score > 0.3 for row in judged if row.status is Status.PASS)


@pytest.mark.parametrize("severity", [0.5, 2.0])
def test_the_same_fault_of_another_severity_fails(severity: float) -> None:
    judged = [judge(BASELINE, window(seed, noise=1.5 * severity), conditions=[NOISY]) for seed in range(300, 320)]
    assert sum(row.status is Status.FAIL for row in judged) >= 18, "90% of it"
    assert {row.cause for row in judged if row.status is Status.FAIL} == {Cause.NOISE}


def test_another_fault_on_top_of_a_condition_fails() -> None:
    both = [judge(BASELINE, window(seed, **NOISE, **BLUR), conditions=ALL) for seed in range(300, 320)]
    assert all(row.status is Status.FAIL for row in both), "though each of the two is a condition"
    moved = [judge(BASELINE, window(seed, **NOISE, **SCENE), conditions=[NOISY]) for seed in range(300, 320)]
    assert all(row.status is Status.FAIL for row in moved)


def test_a_fail_reports_the_reference_that_it_is_closest_to() -> None:
    """It departs from all of them, so the weakest departure is what may be said: the least score, the largest p."""
    seen = window(300, noise=2.4)
    golden = judge(BASELINE, seen)
    near, far = judge(BASELINE, seen, conditions=[NOISY]), judge(BASELINE, seen, conditions=[OTHER_SCENE])
    assert near.status is far.status is Status.FAIL
    assert near.drift_score < far.drift_score <= golden.drift_score
    assert near.p_value >= far.p_value >= golden.p_value
    assert judge(BASELINE, seen, conditions=[NOISY, OTHER_SCENE]) == near


def test_footage_that_is_too_short_to_know_its_own_variation_is_refused() -> None:
    needed = frames_needed(RULE.frames)
    with pytest.raises(NothingToLearnFrom, match=rf"brief has {needed - 1} sampled frames.*needs {needed}"):
        fit_condition("brief", drifted(needed - 1, seed=1, **NOISE), BASELINE, "clip0")
    assert fit_condition("long", drifted(needed, seed=1, **NOISE), BASELINE, "clip0").summary.null_windows >= 4


def test_a_condition_is_bounded_by_the_golden_segment_that_its_footage_resembles() -> None:
    restless = footage(600, seed=2)
    restless.groups["quality"][:, 1] *= 3
    both = fitted(footage(600, seed=1), restless)
    block = drifted(300, seed=9, **NOISE)
    block.groups["quality"][:, 1] *= 3
    wide, narrow = (
        fit_condition("c", block, both, name).groups["quality"].bounds.distance for name in ("clip1", "clip0")
    )
    assert (narrow <= both.segments[0].groups["quality"].bounds.distance).all()
    assert (wide <= both.segments[1].groups["quality"].bounds.distance).all()
    assert (narrow < wide).any()


def test_footage_that_is_not_finite_becomes_no_condition() -> None:
    block = drifted(200, seed=1, **NOISE)
    block.groups["quality"][7, 1] = np.nan
    with pytest.raises(BadMessage, match="NaN"):
        fit_condition("broken", block, BASELINE, "clip0")
