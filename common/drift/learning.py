"""Learns a baseline from bursts of a camera's days.

1. Bursts that fail without any history (black, frozen) are left out, and so are those whose pictures have another size
   than most, and, twice over, those that look faulty beside their neighbours in the hour of other days
   (`common.drift.trimming`). A few more, which lie far beyond all others in step 2, are left out then.
2. Each burst is compared with the pool that a window of its moment would be compared with, its own day left out:
   the null. A camera that is known for one day leaves out an hour on either side instead.
3. A column fails beyond the largest distance of the null times 1 + 1 / sqrt(days), at the default threshold; its bound
   is at least the minimum effect, as for clips, so that ranks among other cameras' windows mean the same. It is one for
   all hours: bounds of an hour's own, or a quantile in place of the largest, multiply false alarms by three to thirty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from common.contracts.batches import FeatureSpec
from common.contracts.feature_groups import FeatureGroup, GroupKind, check_groups
from common.drift.baseline import Baseline
from common.drift.bursts import HOUR_SECONDS, Burst, BurstGroup, smallest_effects
from common.drift.calibration import FRAMES_PER_INDEPENDENT
from common.drift.feature_groups import compared_columns, compared_minimum_effects
from common.drift.learned import (
    AT_BOUND,
    NEAR_HOURS,
    NEEDED_NULL,
    Learned,
    Numbers,
    days_of,
    hours_apart,
    nearest_bursts,
    other_days,
    pool_size,
    widening,
)
from common.drift.pooling import pooled_group
from common.drift.segment import Bounds, SegmentGroup
from common.drift.statistics import wasserstein
from common.drift.trimming import of_one_size, trim
from common.drift.views import moves_by_itself, placed_columns
from common.drift.windows import WindowRule
from common.errors import BadBaseline

_FEWEST_INDEPENDENT = 3.0
_USUAL, _STRAYS_FROM = 0.9, 3.0  # a burst strays beyond three times this quantile of its column's null


@dataclass(frozen=True)
class _Null:
    """Distances of bursts from their pools.

    Attributes
    ----------
    bursts : (r,) which bursts were compared
    distances : of each group (r, f), in the unit of its columns
    """

    bursts: npt.NDArray[np.intp]
    distances: Mapping[str, Numbers]


def fit_learned(
    bursts: Sequence[Burst],
    *,
    name: str,
    feature_spec: FeatureSpec,
    rule: WindowRule,
    groups: tuple[FeatureGroup, ...],
    created_at: float,
    libraries: Mapping[str, str],
    clean_ratios: tuple[float, ...] = (),
) -> Baseline:
    """Return a baseline of bursts, in any order; of a single one, everything is judged provisionally.

    Parameters
    ----------
    bursts : of one camera, made with `groups`; those that look faulty are left out
    name, feature_spec, rule, groups, created_at, libraries, clean_ratios : see `Baseline`

    Raises
    ------
    BadBaseline
        If there is no burst, or none that could be golden.
    """
    if not bursts:
        raise BadBaseline("there is no golden burst: give footage whose capture times are known")
    check_groups(groups)
    ordered = sorted(bursts, key=lambda burst: burst.moment.taken_at)
    sound = [burst for burst in ordered if burst.defect(groups) is None]
    if not sound:
        defect = ordered[0].defect(groups)
        raise BadBaseline(
            f"all {len(ordered)} bursts fail by {defect}, from {ordered[0].source} on: a camera that shows nothing, or "
            "stands still, cannot be learned; mend it, and learn then"
        )
    kept, bounds, null = _fit(trim(of_one_size(sound, groups), groups, rule.frames), groups, rule.frames)
    learned = Learned(tuple(kept), bounds, null, rule.frames, groups)
    return Baseline(
        name=name,
        feature_spec=feature_spec,
        rule=rule,
        groups=groups,
        segments=(),
        clean_ratios=clean_ratios,
        null_false_alarms=0.0,
        libraries=dict(libraries),
        created_at=created_at,
        learned=learned,
    )


def _fit(
    bursts: list[Burst], groups: Sequence[FeatureGroup], window: int
) -> tuple[list[Burst], dict[str, Bounds], Numbers]:
    """Return the bursts without those that stray, the bounds of each group, and the largest distance of each burst of
    the null in units of the bounds."""
    days = days_of([burst.moment for burst in bursts])
    null = _null(bursts, groups, days)
    straying = _straying(null, groups, window) if days_apart_matter(days) else frozenset()
    if straying:
        bursts = [burst for number, burst in enumerate(bursts) if number not in straying]
        null = _null(bursts, groups, days)
    for group in groups:
        if group.kind is GroupKind.VIEW and _moves_by_itself(group, null, days):
            bursts = [_without_view(burst, group) for burst in bursts]
            still = {**null.distances, group.name: np.zeros_like(null.distances[group.name])}
            null = replace(null, distances=still)
    return bursts, *_bounds(null, groups, window, days)


def _moves_by_itself(group: FeatureGroup, null: _Null, days: float) -> bool:
    found = null.distances[group.name]
    return bool(len(found)) and moves_by_itself(widening(days) * found.max(axis=0) / compared_minimum_effects(group))


def _without_view(burst: Burst, group: FeatureGroup) -> Burst:
    own = burst.groups[group.name]
    return replace(burst, groups={**burst.groups, group.name: BurstGroup(own.readings[:0], own.steps[:0])})


def _straying(null: _Null, groups: Sequence[FeatureGroup], window: int) -> frozenset[int]:
    """Return the bursts that lie far beyond all others of the null: a single one would make the bound of its column.

    Trimming has left in what its neighbours of the hour do not show to be faulty. A column's largest distance is seldom
    twice its 90% quantile where weather alone makes it.
    """
    if len(null.bursts) < NEEDED_NULL:
        return frozenset()
    found: set[int] = set()
    for group in groups:
        distances = null.distances[group.name]
        usual = _STRAYS_FROM * np.quantile(distances, _USUAL, axis=0)
        beyond = distances > np.maximum(usual, smallest_effects(group, window))
        found.update(null.bursts[beyond.any(axis=1)].tolist())
    return frozenset(found)


def _bounds(null: _Null, groups: Sequence[FeatureGroup], window: int, days: float) -> tuple[dict[str, Bounds], Numbers]:
    size = max(window / FRAMES_PER_INDEPENDENT, _FEWEST_INDEPENDENT)
    bounds: dict[str, Bounds] = {}
    ratios = np.zeros(len(null.bursts))
    for group in groups:
        smallest = smallest_effects(group, window)
        found = null.distances[group.name]
        largest = found.max(axis=0) if len(found) else np.zeros_like(smallest)
        distance = np.maximum(AT_BOUND * widening(days) * largest, smallest)
        bounds[group.name] = Bounds(distance, np.full(len(distance), size))
        ratios = np.maximum(ratios, (found / distance).max(axis=1)) if len(found) else ratios
    return bounds, ratios


def _null(bursts: Sequence[Burst], groups: Sequence[FeatureGroup], days: float) -> _Null:
    """Return the distances of the bursts from pools without their own day, of those whose hour is known without it."""
    moments = [burst.moment for burst in bursts]
    hours = np.array([moment.hour for moment in moments])
    rows: dict[str, list[Numbers]] = {group.name: [] for group in groups}
    compared = []
    for number, (burst, eligible) in enumerate(zip(bursts, _left_out(bursts, days), strict=True)):
        rest = np.flatnonzero(eligible)
        if not len(rest):
            continue
        near = hours_apart(hours[rest], burst.moment.hour) <= NEAR_HOURS
        if days_apart_matter(days) and not near.any():
            continue
        nearest = rest[nearest_bursts([moments[i] for i in rest], burst.moment, pool_size(days))]
        compared.append(number)
        for group in groups:
            reference = pooled_group(group, [bursts[i] for i in nearest], _UNBOUNDED)
            rows[group.name].append(distance_of(group, reference, burst.groups[group.name]))
    return _Null(np.array(compared, np.intp), {name: np.array(found) for name, found in rows.items()})


_UNBOUNDED = Bounds(np.zeros(0), np.zeros(0))  # of a pool that is only measured against


def days_apart_matter(days: float) -> bool:
    """Return whether a camera is known for long enough that a burst's own day can be left out."""
    return days >= _TWO_DAYS


