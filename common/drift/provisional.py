"""Judging in an hour that was never learned: by what light hardly moves, what needs no history, and steps that last.

What this cannot do: a light or a colour that is wrong from the first frame on, or that
goes wrong slowly, cannot be told from an hour that simply looks like that. A step is seen
only while it lies inside the window, with a dozen frames before and after it; windows
that overlap by three quarters see each step twice, and no more.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from common.contracts.feature_groups import Ambient, FeatureGroup, SteadyColumn
from common.drift.ambient import ambient_group, position, raw_column
from common.drift.calibration import ks_p_value
from common.drift.feature_groups import between_samples, compared_minimum_effects, compared_names
from common.drift.learned import Reference
from common.drift.statistics import kolmogorov_smirnov, sort_reference, wasserstein
from common.features import FeatureBlock

Numbers = npt.NDArray[np.float64]

_FRAMES_PER_INDEPENDENT, _FEWEST_INDEPENDENT = 16, 3.0  # autocorrelation leaves about 3 of 48 frames independent
STEP_FRAMES = 12
"""Frames before and after a step: its new level has to last so long."""
_STEP_WITHIN = 2  # frames that a step may take; clouds take longer
_STEP_SHARE = 0.7  # of the change that has to happen within them
_LASTS = 0.25  # quantile of the new level that has to reach the step: an object that passes leaves again
_SIMILAR_LIGHT = 0.3  # natural log, half a stop
_OFFSET = 0.01  # added to both columns of a ratio, whose rounding would count for more
_MARGIN = 0.75  # of the effect, as for the bounds of known hours
NO_HISTORY_P_VALUE = 0.01
"""p-value that is stated for what needs no history: a camera that works never shows it."""
STEP_P_VALUE = 0.04
"""p-value that is stated for a step."""


def provisional_columns(
    group: FeatureGroup, groups: Sequence[FeatureGroup], window: FeatureBlock, reference: Reference
) -> tuple[Numbers, Numbers, Numbers]:
    """Return (f,) distances, (f,) distances beyond which each column fails, and (f,) p-values.

    A column that is not judged has an infinite limit and the p-value 1.
    """
    count = len(compared_minimum_effects(group))
    distances, limits, p_values = np.zeros(count), np.full(count, np.inf), np.ones(count)
    found = ambient_group(groups)
    if found is None or found[0] is not group:
        return distances, limits, p_values
    ambient = found[1]
    judged = _judged(ambient, group, window, reference)
    size = np.full(1, max(len(window) / _FRAMES_PER_INDEPENDENT, _FEWEST_INDEPENDENT))
    for steady in judged:
        at = position(group, steady.column)
        before, now = _columns(group, steady, reference, window, at)
        limits[at] = steady.minimum_effect
        distances[at] = float(wasserstein(before, now)[0])
        statistic = kolmogorov_smirnov(before, now, _MARGIN * steady.minimum_effect)
        p_values[at] = min(float(ks_p_value(statistic, size)[0]) * len(judged), 1.0)
    for name, smallest in ambient.steps.items():
        at = position(group, name)
        step = lasting_step(raw_column(group, window.groups[group.name], name))
        distances[at], limits[at], p_values[at] = step, smallest, STEP_P_VALUE
    for name, limit in ambient.without_history.items():
        at = position(group, name)
        distances[at], limits[at], p_values[at] = _mean(group, window, name), limit, NO_HISTORY_P_VALUE
    return distances, limits, p_values


def _judged(ambient: Ambient, group: FeatureGroup, window: FeatureBlock, reference: Reference) -> list[SteadyColumn]:
    light = float(np.median(raw_column(group, window.groups[group.name], ambient.light)))
    similar = abs(light - reference.light) <= _SIMILAR_LIGHT
    return [steady for steady in ambient.steady if similar or not steady.at_similar_light]


def _columns(
    group: FeatureGroup, steady: SteadyColumn, reference: Reference, window: FeatureBlock, at: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return a steady column of the pooled bursts, sorted, and of the window, as (m, 1) and (n, 1)."""
    if steady.over is None:
        own = reference.segment.groups[group.name]
        return own.values[:, at : at + 1], own.columns_of(group, window)[:, at : at + 1]
    before = np.concatenate([burst.groups[group.name].readings for burst in reference.bursts])
    return (
        sort_reference(_ratio(group, before, steady.column, steady.over)),
        _ratio(group, window.groups[group.name], steady.column, steady.over),
    )


def _ratio(group: FeatureGroup, readings: npt.NDArray[np.float32], column: str, over: str) -> npt.NDArray[np.float32]:
    above, below = raw_column(group, readings, column), raw_column(group, readings, over)
    return np.asarray(np.log((above + _OFFSET) / (below + _OFFSET))[:, None], np.float32)


def _mean(group: FeatureGroup, window: FeatureBlock, name: str) -> float:
    names, steps = compared_names(group), between_samples(group, window)
    if steps.shape[1] and name in names[-steps.shape[1] :]:
        return float(steps[:, names[-steps.shape[1] :].index(name)].mean())
    return float(raw_column(group, window.groups[group.name], name).mean())


def lasting_step(values: npt.NDArray[np.float32]) -> float:
    """Return the largest change of level in values (n,) that happens within two frames and lasts; 0 if there is none.

    Examples
    --------
    >>> level = np.zeros(48, np.float32)
    >>> level[20:] = 0.3
    >>> round(lasting_step(level), 2)
    0.3
    >>> level[24:] = 0.0
    >>> lasting_step(level)
    0.0
    """
    largest = 0.0
    for at in range(STEP_FRAMES, len(values) - STEP_FRAMES - _STEP_WITHIN + 2):
        before = float(np.median(values[at - STEP_FRAMES : at]))
        after = values[at + _STEP_WITHIN - 1 : at + _STEP_WITHIN - 1 + STEP_FRAMES] - before
        sign = 1.0 if np.median(after) > 0 else -1.0
        size = float(np.quantile(sign * after, _LASTS))
        jump = sign * float(values[at + _STEP_WITHIN - 1] - values[at - 1])
        if size > largest and jump >= _STEP_SHARE * size:
            largest = size
    return largest
