"""Steps: changes of level that happen at once and last, which light does not make."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from common.contracts.feature_groups import FeatureGroup
from common.drift.ambient import position
from common.drift.feature_groups import compared_columns, reference_medians

STEP_FRAMES = 12
"""Frames before and after a step: its new level has to last so long. A window of fewer than twice as many has none:
what passes by lasts as long as a shorter step."""
_STEP_WITHIN = 2  # frames that a step may take; clouds take longer
_STEP_SHARE = 0.7  # of the change that has to happen within them
_LASTS = 0.25  # quantile of both levels that the step lies between: an object that passes leaves again


def lasting_step(values: npt.NDArray[np.float32]) -> float:
    """Return the largest change of level in values (n,) that happens within two frames and lasts, with its sign; 0 if
    there is none.

    Examples
    --------
    >>> level = np.zeros(48, np.float32)
    >>> level[20:] = -0.3
    >>> round(lasting_step(level), 2)
    -0.3
    >>> level[24:] = 0.0
    >>> lasting_step(level)
    0.0
    """
    count = len(values) - 2 * STEP_FRAMES - _STEP_WITHIN + 2
    if count < 1:
        return 0.0
    levels = sliding_window_view(values, STEP_FRAMES)
    before, after = levels[:count], levels[STEP_FRAMES + _STEP_WITHIN - 1 :][:count]
    signs = np.where(np.median(after, axis=1) > np.median(before, axis=1), np.float32(1), np.float32(-1))
    low = np.quantile(signs[:, None] * after, _LASTS, axis=1)
    sizes = low - np.quantile(signs[:, None] * before, 1 - _LASTS, axis=1)
    jumps = values[STEP_FRAMES + _STEP_WITHIN - 1 :][:count] - values[STEP_FRAMES - 1 :][:count]
    sizes = np.where(signs * jumps >= _STEP_SHARE * sizes, sizes, 0.0)
    largest = int(np.argmax(sizes))
    return float(signs[largest] * max(sizes[largest], 0.0))


def ambient_steps(
    group: FeatureGroup, readings: npt.NDArray[np.float32], between: npt.NDArray[np.float32]
) -> dict[str, float]:
    """Return the largest lasting step, with its sign, of each column that light never moves in one.

    Parameters
    ----------
    readings : (n, q) stored columns of the group, frames in order
    between : (n, k) of the same frames, from `feature_groups.between_samples`
    """
    if group.ambient is None:
        return {}
    # Each tile is held against itself over the frames, so that an object in some of them is no step of the picture.
    own = compared_columns(group, readings, between, reference_medians(readings))
    return {name: lasting_step(own[:, position(group, name)]) for name in group.ambient.steps}
