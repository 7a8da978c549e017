"""A segment: one clip of a baseline, prepared for comparison with windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from common.contracts.feature_groups import FeatureGroup, GroupKind
from common.drift.cadence import interval_of, samples_per_step
from common.drift.calibration import Comparison, Null, fit_null
from common.drift.feature_groups import (
    are_enough,
    between_samples,
    check_finite,
    compared_columns,
    compared_minimum_effects,
    compared_size,
    reference_medians,
    smallest_bounds,
)
from common.drift.manifest import ClipSummary
from common.drift.statistics import sort_reference
from common.drift.views import Golden, Views, golden_columns, golden_views, moves_by_itself, no_views, view_columns
from common.errors import BaselineTooShort
from common.features import FeatureBlock, TimeSource

Array = npt.NDArray[np.float32]

_MAX_FRAMES = 2000  # kept per clip, evenly spread: more change no relevant quantile and slow down each verdict
MAD_TO_SIGMA = 1.4826
"""Median absolute deviation to standard deviation, for a normal variable."""
_MIN_SPREAD = 1e-4
_TIMES_DIFFER_SECONDS = 1.0  # between capture times and times in the source; smaller differences are rounding


@dataclass(frozen=True)
class Bounds:
    """How far the columns of a group vary by themselves; f = 1 for a joint group, whose columns are averaged.

    Attributes
    ----------
    distance : (f,) Wasserstein distance that the clip's own variation explains
    size : (f,) effective sample size of a window: how many independent frames it is worth
    """

    distance: npt.NDArray[np.float64]
    size: npt.NDArray[np.float64]


@dataclass(frozen=True)
class SegmentGroup:
    """One group of a clip's features.

    Attributes
    ----------
    values : (m, f) compared columns, each sorted; of a joint group in units of `spread`, else in their own units
    spread : (f,) of a joint group the standard deviation of each column, but no less than their median; else the
        typical deviation of each column, the unit of the shifts in a verdict
    reference_median : (q,) median of each reading over the clip, which tiles are compared with; None: a group of
        another kind than COLUMNS
    bounds : of the group
    views : (k, size) of a group of kind VIEW: the pictures that windows are registered to; else None
    """

    values: Array
    spread: Array
    reference_median: Array | None
    bounds: Bounds
    views: Views | None = None

    @cached_property
    def golden(self) -> Golden | None:
        """What windows are registered to, of a group of kind VIEW."""
        return None if self.views is None else Golden.of(self.views)

    def middle(self) -> Array:
        """Return the (f,) medians of the compared columns."""
        return np.asarray(self.values[len(self.values) // 2], np.float32)

    def columns_of(self, group: FeatureGroup, window: FeatureBlock, span: int = 1) -> Array:
        """Return a window's columns as they are compared with `values`; its tiles are compared with the clip's.

        They are (n, f), a row per frame, or (r, f) for a joint group that has rows of r frames only.

        Parameters
        ----------
        group : the declaration of this group
        span : samples of the window over which steps are taken, see `Segment.span_of`
        """
        readings = window.groups[group.name]
        if self.golden is not None:
            return view_columns(readings, self.golden)
        if self.reference_median is None:
            return np.asarray(readings / self.spread, np.float32)
        return compared_columns(group, readings, between_samples(group, window, span), self.reference_median)


@dataclass(frozen=True)
class Segment:
    """One clip.

    Attributes
    ----------
    summary : name and length
    groups : by name
    interval : median time between consecutive samples, s; None: unknown
    """

    summary: ClipSummary
    groups: Mapping[str, SegmentGroup]
    interval: float | None = None

    def span_of(self, window: FeatureBlock) -> int:
        """Return over how many samples of `window` a step takes as long as one of the clip does."""
        return samples_per_step(self.interval, window)

    def fits(self, groups: Sequence[FeatureGroup]) -> bool:
        """Return whether its arrays have the shapes that `groups` call for."""
        for group in groups:
            own, size = self.groups[group.name], compared_size(group)
            readings = None if own.reference_median is None else own.reference_median.shape
            views = None if own.views is None else own.views.shape[1:]
            kept = (group.size,)
            wanted = {
                GroupKind.JOINT: (None, None),
                GroupKind.COLUMNS: (kept, None),
                GroupKind.VIEW: (None, kept),
            }[group.kind]
            if (own.values.shape[1:], own.spread.shape, readings, views) != ((size,), (size,), *wanted):
                return False
        return True


def fit_segment(
    name: str,
    block: FeatureBlock,
    *,
    window: int,
    groups: Sequence[FeatureGroup],
    within: Segment | None = None,
) -> Segment:
    """Return the segment of one clip.

    Parameters
    ----------
    name : of the clip
    block : its features, frames in order
    window : frames per window
    groups : the groups to compare; `block` has all of them
    within : a golden segment; the new segment's bounds, of a condition, are then nowhere wider than its

    Raises
    ------
    BaselineTooShort
        If it is too short to compare a window with the rest of it.
    BadMessage
        If features are not finite.
    """
    check_finite(block)
    fitted: dict[str, SegmentGroup] = {}
    null_windows = 0
    for group in groups:
        found = _FITS[group.kind](group, block, window, within.groups[group.name] if within else None)
        if found is None:
            raise BaselineTooShort(
                f"{name} has {len(block)} sampled frames: too few for a window of {window} and a rest"
            )
        fitted[group.name], windows = found
        null_windows = max(null_windows, windows)
    return Segment(_summary(name, block, window, null_windows=null_windows), fitted, interval_of(block))


def _fit_joint(
    group: FeatureGroup, block: FeatureBlock, window: int, within: SegmentGroup | None
) -> tuple[SegmentGroup, int] | None:
    """Return a joint group and the windows of its null; None if the clip is too short."""
    readings, at = block.groups[group.name], block.frames_of(group.name)
    if not len(readings):
        return None
    spread = joint_spread(readings)
    if within is not None:
        spread = np.minimum(spread, within.spread)
    scaled = np.asarray(readings / spread, np.float32)
    smallest = smallest_bounds(group)

    def comparison(rest: npt.NDArray[np.bool_], inside: slice) -> tuple[Array, Array]:
        return scaled[rest[at]], scaled[slice(*np.searchsorted(at, (inside.start, inside.stop)))]

    null = fit_null(len(block), window, comparison, minimum_effect=smallest, pooled=True)
    if null is None:
        return None
    bounds = _bounds(null, smallest, np.zeros(1, np.bool_), within.bounds if within else None)
    return SegmentGroup(sort_reference(_thin(scaled)), spread, None, bounds), len(null.kolmogorov)


def _fit_columns(
    group: FeatureGroup, block: FeatureBlock, window: int, within: SegmentGroup | None
) -> tuple[SegmentGroup, int] | None:
    """Return a group whose columns are judged by themselves, and the windows of its null, or None as `_fit_joint`.

    A clip of which a group knows too little, such as stills of which no vitals are known, has no columns of it: nothing
    is held against them.
    """
    if within is not None and group.delivery:
        return within, 0
    readings, at = block.groups[group.name], block.frames_of(group.name)
    if not are_enough(len(readings), len(block)):
        return no_columns(group, Bounds(smallest_bounds(group), np.ones(compared_size(group)))), 0
    between = between_samples(group, block)
    reference_median = reference_medians(readings)
    columns = compared_columns(group, readings, between, reference_median)
    smallest = smallest_bounds(group)
    null = fit_null(
        len(block), window, _column_comparison(group, readings, between, at), minimum_effect=smallest, pooled=False
    )
    if null is None:
        return None
    bounds = _bounds(null, smallest, np.ptp(columns, axis=0) == 0, within.bounds if within else None)
    spread = typical_spread(columns, compared_minimum_effects(group))
    return SegmentGroup(sort_reference(_thin(columns)), spread, reference_median, bounds), len(null.kolmogorov)


def no_columns(group: FeatureGroup, bounds: Bounds) -> SegmentGroup:
    """Return a group of golden footage of which it knows nothing; its columns are judged by themselves."""
    spread = np.asarray(compared_minimum_effects(group) / 2, np.float32)
    none = np.zeros((0, len(spread)), np.float32)
    return SegmentGroup(none, spread, np.zeros(group.size, np.float32), bounds)


def _column_comparison(group: FeatureGroup, readings: Array, between: Array, at: npt.NDArray[np.int32]) -> Comparison:
    """Return the function that makes columns of the rest and of a window, with reference medians of the rest.

    The medians must not include the window: a window that is judged later is not part of them either. `at` are the
    frames that the readings are of.
    """

    def comparison(rest: npt.NDArray[np.bool_], inside: slice) -> tuple[Array, Array]:
        outside, rows = rest[at], slice(*np.searchsorted(at, (inside.start, inside.stop)))
        if not outside.any():
            return readings[:0], readings[:0]
        reference_median = reference_medians(readings[outside])
        return (
            compared_columns(group, readings[outside], between[outside], reference_median),
            compared_columns(group, readings[rows], between[rows], reference_median),
        )

    return comparison


def _fit_view(
    group: FeatureGroup, block: FeatureBlock, window: int, within: SegmentGroup | None
) -> tuple[SegmentGroup, int] | None:
    """Return a group of views, and the windows of its null, or None as `_fit_joint`.

    A condition takes golden's as it is: what it covers must show the golden view.
    """
    if within is not None:
        return within, 0
    samples = block.groups[group.name]
    found = _fit_placements(group, samples, golden_views(samples), window)
    if found is not None and moves_by_itself(found[0].bounds.distance / compared_minimum_effects(group)):
        return _fit_placements(group, samples, no_views(samples), window)
    return found


def _fit_placements(group: FeatureGroup, samples: Array, views: Views, window: int) -> tuple[SegmentGroup, int] | None:
    columns, smallest = golden_columns(samples, views), smallest_bounds(group)
    null = fit_null(
        len(samples), window, lambda rest, inside: (columns[rest], columns[inside]), minimum_effect=smallest,
        pooled=False,
    )  # fmt: skip
    if null is None:
        return None
    bounds = _bounds(null, smallest, np.ptp(columns, axis=0) == 0, None)
    spread = typical_spread(columns, compared_minimum_effects(group))
    return SegmentGroup(sort_reference(_thin(columns)), spread, None, bounds, views), len(null.kolmogorov)


_FITS = {GroupKind.JOINT: _fit_joint, GroupKind.COLUMNS: _fit_columns, GroupKind.VIEW: _fit_view}


def _summary(name: str, block: FeatureBlock, window: int, *, null_windows: int) -> ClipSummary:
    return ClipSummary(
        name=name,
        frames=len(block),
        seconds=_seconds(block),
        null_windows=null_windows,
        effective_windows=len(block) / window,
        golden=True,
        taken_from=block.capture_time(0),
        taken_to=block.capture_time(-1),
        time_source=block.least_reliable_time_source,
    )


def _seconds(block: FeatureBlock) -> float:
    """Return the time that a clip covers, in seconds."""
    # Times start anew with each source, so over several sources they give no length: one second per frame then.
    seconds = float(block.times.max() - block.times.min()) if len(block.sources) == 1 else float(len(block))
    # Stills have no timestamps and count as one second each; if their capture times are known, these are used instead.
    taken = float(np.nanmax(block.taken_at) - np.nanmin(block.taken_at)) if block.capture_time(0) is not None else 0.0
    reliable = block.least_reliable_time_source in {TimeSource.EVENT, TimeSource.EXIF, TimeSource.NAME}
    return taken if reliable and taken - seconds > _TIMES_DIFFER_SECONDS else seconds


def _bounds(
    null: Null,
    minimum_effect: npt.NDArray[np.float64],
    constant: npt.NDArray[np.bool_],
    within: Bounds | None,
) -> Bounds:
    """Return the bounds of a clip's own null, no tighter than the minimum effect and nowhere wider than `within`."""
    own = Bounds(np.maximum(minimum_effect, null.bound), null.effective_sizes(constant))
    if within is None:
        return own
    return Bounds(np.minimum(own.distance, within.distance), np.maximum(own.size, within.size))


def joint_spread(readings: Array) -> Array:
    """Return (f,) standard deviations of the columns of a joint group (n, f), but no less than their median."""
    spread = np.maximum(readings.std(axis=0), _MIN_SPREAD)
    # Otherwise a dimension that is zero in nearly all frames would give a large distance whenever it is not.
    return np.asarray(np.maximum(spread, np.median(spread)), np.float32)


def typical_spread(columns: Array, minimum_effects: npt.NDArray[np.float64]) -> Array:
    """Return (f,) robust standard deviations, but no less than half the minimum effects."""
    middle = np.median(columns, axis=0)
    robust = MAD_TO_SIGMA * np.median(np.abs(columns - middle), axis=0)
    return np.asarray(np.maximum(robust, minimum_effects / 2), np.float32)


def _thin(sample: Array) -> Array:
    if len(sample) <= _MAX_FRAMES:
        return sample
    return np.asarray(sample[np.linspace(0, len(sample) - 1, _MAX_FRAMES).round().astype(int)], np.float32)
