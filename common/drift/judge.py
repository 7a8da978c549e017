"""Judges one window: does it lie farther from the baseline than the baseline's own variation explains?

For each segment and column, let W be the Wasserstein distance of the window from
the segment, and c the bound, the distance that the segment's own variation
explains. The drift score is max(0, 1 - c / W), the unexplained share of the
distance: 0 for a normal window, 0.3 where W is 1.43 times the bound.

Whether a column's departure is significant is tested by the KS statistic with a
margin of three quarters of the bound (`calibration.margin`), at the effective sample
size of the segment. That size already corrects for the number of columns. A
baseline without ratios (see below) corrects for the number of its groups by
Bonferroni's method; ranks are ranks of the largest ratio of all columns anyway.

The p-value of the window is the rank of its ratio, the largest W / c of its columns,
among the ratios of clean windows of other cameras, whose bounds were made without
them (`clean_drift`): (1 + number of those at least as large) / (n + 1), which is
never smaller than n windows can support. A baseline without such ratios states the
p-value of the KS test.

A window departs from a segment if its p-value is below the significance level, and a
column has a score above the threshold and a p-value of its KS test below the
significance level. It is judged by the golden segment that it
resembles most. If it departs from that one too, it is compared with the conditions:
a window that is like one of them passes and names it, any other FAILs.

A baseline that was learned over days has one segment for each moment: the bursts that are
most like it, pooled (`common.drift.learned`). The p-value of its windows is the larger of the rank among its bursts,
held against those of other days, and that among the clean windows of other cameras. In an hour that it does not know, a
column has a p-value of its own (`common.drift.provisional`).

Of a group whose columns are judged by themselves, a window or golden footage may know too little, such as the vitals of
stills: then nothing of it is compared. If the pictures have another size than golden's, columns that depend on it are
not judged (`common.drift.resolution`); where golden footage of that size is known, a window is held against that alone.
Of samples that lie farther apart than golden's it is not judged how they follow each other (`common.drift.spacing`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from common.contracts.feature_groups import FeatureGroup, GroupKind
from common.contracts.shifts import Diagnose, Shifts, unnamed
from common.contracts.verdicts import (
    ConditionMatch,
    FeatureShift,
    FrameTime,
    GroupScore,
    Judgement,
    Spacing,
    Status,
    WorstFrame,
)
from common.drift.baseline import Baseline
from common.drift.bursts import JOINT_FRAMES, Moment, evenly
from common.drift.cadence import is_sequence
from common.drift.calibration import ks_p_value, margin, novelty_p_value
from common.drift.conditions import Condition
from common.drift.feature_groups import are_enough, check_finite, compared_names
from common.drift.learned import AT_BOUND, Learned
from common.drift.provisional import NO_HISTORY_P_VALUE, Provisional, judge_provisionally, needs_no_history
from common.drift.resolution import Resolution
from common.drift.segment import Bounds, Segment, SegmentGroup
from common.drift.spacing import left_out, not_judged, spacing_of
from common.drift.statistics import kolmogorov_smirnov, wasserstein
from common.errors import BadMessage
from common.features import FeatureBlock

_LEADING = 5  # features named in a verdict
_WORST = 3  # frames named in a verdict
_GROSS_RATIO = 5.0  # W / c, where gross distances are not known: by effects set by hand, clean windows reached 4.7
_BEFORE_SHARE = 0.5  # frames before an onset must lie at less than this share of the distance of those after it


@dataclass(frozen=True)
class _GroupResult:
    """Results of one group; all attributes are (f,), and p-values are corrected for the number of columns and groups.

    The columns of a joint group are averaged, so its f is 1.
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
    """The comparison with one segment: of each group, the window's columns, and what came of them.

    A group that is not compared has columns of no frame.
    `rank` is the window's p-value by its rank among clean windows of other cameras; None: they are not known.
    """

    segment: Segment
    columns: Mapping[str, npt.NDArray[np.float32]]
    groups: Mapping[str, _GroupResult]
    rank: float | None
    resolution: Resolution
    spacing: Spacing | None = None
    provisional: Mapping[str, Provisional] | None = None
    """Of each group, if the hour of the window is not known."""

    def fails(self, threshold: float, p_value: float) -> dict[str, npt.NDArray[np.bool_]]:
        """Return which columns of each group fail, by its name; none does in a window whose rank is not significant."""
        significant = self.rank is None or self.rank < p_value
        return {name: group.fails(threshold, p_value) & significant for name, group in self.groups.items()}


