"""Fitting a baseline to golden footage, and the footage that is refused."""

from __future__ import annotations

import numpy as np
import pytest

from common.drift.segment import fit_segment
from common.errors import BadBaseline, BadMessage, BaselineTooShort
from tests.common.drift.footage import GROUPS, RULE, changed, fitted, footage


def test_each_clip_keeps_its_own_null() -> None:
    night = footage(400, seed=2, noise=2.0)
    both = fitted(footage(600, seed=1), night)
    alone = fitted(footage(600, seed=1))
    np.testing.assert_array_equal(
        both.segments[0].groups["quality"].bounds.distance, alone.segments[0].groups["quality"].bounds.distance
    )
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
    broken.groups["quality"][7, 0] = np.nan
    with pytest.raises(BadMessage, match="NaN"):
        fitted(broken)


def test_too_short_golden_footage_is_refused_with_the_length_needed() -> None:
    with pytest.raises(BaselineTooShort, match=r"has 10 sampled frames; .* needs \d+ frames \(about \d+ s"):
        fitted(footage(10, seed=1))


def test_golden_footage_of_one_repeated_picture_is_refused() -> None:
    still = footage(200, seed=1)
    still = changed(still, quality=np.tile(still.groups["quality"][:1], (200, 1)))
    with pytest.raises(BadBaseline, match="same picture"):
        fitted(still)


def test_a_segment_has_bounds_of_its_own_or_none_at_all() -> None:
    short = footage(RULE.frames, seed=4)
    with pytest.raises(BaselineTooShort, match="too few for a window"):
        fit_segment("short", short, window=RULE.frames, groups=GROUPS)
