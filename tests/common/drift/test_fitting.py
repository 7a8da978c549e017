"""Fitting a baseline to golden footage, extending one, and the footage that is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from common.contracts.verdicts import Status
from common.drift.fitting import extend_baseline
from common.drift.judge import judge
from common.errors import BadBaseline, BadMessage, BaselineTooShort
from tests.common.drift.footage import RULE, fitted, footage

GOLDEN = footage(600, seed=1)
BASELINE = fitted(GOLDEN)


def test_each_clip_keeps_its_own_null() -> None:
    night = footage(400, seed=2, noise=2.0)
    both = fitted(footage(600, seed=1), night)
    alone = fitted(footage(600, seed=1))
    np.testing.assert_array_equal(both.segments[0].quality_bounds.distance, alone.segments[0].quality_bounds.distance)
    assert [clip.frames for clip in both.to_manifest().clips] == [600, 400]


def test_the_baseline_fails_hardly_any_of_its_golden_windows() -> None:
    assert fitted(footage(600, seed=1)).null_false_alarms <= 0.02


@pytest.mark.parametrize("frames", [1, 10, RULE.frames, 2 * RULE.frames - 1])
def test_footage_too_short_is_refused_with_what_to_do(frames: int) -> None:
    with pytest.raises(BaselineTooShort, match="SENTINEL_WINDOW_FRAMES lower"):
        fitted(footage(frames, seed=1))


def test_no_footage_and_broken_footage_are_refused() -> None:
    with pytest.raises(BadBaseline, match="no golden clip"):
        fitted()
    broken = footage(300, seed=1)
    broken.quality[7, 0] = np.nan
    with pytest.raises(BadMessage, match="NaN"):
        fitted(broken)


def test_accepted_footage_follows_the_golden_clips_which_are_unchanged() -> None:
    golden = fitted(footage(600, seed=1))
    healed = extend_baseline(golden, [("accepted", footage(RULE.frames, seed=4, noise=1.5))])
    assert [clip.golden for clip in healed.to_manifest().clips] == [True, False]
    assert healed.segments[0] is golden.segments[0]
    assert healed.digest != golden.digest
    bounds = [segment.quality_bounds.distance for segment in healed.segments]
    assert (bounds[1] > bounds[0]).all(), "borrowed bounds are widened"


@pytest.mark.parametrize("frames", [RULE.frames, 3 * RULE.frames])
def test_a_baseline_extended_by_drifted_footage_passes_it_and_still_fails_other_faults(frames: int) -> None:
    accepted = footage(frames, seed=4, noise=1.5)
    healed = extend_baseline(BASELINE, [("accepted", accepted)])
    assert judge(healed, accepted[: RULE.frames]).status is Status.PASS
    assert judge(healed, footage(RULE.frames, seed=5)).status is Status.PASS
    assert judge(healed, footage(RULE.frames, seed=6, shift=4.0)).status is Status.FAIL


def test_too_short_golden_footage_is_refused_with_the_length_needed() -> None:
    with pytest.raises(BaselineTooShort, match=r"has 10 sampled frames; .* needs \d+ frames \(about \d+ s"):
        fitted(footage(10, seed=1))


def test_golden_footage_of_one_repeated_picture_is_refused() -> None:
    still = footage(200, seed=1)
    still = replace(still, quality=np.tile(still.quality[:1], (200, 1)))
    with pytest.raises(BadBaseline, match="same picture"):
        fitted(still)
