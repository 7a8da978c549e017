"""Judges one window: does it lie farther from the baseline than the baseline's own variation explains?

For each segment and column, let W be the Wasserstein distance of the window from
the segment, and c the bound, the distance that the segment's own variation
explains. The drift score is max(0, 1 - c / W), the unexplained share of the
distance: 0 for a normal window, 0.3 where W is 1.43 times the bound.

The p-value is that of the KS statistic with a margin of three quarters of the
bound (`calibration.margin`), at the effective sample size of the segment. That
size already corrects for the number of columns; the number of groups is
corrected for by Bonferroni's method.

A window departs from a segment if a column has a score above the threshold and a
p-value below the significance level. It is judged by the golden segment that it
resembles most. If it departs from that one too, it is compared with the conditions:
a window that is like one of them passes and names it, any other FAILs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.contracts.verdicts import ConditionMatch, FeatureShift, FrameTime, GroupScore, Judgement, Status, WorstFrame
from common.drift.baseline import Baseline
from common.drift.calibration import ks_p_value, margin, novelty_p_value
from common.drift.conditions import Condition
from common.drift.diagnosis import Shifts, diagnose
from common.drift.feature_groups import EMBEDDING, QUALITY
from common.drift.segment import Bounds, Segment
from common.drift.statistics import kolmogorov_smirnov, wasserstein
from common.errors import BadMessage
from common.features import FeatureBlock

_GROUPS = 2
_LEADING = 5  # features named in a verdict
_WORST = 3  # frames named in a verdict
_BEFORE_SHARE = 0.5  # frames before an onset must lie at less than this share of the distance of those after it


@dataclass(frozen=True)
class _GroupResult:
    """Results of one group; all attributes are (f,), and p-values are corrected for the number of columns and groups.

    The columns of the embedding are averaged, so its f is 1.
    """

    scores: npt.NDArray[np.float64]
    p_values: npt.NDArray[np.float64]
    distances: npt.NDArray[np.float64]
    bounds: npt.NDArray[np.float64]

    def leading(self, threshold: float, p_value: float) -> int:
        """Return the column that the group reports: failing ones first, then by score, then by p-value."""
        failing = (self.scores > threshold) & (self.p_values < p_value)
        return int(np.lexsort((-self.p_values, self.scores, failing))[-1])

    def fails(self, threshold: float, p_value: float) -> npt.NDArray[np.bool_]:
        """Return (f,) which columns fail."""
        return np.asarray((self.scores > threshold) & (self.p_values < p_value))


@dataclass(frozen=True)
class _SegmentResult:
    segment: Segment
    columns: npt.NDArray[np.float32]
    embedding: _GroupResult
    quality: _GroupResult


def judge(
    baseline: Baseline,
    window: FeatureBlock,
    *,
    threshold: float = 0.30,
    p_value: float = 0.05,
    conditions: Sequence[Condition] = (),
) -> Judgement:
    """Judge one window.

    Parameters
    ----------
    baseline : golden, fitted to features of the same feature spec
    window : features of exactly `baseline.rule.frames` frames
    threshold, p_value : a column fails with a score above `threshold` and a p-value below `p_value`
    conditions : those of the window's stream that its model is proved on

    Returns
    -------
    The judgement against the golden baseline. For a window that fails it but matches a condition, the figures are
    those of the comparison with the condition. A FAIL states the score and the p-value of the reference that it
    resembles most, golden or condition, because it departs from all of them.

    Raises
    ------
    BadMessage
        If the window has another length or width than the baseline's, or features that are not finite.
    """
    _check(baseline, window)
    results = [_compare(segment, window, baseline.sensor_names) for segment in baseline.segments]
    best = min(results, key=lambda result: _severity(result, threshold, p_value))
    golden = _judgement(baseline, best, window, threshold, p_value)
    if golden.status is Status.PASS or golden.cause is None or not conditions:
        return golden
    compared = [(c, _compare(c.segment, window, baseline.sensor_names)) for c in conditions]
    condition, nearest = min(compared, key=lambda row: _severity(row[1], threshold, p_value))
    like = _judgement(baseline, nearest, window, threshold, p_value)
    if like.status is Status.FAIL:
        return golden.model_copy(
            update={
                "drift_score": min(golden.drift_score, like.drift_score),
                "p_value": max(golden.p_value, like.p_value),
            }
        )
    match = ConditionMatch(
        id=condition.record.id,
        cause=condition.record.cause,
        golden_score=golden.drift_score,
        golden_p_value=golden.p_value,
        golden_cause=golden.cause,
    )
    return like.model_copy(update={"condition": match, "segment": golden.segment})


def _check(baseline: Baseline, window: FeatureBlock) -> None:
    if len(window) != baseline.rule.frames:
        raise BadMessage(
            f"a window of {len(window)} frames cannot be judged by baseline {baseline.name!r}, "
            f"whose windows have {baseline.rule.frames}: rebuild it with SENTINEL_WINDOW_FRAMES={len(window)}"
        )
    widths = (window.embedding.shape[1], window.quality.shape[1])
    wanted = (baseline.embedding_size, baseline.quality_size)
    if widths != wanted:
        raise BadMessage(
            f"the window has {widths[0]} + {widths[1]} features, baseline {baseline.name!r} has {wanted[0]} + "
            f"{wanted[1]}: they were made by different feature specs"
        )


def _compare(segment: Segment, window: FeatureBlock, sensor_names: tuple[str, ...]) -> _SegmentResult:
    quality = segment.quality_of(window, sensor_names)
    scaled = segment.scaled(window.embedding)
    w = np.array([wasserstein(segment.embedding, scaled).mean()])
    k = np.array([kolmogorov_smirnov(segment.embedding, scaled, margin(segment.embedding_bounds.distance)).mean()])
    w_quality = wasserstein(segment.quality, quality)
    k_quality = kolmogorov_smirnov(segment.quality, quality, margin(segment.quality_bounds.distance))
    p_quality = ks_p_value(k_quality, segment.quality_bounds.size)
    # In a column that is constant in the baseline (such as: no frame is black), a few deviating frames are significant.
    novel = (quality != segment.quality[0]).sum(axis=0)
    constant = segment.quality[0] == segment.quality[-1]
    p_novel = novelty_p_value(novel, len(quality), len(segment.quality))
    p_quality = np.where(constant, np.minimum(p_quality, p_novel), p_quality)
    return _SegmentResult(
        segment,
        quality,
        _result(w, ks_p_value(k, segment.embedding_bounds.size), segment.embedding_bounds),
        _result(w_quality, p_quality, segment.quality_bounds),
    )


def _result(w: npt.NDArray[np.float64], p_values: npt.NDArray[np.float64], bounds: Bounds) -> _GroupResult:
    scores = np.clip(1.0 - bounds.distance / np.maximum(w, 1e-12), 0.0, 1.0)
    return _GroupResult(scores, np.minimum(p_values * _GROUPS, 1.0), w, bounds.distance)


def _severity(result: _SegmentResult, threshold: float, p_value: float) -> tuple[int, float]:
    """Return the sort key of the segments, best match first: number of failing columns, then sum of the scores."""
    failing = sum(int(group.fails(threshold, p_value).sum()) for group in (result.embedding, result.quality))
    return failing, float(result.embedding.scores.sum() + result.quality.scores.sum())


def _judgement(
    baseline: Baseline,
    best: _SegmentResult,
    window: FeatureBlock,
    threshold: float,
    p_value: float,
) -> Judgement:
    segment = best.segment
    groups = {EMBEDDING: best.embedding, QUALITY: best.quality}
    leading = {name: group.leading(threshold, p_value) for name, group in groups.items()}
    fails = {name: bool(group.fails(threshold, p_value)[leading[name]]) for name, group in groups.items()}
    decisive = max(groups, key=lambda name: (fails[name], groups[name].scores[leading[name]]))
    failed = any(fails.values())
    shifts = _shifts(baseline, best, threshold)
    cause = diagnose(shifts, embedding_fails=fails[EMBEDDING]) if failed else None
    distances = _frame_distances(segment, window, best.columns, decisive, leading[QUALITY])
    first = onset(distances)
    return Judgement(
        status=Status.FAIL if failed else Status.PASS,
        drift_score=float(groups[decisive].scores[leading[decisive]]),
        p_value=float(groups[decisive].p_values[leading[decisive]]),
        cause=cause,
        began=FrameTime(source=window.source_of(first), time=float(window.times[first])) if failed else None,
        segment=segment.summary.name,
        feature_groups=tuple(
            GroupScore(
                group=name,
                drift_score=float(group.scores[leading[name]]),
                p_value=float(group.p_values[leading[name]]),
                distance=float(group.distances[leading[name]]),
                bound=float(group.bounds[leading[name]]),
            )
            for name, group in groups.items()
        ),
        leading_features=_leading_features(shifts, segment, best.quality),
        worst_frames=tuple(
            WorstFrame(source=window.source_of(i), time=float(window.times[i]), distance=float(distances[i]))
            for i in np.argsort(-distances, kind="stable")[:_WORST].tolist()
        ),
    )


def _shifts(baseline: Baseline, best: _SegmentResult, threshold: float) -> Shifts:
    # In a window that has failed, every column with a high score helps to diagnose it, significant by itself or not.
    return Shifts(
        names=baseline.quality_columns,
        before=best.segment.quality.mean(axis=0, dtype=np.float64),
        now=best.columns.mean(axis=0, dtype=np.float64),
        scores=best.quality.scores,
        moved=best.quality.scores > threshold,
    )


def _leading_features(shifts: Shifts, segment: Segment, group: _GroupResult) -> tuple[FeatureShift, ...]:
    order = np.lexsort((group.scores, shifts.moved))[::-1]
    return tuple(
        FeatureShift(
            feature=shifts.names[i],
            shift=float((shifts.now[i] - shifts.before[i]) / segment.quality_spread[i]),
            baseline_value=float(shifts.before[i]),
            window_value=float(shifts.now[i]),
        )
        for i in order[:_LEADING]
        if group.scores[i] > 0
    )


def _frame_distances(
    segment: Segment, window: FeatureBlock, quality: npt.NDArray[np.float32], group: str, column: int
) -> npt.NDArray[np.float64]:
    """Return (n,) distances of the frames from the segment's median, in units of its spread.

    Parameters
    ----------
    quality : (n, f) the window's columns of the quality group
    group : the decisive group; if it is the quality group, the distance is that of `column` alone
    """
    if group == QUALITY:
        middle, spread = segment.quality_middle()[column], segment.quality_spread[column]
        return np.asarray(np.abs(quality[:, column] - middle) / spread, np.float64)
    middle_e = segment.embedding[len(segment.embedding) // 2]
    return np.asarray(np.sqrt(np.square(segment.scaled(window.embedding) - middle_e).mean(axis=1)), np.float64)


def onset(distances: npt.NDArray[np.float64]) -> int:
    """Return the first frame after a change of level in distances (n,), by least squares with two levels.

    The result is 0, meaning that the change began before the window, unless the
    mean distance before the change is less than half of that after it.
    """
    n = len(distances)
    if n < 2:
        return 0
    total = np.cumsum(distances)
    before = np.arange(1, n)
    low = total[:-1] / before
    high = (total[-1] - total[:-1]) / (n - before)
    best = int(np.argmax((high - low) * np.sqrt(before * (n - before))))
    return int(before[best]) if low[best] < _BEFORE_SHARE * high[best] else 0
