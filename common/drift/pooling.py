"""Pools bursts to one segment, which a window is compared with as with a golden clip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import numpy as np

from common.contracts.feature_groups import FeatureGroup, GroupKind
from common.drift.bursts import Array, Burst
from common.drift.feature_groups import compared_columns, compared_minimum_effects, reference_medians
from common.drift.manifest import ClipSummary
from common.drift.segment import Bounds, Segment, SegmentGroup, joint_spread, typical_spread
from common.drift.statistics import sort_reference


def pool(bursts: Sequence[Burst], groups: Sequence[FeatureGroup], bounds: Mapping[str, Bounds]) -> Segment:
    """Return one segment of several bursts, with the bounds of the whole baseline."""
    pooled = {group.name: pooled_group(group, bursts, bounds[group.name]) for group in groups}
    return Segment(_summary(bursts), pooled)


def pooled_group(group: FeatureGroup, bursts: Sequence[Burst], bounds: Bounds) -> SegmentGroup:
    """Return one group of several bursts."""
    readings: Array = np.concatenate([burst.groups[group.name].readings for burst in bursts])
    if group.kind is GroupKind.JOINT:
        spread = joint_spread(readings)
        return SegmentGroup(sort_reference(readings / spread), spread, None, bounds)
    steps: Array = np.concatenate([burst.groups[group.name].steps for burst in bursts])
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
