"""The judge on synthetic features: correct, monotone in severity, independent of scale, clear when it refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.contracts.feature_groups import FeatureGroup
from common.contracts.verdicts import Cause, Status
from common.drift.baseline import Baseline
from common.drift.calibration import ks_p_value
from common.drift.fitting import fit_baseline
from common.errors import BadBaseline, BadMessage
from common.features import FeatureBlock
from tests.common.drift.footage import FEATURE_SPEC, GROUPS, RULE, changed, fitted, footage, judge

GOLDEN = footage(600, seed=1)
BASELINE = fitted(GOLDEN)


def scores(shift: float, noise: float = 0.0) -> list[float]:
    return [
        judge(BASELINE, footage(RULE.frames, seed=100 + i, shift=shift, noise=noise)).drift_score for i in range(10)
    ]


def test_clean_windows_pass() -> None:
    verdicts = [judge(BASELINE, footage(RULE.frames, seed=1000 + i)) for i in range(200)]
    assert sum(v.status is Status.FAIL for v in verdicts) <= 4
    assert sum(v.p_value < 0.05 for v in verdicts) <= 14


def test_a_shifted_embedding_fails_as_new_content() -> None:
    verdict = judge(BASELINE, footage(RULE.frames, seed=7, shift=3.0))
    assert verdict.status is Status.FAIL
    assert verdict.cause is Cause.NEW_CONTENT
    assert [group.group for group in verdict.feature_groups] == ["embedding", "quality"]


def test_a_noisier_picture_fails_as_noise_and_names_the_sensor() -> None:
    verdict = judge(BASELINE, footage(RULE.frames, seed=7, noise=1.5))
    assert verdict.status is Status.FAIL
    assert verdict.cause is Cause.NOISE
    assert verdict.leading_features[0].feature == "noise"
    assert verdict.leading_features[0].shift > 5
    assert len(verdict.worst_frames) == 3


def test_the_score_grows_with_severity() -> None:
    medians = [float(np.median(scores(0.0, noise))) for noise in (0.0, 0.8, 1.5, 3.0)]
    assert medians == sorted(medians)
    assert medians[0] < 0.1
    assert medians[-1] > 0.6


@pytest.mark.parametrize("frame", [3, 6, 9])
def test_a_fail_says_when_the_change_began(frame: int) -> None:
    before, after = footage(RULE.frames, seed=7), footage(RULE.frames, seed=7, noise=2.0)
    verdict = judge(BASELINE, FeatureBlock.concatenate([before[:frame], after[frame:]]))
    assert verdict.status is Status.FAIL
    assert verdict.began is not None
    assert verdict.began.time == pytest.approx(after.times[frame], abs=0.11)
    older = judge(BASELINE, after)
    assert older.began is not None
    assert older.began.time == after.times[0], "it began before the window did"
    passed = judge(BASELINE, before)
    assert (passed.began, passed.cause) == (None, None)


@settings(max_examples=15, deadline=None)
@given(st.floats(0.01, 100.0))
def test_the_embeddings_scale_does_not_matter(factor: float) -> None:
    def scaled(block: FeatureBlock) -> FeatureBlock:
        return changed(block, embedding=(block.groups["embedding"] * factor).astype(np.float32))

    window = footage(RULE.frames, seed=5, shift=1.0)
    one = judge(BASELINE, window).feature_groups[0].drift_score
    assert judge(fitted(scaled(GOLDEN)), scaled(window)).feature_groups[0].drift_score == pytest.approx(one, abs=1e-3)


def test_both_conditions_are_needed_to_fail() -> None:
    window = footage(RULE.frames, seed=7, noise=1.5)
    assert judge(BASELINE, window, threshold=0.99).status is Status.PASS
    assert judge(BASELINE, window, p_value=0.0).status is Status.PASS


def test_constant_features_are_judged_without_dividing_by_zero() -> None:
    still = changed(GOLDEN, embedding=np.zeros_like(GOLDEN.groups["embedding"]))
    window = changed(footage(RULE.frames, seed=3), embedding=np.zeros((RULE.frames, 32), np.float32))
    assert judge(fitted(still), window).status is Status.PASS


def test_a_window_is_judged_by_the_clip_it_resembles() -> None:
    night = footage(600, seed=2, shift=6.0, noise=2.0)
    both = fitted(GOLDEN, night)
    assert judge(both, footage(RULE.frames, seed=9)).segment == "clip0"
    verdict = judge(both, footage(RULE.frames, seed=9, shift=6.0, noise=2.0))
    assert (verdict.segment, verdict.status) == ("clip1", Status.PASS)
    assert judge(both, footage(RULE.frames, seed=9, noise=2.0)).status is Status.FAIL, "noise is normal at night only"


def test_a_baseline_survives_storage_and_an_edit_changes_its_digest() -> None:
    again = Baseline.from_parts(BASELINE.to_manifest(), BASELINE.to_arrays())
    assert again.digest == BASELINE.digest
    window = footage(RULE.frames, seed=7, noise=1.5)
    assert judge(again, window) == judge(BASELINE, window)
    edited = {**BASELINE.to_arrays()}
    edited["0.quality.bound"] = edited["0.quality.bound"] * 2
    assert Baseline.from_parts(BASELINE.to_manifest(), edited).digest != BASELINE.digest
    del edited["0.embedding.values"]
    with pytest.raises(BadBaseline, match="lacks"):
        Baseline.from_parts(BASELINE.to_manifest(), edited)


def test_windows_that_do_not_fit_the_baseline_are_refused() -> None:
    with pytest.raises(BadMessage, match="window of 10 frames"):
        judge(BASELINE, footage(10, seed=1))
    narrow = footage(RULE.frames, seed=1)
    with pytest.raises(BadMessage, match="different feature specs"):
        judge(BASELINE, changed(narrow, embedding=narrow.groups["embedding"][:, :5]))
    broken = narrow.groups["embedding"].copy()
    broken[3, 3] = np.nan
    with pytest.raises(BadMessage, match="NaN"):
        judge(BASELINE, changed(narrow, embedding=broken))


def test_p_values_are_corrected_for_the_groups_that_there_are() -> None:
    """A group that changes nothing makes it harder for the others to be significant, by its number alone."""
    quality = next(group for group in GROUPS if group.name == "quality").model_copy(update={"steps_of": None})
    third = quality.model_copy(update={"name": "third"})

    def p_value(*groups: FeatureGroup) -> float:
        def having(block: FeatureBlock) -> FeatureBlock:
            return replace(block, groups={group.name: block.groups["quality"] for group in groups})

        baseline = fit_baseline(
            [("clip", having(footage(600, seed=1)))], name="n", feature_spec=FEATURE_SPEC, rule=RULE, groups=groups,
            created_at=0.0, libraries={},
        )  # fmt: skip
        verdict = judge(baseline, having(footage(RULE.frames, seed=7, noise=0.4)))
        assert [score.group for score in verdict.feature_groups] == [group.name for group in groups]
        return verdict.feature_groups[0].p_value

    alone = p_value(quality)
    assert 0 < alone < 0.5
    assert p_value(quality, third) == pytest.approx(2 * alone)


def test_p_values_fall_as_the_statistic_or_the_sample_grows() -> None:
    sizes = np.array([2.0, 5.0, 20.0])
    assert (np.diff(ks_p_value(np.array([0.8] * 3), sizes)) < 0).all()
    assert (np.diff(ks_p_value(np.array([0.2, 0.5, 0.9]), np.array([5.0] * 3))) < 0).all()
