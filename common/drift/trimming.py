"""Leaves out of golden bursts those that look faulty, so that faults while learning spoil nothing.

A burst is compared with its neighbours in the hour of other days: per column, how far it
is from their median, in units of their own spread. Done twice, because faulty
neighbours hide faulty bursts at first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from common.contracts.feature_groups import FeatureGroup, GroupKind
from common.drift.ambient import position, steady_columns
from common.drift.bursts import Burst, smallest_effects
from common.drift.feature_groups import compared_columns, size_columns, sized_group
from common.drift.learned import distances, hours_apart, other_days
from common.drift.segment import MAD_TO_SIGMA

_PASSES = 2
_LARGEST_Z = 4.0
_NEIGHBOURS = 9
_FEWEST_NEIGHBOURS = 4  # fewer have no spread that could be estimated
_FEW = 3.0  # the spread of n neighbours is widened by 1 + 3 / n: that of a few is often far too small
_WITHIN_HOURS = 1.5  # of the day; beyond, light is another. Infra-red at noon has none of its kind there
_SHARE_OF_EFFECT = 0.5  # the spread is taken to be at least half the minimum effect

_Numbers = npt.NDArray[np.float64]


def trim(bursts: Sequence[Burst], groups: Sequence[FeatureGroup], window: int) -> list[Burst]:
    """Return the bursts that do not look faulty beside others of their hour.

    Of a camera that is known for one day, what light moves cannot be told from a fault: only columns that light hardly
    moves are looked at then.
    """
    kept = list(bursts)
    for _ in range(_PASSES):
        found = [burst for burst, z in zip(kept, _deviations(kept, groups, window), strict=True) if z <= _LARGEST_Z]
        kept = found or kept
    return kept


def of_one_size(bursts: Sequence[Burst], groups: Sequence[FeatureGroup]) -> list[Burst]:
    """Return the bursts whose pictures have the size that most have, of the first such burst if several are as many."""
    group = sized_group(groups)
    if group is None:
        return list(bursts)
    columns = size_columns(group)
    sizes = [tuple(np.median(b.groups[group.name].readings[:, columns], axis=0).round().tolist()) for b in bursts]
    usual = Counter(sizes).most_common(1)[0][0]
    return [burst for burst, size in zip(bursts, sizes, strict=True) if size == usual]


def _deviations(bursts: Sequence[Burst], groups: Sequence[FeatureGroup], window: int) -> _Numbers:
    """Return the largest deviation of each burst over all columns, in spreads of its neighbours."""
    worst = np.zeros(len(bursts))
    own = [group for group in groups if group.kind is GroupKind.COLUMNS]
    means = {group.name: np.array([_mean(burst.groups[group.name].readings) for burst in bursts]) for group in own}
    steps = {group.name: np.array([_mean(burst.groups[group.name].steps) for burst in bursts]) for group in own}
    known = {group.name: np.array([len(burst.groups[group.name].readings) > 0 for burst in bursts]) for group in own}
    neighbours = [_neighbours(bursts, burst) for burst in bursts]
    for number, near in enumerate(neighbours):
        for group in own:
            if not known[group.name][number]:
                continue
            among, smallest = near[known[group.name][near]], smallest_effects(group, window)
            if len(among) < _FEWEST_NEIGHBOURS:
                steady = _steady(group, groups)
                among = np.flatnonzero(known[group.name] & (np.arange(len(bursts)) != number))
                if not steady or len(among) < _FEWEST_NEIGHBOURS:
                    continue
                picked = np.array(list(steady))
                smallest = np.array(list(steady.values()))
            else:
                picked = np.arange(len(smallest))
            reference = np.median(means[group.name][among], axis=0).astype(np.float32)
            rows = np.concatenate([[number], among])
            compared = compared_columns(group, means[group.name][rows], steps[group.name][rows], reference)[:, picked]
            worst[number] = max(worst[number], _z(compared, smallest))
    return worst


def _mean(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return (q,) the means of rows (n, q); zeros where there is none."""
    return rows.mean(axis=0) if len(rows) else np.zeros(rows.shape[1], np.float32)


def _z(compared: npt.NDArray[np.float32], smallest: _Numbers) -> float:
    """Return how far the first row is from the median of the others, in their spreads, in its worst column."""
    middle = np.median(compared[1:], axis=0)
    of_few = 1 + _FEW / (len(compared) - 1)
    spread = of_few * MAD_TO_SIGMA * np.median(np.abs(compared[1:] - middle), axis=0)
    return float((np.abs(compared[0] - middle) / np.maximum(spread, _SHARE_OF_EFFECT * smallest)).max())


def _neighbours(bursts: Sequence[Burst], burst: Burst) -> npt.NDArray[np.intp]:
    """Return the bursts of other days that are nearest in the hour, and in what else may vary."""
    moments = [other.moment for other in bursts]
    hours = np.array([moment.hour for moment in moments])
    eligible = other_days(moments, burst.moment) & (hours_apart(hours, burst.moment.hour) <= _WITHIN_HOURS)
    apart = np.where(eligible, distances(moments, burst.moment), np.inf)
    return np.argsort(apart, kind="stable")[: min(_NEIGHBOURS, int(eligible.sum()))]


def _steady(group: FeatureGroup, groups: Sequence[FeatureGroup]) -> dict[int, float]:
    """Return the positions of the columns that light hardly moves, with their minimum effects."""
    return {
        position(group, column.column): column.minimum_effect
        for column in steady_columns(group, groups)
        if column.over is None and not column.at_similar_light
    }