def judge(
    baseline: Baseline,
    window: FeatureBlock,
    *,
    threshold: float = 0.30,
    p_value: float = 0.05,
    conditions: Sequence[Condition] = (),
    diagnose: Diagnose = unnamed,
) -> Judgement:
    """Judge one window.

    Parameters
    ----------
    baseline : golden, fitted to features of the same feature spec
    window : features of exactly `baseline.rule.frames` frames
    threshold, p_value : a column fails with a score above `threshold` and a p-value below `p_value`, which the
        p-value of the window has to be too
    conditions : those of the window's stream that its model is proved on
    diagnose : the baseline's modality's; names the cause of a FAIL

    Returns
    -------
    The judgement against the golden baseline. For a window that fails it but matches a condition, the figures are
    those of the comparison with the condition. A FAIL states the score and the p-value of the reference that it
    resembles most, golden or condition, because it departs from all of them.

    Raises
    ------
    BadMessage
        If the window has another length, other groups or widths than the baseline's, or features that are not finite.
    """
    _check(baseline, window)
    if baseline.learned is not None:
        best = _compare_learned(baseline, baseline.learned, window)
    else:
        results = _of_same_size([_compare(baseline, segment, window) for segment in baseline.segments])
        best = min(results, key=lambda result: _severity(result, threshold, p_value))
    golden = _judgement(baseline, best, window, threshold, p_value, diagnose)
    if golden.status is Status.PASS or golden.cause is None or not conditions:
        return golden
    compared = [(c, _compare(baseline, c.segment, window)) for c in conditions]
    compared = [row for row in compared if row[1].resolution.change is None]
    if not compared:
        return golden
    condition, nearest = min(compared, key=lambda row: _severity(row[1], threshold, p_value))
    like = _judgement(baseline, nearest, window, threshold, p_value, diagnose)
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
    own = {"condition": match, "segment": golden.segment, "gross": golden.gross, "resolution": golden.resolution,
           "spacing": golden.spacing}  # fmt: skip
    return like.model_copy(update=own)


def _of_same_size(results: Sequence[_SegmentResult]) -> Sequence[_SegmentResult]:
    """Return the comparisons with segments of the window's own size; all of them if there is none.

    Another segment, of which less can be judged, would be the better match for footage that is faulty.
    """
    return [result for result in results if result.resolution.change is None] or results


def _check(baseline: Baseline, window: FeatureBlock) -> None:
    if len(window) != baseline.rule.frames:
        raise BadMessage(
            f"a window of {len(window)} frames cannot be judged by baseline {baseline.name!r}, "
            f"whose windows have {baseline.rule.frames}: rebuild it with SENTINEL_WINDOW_FRAMES={len(window)}"
        )
    if window.widths != baseline.widths:
        raise BadMessage(
            f"the window has features {window.widths}, baseline {baseline.name!r} has {baseline.widths}: "
            "they were made by different feature specs"
        )
    check_finite(window)


def distances(baseline: Baseline, window: FeatureBlock) -> npt.NDArray[np.float64]:
    """Return the distances of a window from the first segment: of all compared columns, one of a joint group."""
    result = _compare(baseline, baseline.segments[0], window)
    return np.concatenate([group.distances for group in result.groups.values()])


