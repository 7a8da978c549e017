"""Conditions as the judge knows them: one segment of drifted footage, with bounds no wider than golden's.

A condition is fitted to its own frames alone. In each column its bound is the smaller
of its own and that of the golden segment that the footage resembles most: none is
borrowed, none is widened. So a condition covers footage like its own, and every other
fault on top of it fails as it did before.
"""

from __future__ import annotations

from dataclasses import dataclass

from common.contracts.conditions import ConditionRecord
from common.drift.baseline import Baseline
from common.drift.calibration import null_starts
from common.drift.segment import Segment, fit_segment
from common.errors import NothingToLearnFrom
from common.features import FeatureBlock

_MIN_NULL_WINDOWS = 4  # as for golden clips: the largest distance of fewer windows is no estimate of a bound


@dataclass(frozen=True, eq=False)
class Condition:
    """A condition with its record."""

    record: ConditionRecord
    segment: Segment


def frames_needed(window: int) -> int:
    """Return how many frames a stretch needs to become a condition, or a clip to become golden.

    Examples
    --------
    >>> frames_needed(48)
    100
    """
    needed = window
    while len(null_starts(needed, window)) < _MIN_NULL_WINDOWS:
        needed += 1
    return needed


def fit_condition(name: str, block: FeatureBlock, baseline: Baseline, golden_segment: str) -> Segment:
    """Return the segment of a stretch of drifted footage.

    Parameters
    ----------
    name : of the stretch
    block : its features, frames in order
    baseline : the golden baseline that it fails
    golden_segment : name of the golden segment that it resembles most

    Raises
    ------
    NothingToLearnFrom
        If the stretch is too short to know its own variation.
    """
    window = baseline.rule.frames
    needed = frames_needed(window)
    if len(block) < needed:
        raise NothingToLearnFrom(
            f"{name} has {len(block)} sampled frames; to become a condition with windows of {window} it needs {needed}"
        )
    within = baseline.segment_like(block, golden_segment)
    return fit_segment(name, block, window=window, groups=baseline.groups, within=within)
