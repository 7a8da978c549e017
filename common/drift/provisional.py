"""Judging in an hour that was never learned: by what light hardly moves, what needs no history, and steps that last.

What this cannot do: a light or a colour that is wrong from the first frame on, or that
goes wrong slowly, cannot be told from an hour that simply looks like that. A step is seen
only while it lies inside the window, with a dozen frames before and after it; windows
that overlap by three quarters see each step twice, and no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.contracts.feature_groups import Ambient, FeatureGroup, GroupKind, SteadyColumn
from common.drift.ambient import light_of, mean_of, position, raw_column, steady_columns
from common.drift.calibration import MARGIN_SHARE, ks_p_value
from common.drift.feature_groups import between_samples, compared_minimum_effects
from common.drift.learned import Reference
from common.drift.statistics import kolmogorov_smirnov, sort_reference, wasserstein
from common.drift.steps import ambient_steps
from common.features import FeatureBlock

Array = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.float64]

_FRAMES_PER_INDEPENDENT, _FEWEST_INDEPENDENT = 16, 3.0  # autocorrelation leaves about 3 of 48 frames independent
_SIMILAR_LIGHT = 0.3  # natural log, half a stop
_STEP_MARGIN = 1.25  # over the largest step in the golden bursts
_OFFSET = 0.05  # added to both columns of a ratio: a little haze over a picture with deep blacks is no fog
NO_HISTORY_P_VALUE = 0.01
"""p-value that is stated for what needs no history: a camera that works never shows it."""
STEP_P_VALUE = 0.04
"""p-value that is stated for a step."""


@dataclass(frozen=True)
class Provisional:
    """What can be judged of a group in an unknown hour; all attributes are (f,).

    Attributes
    ----------
    distances : from golden footage; of steps, their size; of what needs no history, the mean over the window
    limits : distances beyond which each column fails; infinite for a column that is not judged
    p_values : 1 for a column that is not judged
    changes : signed changes that the cause is named by; 0 for a column that is not judged
    steps : whether it is a step within the window that was judged: two windows apart do not see the same one
    """

    distances: Numbers
    limits: Numbers
    p_values: Numbers
    changes: Numbers
    steps: npt.NDArray[np.bool_]

    @classmethod
    def nothing(cls, count: int) -> Provisional:
        nothing = np.zeros(count)
        return cls(nothing, np.full(count, np.inf), np.ones(count), nothing.copy(), np.zeros(count, np.bool_))

    def without(self, columns: npt.NDArray[np.bool_]) -> Provisional:
        """Return it with some columns, (f,), that are not judged."""
        return Provisional(
            np.where(columns, 0.0, self.distances),
            np.where(columns, np.inf, self.limits),
            np.where(columns, 1.0, self.p_values),
            np.where(columns, 0.0, self.changes),
            self.steps & ~columns,
        )

    def note(self, at: int, distance: float, limit: float, p_value: float, change: float) -> None:
        """Enter one column."""
        self.distances[at], self.limits[at], self.p_values[at], self.changes[at] = distance, limit, p_value, change


def judge_provisionally(
    group: FeatureGroup, groups: Sequence[FeatureGroup], window: FeatureBlock, columns: Array, reference: Reference
) -> Provisional:
    """Return what can be judged of one group of a window whose hour is not known.

    Parameters
    ----------
    columns : (n, f) of the window, as they are compared with the pooled bursts; (0, f) if they cannot be
    """
    found = Provisional.nothing(len(compared_minimum_effects(group)))
    if not len(columns) and group.kind is GroupKind.COLUMNS:
        return found
    judged = _judged(group, groups, window, reference)
    size = np.full(1, max(len(window) / _FRAMES_PER_INDEPENDENT, _FEWEST_INDEPENDENT))
    for steady in judged:
        at, effect = position(group, steady.column), steady.minimum_effect
        before, now = _columns(group, steady, reference, window, columns[:, at : at + 1])
        p_value = float(ks_p_value(kolmogorov_smirnov(before, now, MARGIN_SHARE * effect), size)[0]) * len(judged)
        found.note(at, float(wasserstein(before, now)[0]), effect, min(p_value, 1.0), float(now.mean() - before.mean()))
    if group.ambient is not None:
        _note_steps(found, group, group.ambient, window, reference)
    return found


def _note_steps(
    found: Provisional, group: FeatureGroup, ambient: Ambient, window: FeatureBlock, reference: Reference
) -> None:
    """Enter the columns that step, and those that need no history."""
    readings = window.groups[group.name]
    between = between_samples(group, window, reference.segment.span_of(window))
    for name, step in ambient_steps(group, readings, between).items():
        at = position(group, name)
        # Footage with cuts has steps by itself.
        limit = max(ambient.steps[name], _STEP_MARGIN * reference.steps.get(name, 0.0))
        found.note(at, abs(step), limit, STEP_P_VALUE, step)
        found.steps[at] = True
    for name, limit in ambient.without_history.items():
        mean = mean_of(group, readings, between, name)
        found.note(position(group, name), mean, limit, NO_HISTORY_P_VALUE, mean)


def needs_no_history(group: FeatureGroup, window: FeatureBlock, reference: Reference) -> npt.NDArray[np.bool_]:
    """Return (f,) which columns of a window fail without any history, and are not like that in golden footage."""
    found = np.zeros(len(compared_minimum_effects(group)), np.bool_)
    if group.ambient is None:
        return found
    golden, readings = reference.segment.groups[group.name].values, window.groups[group.name]
    between = between_samples(group, window, reference.segment.span_of(window))
    for name, limit in group.ambient.without_history.items():
        at = position(group, name)
        found[at] = mean_of(group, readings, between, name) >= limit and float(golden[:, at].mean()) < limit / 2
    return found


def _judged(
    group: FeatureGroup, groups: Sequence[FeatureGroup], window: FeatureBlock, reference: Reference
) -> list[SteadyColumn]:
    light, _ = light_of(groups, window.groups)
    similar = abs(light - reference.light) <= _SIMILAR_LIGHT
    return [steady for steady in steady_columns(group, groups) if similar or not steady.at_similar_light]


def _columns(
    group: FeatureGroup, steady: SteadyColumn, reference: Reference, window: FeatureBlock, now: Array
) -> tuple[Array, Array]:
    """Return a steady column of the pooled bursts, sorted, and of the window, as (m, 1) and (n, 1).

    Parameters
    ----------
    now : (n, 1) the column of the window by itself
    """
    if steady.over is None:
        at = position(group, steady.column)
        return reference.segment.groups[group.name].values[:, at : at + 1], now
    before = np.concatenate([burst.groups[group.name].readings for burst in reference.bursts])
    return (
        sort_reference(_ratio(group, before, steady.column, steady.over)),
        _ratio(group, window.groups[group.name], steady.column, steady.over),
    )


def _ratio(group: FeatureGroup, readings: Array, column: str, over: str) -> Array:
    above, below = raw_column(group, readings, column), raw_column(group, readings, over)
    return np.asarray(np.log((above + _OFFSET) / (below + _OFFSET))[:, None], np.float32)