def _compare(
    baseline: Baseline, segment: Segment, window: FeatureBlock, joint_frames: int | None = None
) -> _SegmentResult:
    """Compare a window with a segment; of joint groups `joint_frames` of its frames, all if None."""
    groups = baseline.groups
    columns: dict[str, npt.NDArray[np.float32]] = {}
    results: dict[str, _GroupResult] = {}
    span = segment.span_of(window)
    resolution = Resolution.of(groups, segment, window)
    spacing = spacing_of(segment.interval, window)
    others = _not_judged(groups, resolution, window)
    farther: dict[str, npt.NDArray[np.float64]] = {}  # scores of all columns, whether their spacing lets them be judged
    for group in groups:
        reference = segment.groups[group.name]
        now = columns[group.name] = reference.columns_of(group, window, span)
        joint = group.kind is GroupKind.JOINT
        compare = _compare_joint if joint else _compare_columns
        compared = now[evenly(len(now), joint_frames)] if joint and joint_frames else now
        # A window of very few frames may have none that the group was computed of: it then says nothing.
        if not len(reference.values) or not (len(now) if joint else are_enough(len(now), len(window))):
            columns[group.name], compared = now[:0], now[:0]
        nothing = np.zeros_like(reference.bounds.distance), np.ones_like(reference.bounds.distance)
        distances, p_values = compare(reference, compared) if len(compared) else nothing
        groups_tested = 1 if baseline.clean_ratios else len(groups)
        unjudged = others[group.name]
        if spacing is not None:
            seen = np.where(unjudged, 0.0, distances), np.where(unjudged, 1.0, p_values)
            farther[group.name] = _result(*seen, reference.bounds, groups_tested).scores
            unjudged = unjudged | not_judged(group, reference.values, now)
        distances, p_values = np.where(unjudged, 0.0, distances), np.where(unjudged, 1.0, p_values)
        results[group.name] = _result(distances, p_values, reference.bounds, groups_tested)
    spacing = None if spacing is None else left_out(spacing, farther, groups)
    rank = _rank(results.values(), baseline.clean_ratios)
    return _SegmentResult(segment, columns, results, rank, resolution, spacing)


def _not_judged(
    groups: Sequence[FeatureGroup], resolution: Resolution, window: FeatureBlock
) -> Mapping[str, npt.NDArray[np.bool_]]:
    """Return (f,) which compared columns of each group, by its name, cannot be judged: those of another size, and of
    samples that are no sequence those that are made of one, whose golden values may be those of a recording."""
    found = resolution.not_judged(groups)
    if is_sequence(window):
        return found
    of_sequences = {group.name: [name in group.sequences for name in compared_names(group)] for group in groups}
    return {name: columns | np.array(of_sequences[name] or [False]) for name, columns in found.items()}


def _rank(groups: Iterable[_GroupResult], clean_ratios: Sequence[float]) -> float | None:
    if not clean_ratios:
        return None
    larger = len(clean_ratios) - bisect_left(clean_ratios, _ratio(groups))
    return (1 + larger) / (1 + len(clean_ratios))


def _ratio(groups: Iterable[_GroupResult]) -> float:
    """Return the largest distance of all columns, in units of their bounds."""
    return max(float((group.distances / group.bounds).max()) for group in groups)


def _compare_learned(baseline: Baseline, learned: Learned, window: FeatureBlock) -> _SegmentResult:
    """Compare a window with the bursts most like it; in an hour that is not known, provisionally."""
    reference = learned.reference(Moment.of(window, learned.groups))
    found = _compare(baseline, reference.segment, window, joint_frames=JOINT_FRAMES)
    if not reference.known:
        unjudged = dict(_not_judged(learned.groups, found.resolution, window))
        if found.spacing is not None:
            for group in learned.groups:
                golden, now = found.segment.groups[group.name].values, found.columns[group.name]
                unjudged[group.name] = unjudged[group.name] | not_judged(group, golden, now, provisional=True)
        provisional = {
            group.name: judge_provisionally(
                group, learned.groups, window, found.columns[group.name], reference
            ).without(unjudged[group.name])
            for group in learned.groups
        }
        results = {name: _provisional_result(found.groups[name], own) for name, own in provisional.items()}
        return replace(found, groups=results, rank=None, provisional=provisional)
    results = {}
    for group in learned.groups:
        own = found.groups[group.name]
        apart = needs_no_history(group, window, reference)
        ks = np.where(apart, np.minimum(own.p_values, NO_HISTORY_P_VALUE), own.p_values)
        results[group.name] = replace(own, p_values=ks)
    rank = max(learned.p_value(_ratio(results.values())), found.rank or 0.0)
    return replace(found, groups=results, rank=rank)


