"""The verdict on one window: how far it lies from the baseline beyond what the baseline does by itself.

For each segment and column: W, the Wasserstein distance of the window from the
segment, and c, the bound that the segment's own windows keep. The drift score is
1 - c / W, the share of the distance that the baseline's own variation does not
explain: 0 on a reference median window, 0.3 where W is 1.43 times the bound. The p-value is
that of the KS statistic (with half the bound as margin, see `calibration.margin`)
at the effective sample size that the segment's own windows showed, corrected for
the feature_groups (Bonferroni); the effective size already allows for all columns together.

A window is a FAIL if one column has a score above the threshold and a p-value
below its own; and it is judged by the segment that it resembles most.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.contracts.verdicts import FeatureShift, FrameTime, GroupScore, Judgement, Status, WorstFrame
from common.drift.baseline import Baseline
from common.drift.calibration import ks_p_value, margin, novelty_p_value
from common.drift.diagnosis import Shifts, diagnose
from common.drift.feature_groups import EMBEDDING, QUALITY
from common.drift.segment import Bounds, Segment
from common.drift.statistics import kolmogorov_smirnov, wasserstein
from common.errors import BadMessage
from common.features import FeatureBlock

_GROUPS = 2
_LEADING = 5  # features named in a verdict
_WORST = 3  # frames named in a verdict
_BEFORE_SHARE = 0.5


@dataclass(frozen=True)
class _GroupResult:
    """Scores and p-values of a group's columns, (f,) each; p is corrected for columns and feature_groups."""

    scores: npt.NDArray[np.float64]
    p_values: npt.NDArray[np.float64]
    distances: npt.NDArray[np.float64]
    bounds: npt.NDArray[np.float64]

    def leading(self, threshold: float, p_value: float) -> int:
        """Return the column that speaks for the group: a failing one before others, then the higher score."""
        failing = (self.scores > threshold) & (self.p_values < p_value)
        return int(np.lexsort((-self.p_values, self.scores, failing))[-1])

    def fails(self, threshold: float, p_value: float) -> npt.NDArray[np.bool_]:
        return np.asarray((self.scores > threshold) & (self.p_values < p_value))


@dataclass(frozen=True)
class _SegmentResult:
    segment: Segment
    columns: npt.NDArray[np.float32]
    embedding: _GroupResult
    quality: _GroupResult


def judge(baseline: Baseline, window: FeatureBlock, *, threshold: float = 0.30, p_value: float = 0.05) -> Judgement:
    """Judge one full window of features.

    Parameters
    ----------
    baseline : fitted to features of the same feature spec
    window : exactly as many frames as `baseline.rule` says
    threshold, p_value : FAIL means a score above and a p-value below

    Raises
    ------
    BadMessage
        If the window has another length or width, or features that are not finite.
    """
    _check(baseline, window)
    results = [_compare(segment, window, baseline.sensor_names) for segment in baseline.segments]
    best = min(results, key=lambda result: _severity(result, threshold, p_value))
    return _judgement(baseline, best, window, threshold, p_value)


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
    # What never moved in the baseline (no frame black, none repeated) needs few frames to be news.
    news = (quality != segment.quality[0]).sum(axis=0)
    never_moved = segment.quality[0] == segment.quality[-1]
    surprise = novelty_p_value(news, len(quality), len(segment.quality))
    p_quality = np.where(never_moved, np.minimum(p_quality, surprise), p_quality)
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
    """Order segments by how badly a window fits them: columns that fail, then the scores in all."""
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
    feature_groups = {EMBEDDING: best.embedding, QUALITY: best.quality}
    leads = {name: group.leading(threshold, p_value) for name, group in feature_groups.items()}
    fails = {name: bool(group.fails(threshold, p_value)[leads[name]]) for name, group in feature_groups.items()}
    speaker = max(feature_groups, key=lambda name: (fails[name], feature_groups[name].scores[leads[name]]))
    failed = any(fails.values())
    shifts = _shifts(baseline, best, threshold)
    cause = diagnose(shifts, embedding_fails=fails[EMBEDDING]) if failed else None
    apart = _frame_distances(segment, window, best.columns, speaker, leads[QUALITY])
    first = onset(apart)
    return Judgement(
        status=Status.FAIL if failed else Status.PASS,
        drift_score=float(feature_groups[speaker].scores[leads[speaker]]),
        p_value=float(feature_groups[speaker].p_values[leads[speaker]]),
        cause=cause,
        remedy=cause.remedy if cause else None,
        began=FrameTime(source=window.source_of(first), time=float(window.times[first])) if failed else None,
        segment=segment.summary.name,
        feature_groups=tuple(
            GroupScore(
                group=name,
                drift_score=float(group.scores[leads[name]]),
                p_value=float(group.p_values[leads[name]]),
                distance=float(group.distances[leads[name]]),
                bound=float(group.bounds[leads[name]]),
            )
            for name, group in feature_groups.items()
        ),
        leading_features=_leading_features(shifts, segment, best.quality),
        worst_frames=tuple(
            WorstFrame(source=window.source_of(i), time=float(window.times[i]), distance=float(apart[i]))
            for i in np.argsort(-apart, kind="stable")[:_WORST].tolist()
        ),
    )


def _shifts(baseline: Baseline, best: _SegmentResult, threshold: float) -> Shifts:
    # Once a window has failed, a column that moved far enough belongs to the picture of the fault, significant by
    # itself or not.
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
    segment: Segment, window: FeatureBlock, quality: npt.NDArray[np.float32], speaker: str, column: int
) -> npt.NDArray[np.float64]:
    """Return (n,) how far each frame lies from the segment in what speaks for the verdict, in typical deviations."""
    if speaker == QUALITY:
        middle, spread = segment.quality_middle()[column], segment.quality_spread[column]
        return np.asarray(np.abs(quality[:, column] - middle) / spread, np.float64)
    middle_e = segment.embedding[len(segment.embedding) // 2]
    return np.asarray(np.sqrt(np.square(segment.scaled(window.embedding) - middle_e).mean(axis=1)), np.float64)


def onset(distances: npt.NDArray[np.float64]) -> int:
    """Return the first frame of a change: where two levels explain the distances (n,) best, by least squares.

    It is 0, the change is older than the window, unless the frames before lie
    at less than half the distance of those after.
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
