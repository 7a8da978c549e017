"""Pools bursts to one segment, which a window is compared with as with a golden clip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import numpy as np

from common.contracts.feature_groups import FeatureGroup, GroupKind
from common.drift.bursts import Array, Burst
from common.drift.feature_groups import compared_columns, compared_minimum_effects, reference_medians
from common.drift.manifest import ClipSummary
from common.drift.segment import Bounds, Segment, SegmentGroup, joint_spread, no_columns, typical_spread
from common.drift.statistics import sort_reference

VIEWED = 3
"""Bursts of a pool, the first ones, that a window is registered to: those that are most like it."""


def pool(bursts: Sequence[Burst], groups: Sequence[FeatureGroup], bounds: Mapping[str, Bounds]) -> Segment:
    """Return one segment of several bursts, the most alike first, with the bounds of the whole baseline."""
    intervals = [burst.interval for burst in bursts if burst.interval is not None]
    pooled = {group.name: pooled_group(group, bursts, bounds[group.name]) for group in groups}
    return Segment(_summary(bursts), pooled, float(np.median(intervals)) if intervals else None)


def pooled_group(group: FeatureGroup, bursts: Sequence[Burst], bounds: Bounds) -> SegmentGroup:
    """Return one group of several bursts, the most alike first."""
    if group.kind is GroupKind.VIEW:
        views = np.concatenate([burst.groups[group.name].readings for burst in bursts[:VIEWED]]).astype(np.uint8)
        spread = np.asarray(compared_minimum_effects(group) / 2, np.float32)
        # Golden is the place of the views themselves. How far they lie from each other is in the bounds.
        in_place = np.zeros((1, len(spread)), np.float32)
        return SegmentGroup(in_place, spread, None, bounds, views)
    readings: Array = np.concatenate([burst.groups[group.name].readings for burst in bursts])
    if group.kind is GroupKind.JOINT:
        spread = joint_spread(readings)
        return SegmentGroup(sort_reference(readings / spread), spread, None, bounds)
    steps: Array = np.concatenate([burst.groups[group.name].steps for burst in bursts])
    if not len(readings):
        return no_columns(group, bounds)
    medians = reference_medians(readings)
    columns = compared_columns(group, readings, steps, medians)
    spread = typical_spread(columns, compared_minimum_effects(group))
    return SegmentGroup(sort_reference(columns), spread, medians, bounds)


def _summary(bursts: Sequence[Burst]) -> ClipSummary:
    first = min(bursts, key=lambda burst: burst.moment.taken_at).moment
    last = max(bursts, key=lambda burst: burst.moment.taken_at).moment
    hours = f"{_clock(first.taken_at)} and {_clock(last.taken_at)} UTC"
    return ClipSummary(
        name=f"{len(bursts)} bursts between {hours}",
        frames=sum(burst.frames for burst in bursts),
        seconds=sum(burst.seconds for burst in bursts),
        null_windows=0,
        effective_windows=float(len(bursts)),
        golden=True,
        taken_from=first.taken_at,
        taken_to=last.taken_at,
        time_source=bursts[0].time_source,
    )


def _clock(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}"