def _provisional_result(known: _GroupResult, own: Provisional) -> _GroupResult:
    """Return the result of a group with the columns that can be judged in an unknown hour; the others pass."""
    judged = np.isfinite(own.limits)
    bounds = np.where(judged, AT_BOUND * own.limits, known.bounds)
    scores = np.where(judged, np.clip(1.0 - bounds / np.maximum(own.distances, 1e-12), 0.0, 1.0), 0.0)
    return _GroupResult(scores, own.p_values, np.where(judged, own.distances, known.distances), bounds)


_Distances = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]
"""(f,) Wasserstein distances, and (f,) p-values corrected for the number of columns."""


def _compare_joint(reference: SegmentGroup, now: npt.NDArray[np.float32]) -> _Distances:
    bounds = reference.bounds
    w = np.array([wasserstein(reference.values, now).mean()])
    k = np.array([kolmogorov_smirnov(reference.values, now, margin(bounds.distance)).mean()])
    return w, ks_p_value(k, bounds.size)


def _compare_columns(reference: SegmentGroup, now: npt.NDArray[np.float32]) -> _Distances:
    bounds, values = reference.bounds, reference.values
    w = wasserstein(values, now)
    p_values = ks_p_value(kolmogorov_smirnov(values, now, margin(bounds.distance)), bounds.size)
    # In a column that is constant in the baseline (such as: no frame is black), a few deviating frames are significant.
    novel = (now != values[0]).sum(axis=0)
    constant = values[0] == values[-1]
    p_novel = novelty_p_value(novel, len(now), len(values))
    return w, np.where(constant, np.minimum(p_values, p_novel), p_values)


def _result(w: npt.NDArray[np.float64], p_values: npt.NDArray[np.float64], bounds: Bounds, groups: int) -> _GroupResult:
    scores = np.clip(1.0 - bounds.distance / np.maximum(w, 1e-12), 0.0, 1.0)
    return _GroupResult(scores, np.minimum(p_values * groups, 1.0), w, bounds.distance)


def _severity(result: _SegmentResult, threshold: float, p_value: float) -> tuple[int, float]:
    """Return the sort key of the segments, best match first: number of failing columns, then sum of the scores."""
    failing = sum(int(fails.sum()) for fails in result.fails(threshold, p_value).values())
    return failing, float(sum(group.scores.sum() for group in result.groups.values()))


def _judgement(
    baseline: Baseline,
    best: _SegmentResult,
    window: FeatureBlock,
    threshold: float,
    p_value: float,
    diagnose: Diagnose,
) -> Judgement:
    segment, groups = best.segment, best.groups
    leading = {name: group.leading(threshold, p_value) for name, group in groups.items()}
    failing = best.fails(threshold, p_value)
    fails = {name: bool(failing[name][leading[name]]) for name in groups}
    computed = [name for name in groups if len(best.columns[name])]
    decisive = max(computed, key=lambda name: (fails[name], groups[name].scores[leading[name]]))
    failed = any(fails.values())
    provisional = best.provisional or {}
    lasting = {
        name: columns & ~provisional[name].steps if name in provisional else columns
        for name, columns in failing.items()
    }
    kinds = {group.name: group.kind for group in baseline.groups}
    shifts = _shifts(baseline.groups, best, threshold, frozenset(name for name in groups if fails[name]))
    distances = (
        _joint_frame_distances(segment.groups[decisive], best.columns[decisive])
        if kinds[decisive] is GroupKind.JOINT
        else _column_frame_distances(segment.groups[decisive], best.columns[decisive], leading[decisive])
    )
    frames = window.frames_of(decisive)
    first = int(frames[onset(distances)])
    return Judgement(
        status=Status.FAIL if failed else Status.PASS,
        drift_score=float(groups[decisive].scores[leading[decisive]]),
        p_value=float(groups[decisive].p_values[leading[decisive]]) if best.rank is None else best.rank,
        gross=any(_is_gross(group, groups[group.name], lasting[group.name]) for group in baseline.groups),
        cause=diagnose(shifts) if failed else None,
        began=FrameTime(source=window.source_of(first), time=float(window.times[first])) if failed else None,
        segment=segment.summary.name,
        provisional=best.provisional is not None,
        resolution=best.resolution.change,
        spacing=best.spacing,
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
        leading_features=_leading_features(shifts, baseline.groups, segment),
        worst_frames=tuple(
            WorstFrame(source=window.source_of(frame), time=float(window.times[frame]), distance=float(distances[row]))
            for row in np.argsort(-distances, kind="stable")[:_WORST].tolist()
            for frame in (int(frames[row]),)
        ),
    )