_TWO_DAYS = 1.5  # on average; then at least half of the hours were seen on two days


def _left_out(bursts: Sequence[Burst], days: float) -> list[npt.NDArray[np.bool_]]:
    """Return, for each burst, which others it may be compared with."""
    moments = [burst.moment for burst in bursts]
    if days_apart_matter(days):
        return [other_days(moments, moment) for moment in moments]
    taken = np.array([moment.taken_at for moment in moments])
    return [np.abs(taken - at) > NEAR_HOURS * HOUR_SECONDS for at in taken]


def distance_of(group: FeatureGroup, reference: SegmentGroup, burst: BurstGroup) -> Numbers:
    """Return the (f,) Wasserstein distances of a burst from a pool; (1,) of a joint group; zeros of a view, or of
    columns, that one of them does not have."""
    if reference.golden is not None:
        placed = placed_columns(burst.readings.astype(np.uint8), reference.golden)
        return wasserstein(reference.values, placed) if len(placed) else np.zeros(reference.values.shape[1])
    if reference.reference_median is None:
        return np.atleast_1d(wasserstein(reference.values, burst.readings / reference.spread).mean())
    if not len(burst.readings) or not len(reference.values):
        return np.zeros(reference.values.shape[1])
    columns = compared_columns(group, burst.readings, burst.steps, reference.reference_median)
    return wasserstein(reference.values, columns)