def _is_gross(group: FeatureGroup, result: _GroupResult, fails: npt.NDArray[np.bool_]) -> bool:
    """Return whether a failing column lies farther away than clean footage of other cameras ever did, by a margin."""
    known = np.array(group.gross_distances) if group.gross_distances else result.bounds * _GROSS_RATIO
    return bool((fails & (result.distances > known)).any())


def _shifts(groups: Sequence[FeatureGroup], best: _SegmentResult, threshold: float, failing: frozenset[str]) -> Shifts:
    """Return the shifts of all columns that are judged by themselves, in the order of their groups."""
    own = [group.name for group in groups if group.kind is not GroupKind.JOINT]
    references = {name: best.segment.groups[name].values for name in own}
    # What is not compared is taken to be as it was.
    now = _joined([_means(best.columns[name] if len(best.columns[name]) else references[name]) for name in own])
    if best.provisional is None:
        before = _joined([_means(references[name]) for name in own])
    else:  # what is not known of the hour must not name a cause
        before = now - _joined([best.provisional[name].changes for name in own])
    # In a window that has failed, every column with a high score helps to diagnose it, significant by itself or not.
    scores = _joined([best.groups[name].scores for name in own])
    return Shifts(
        names=tuple(column for group in groups for column in compared_names(group)),
        before=before,
        now=now,
        scores=scores,
        moved=scores > threshold,
        failing_groups=failing,
    )


def _means(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return (f,) means of columns (n, f); zeros if there are none."""
    return np.asarray(values.mean(axis=0, dtype=np.float64) if len(values) else np.zeros(values.shape[1]), np.float64)


def _joined(parts: Sequence[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    return np.concatenate([np.zeros(0), *parts])


def _leading_features(shifts: Shifts, groups: Sequence[FeatureGroup], segment: Segment) -> tuple[FeatureShift, ...]:
    own = [segment.groups[group.name] for group in groups if group.kind is not GroupKind.JOINT]
    spreads = [spread for group in own for spread in group.spread]
    order = np.lexsort((shifts.scores, shifts.moved))[::-1]
    return tuple(
        FeatureShift(
            feature=shifts.names[i],
            shift=float((shifts.now[i] - shifts.before[i]) / spreads[i]),
            baseline_value=float(shifts.before[i]),
            window_value=float(shifts.now[i]),
        )
        for i in order[:_LEADING]
        if shifts.scores[i] > 0
    )


def _column_frame_distances(
    reference: SegmentGroup, columns: npt.NDArray[np.float32], column: int
) -> npt.NDArray[np.float64]:
    """Return (n,) distances of the frames from the segment's median of one column, in units of its spread."""
    distances = np.abs(columns[:, column] - reference.middle()[column]) / reference.spread[column]
    return np.asarray(distances, np.float64)


def _joint_frame_distances(reference: SegmentGroup, columns: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return (r,) root mean square distances of the group's frames from the segment's medians, in units of its
    spreads."""
    return np.asarray(np.sqrt(np.square(columns - reference.middle()).mean(axis=1)), np.float64)


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
