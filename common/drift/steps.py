"""Steps: changes of level that happen at once and last, which light does not make."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

STEP_FRAMES = 12
"""Frames before and after a step: its new level has to last so long. In windows of fewer than 48 frames a quarter."""
_SHORTEST_STEP = 4  # a window of a few pictures, minutes apart, has no steps
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
    largest, lasts = 0.0, min(STEP_FRAMES, len(values) // 4)
    if lasts < _SHORTEST_STEP:
        return 0.0
    for at in range(lasts, len(values) - lasts - _STEP_WITHIN + 2):
        before = values[at - lasts : at]
        after = values[at + _STEP_WITHIN - 1 : at + _STEP_WITHIN - 1 + lasts]
        sign = 1.0 if np.median(after) > np.median(before) else -1.0
        size = float(np.quantile(sign * after, _LASTS) - np.quantile(sign * before, 1 - _LASTS))
        jump = sign * float(values[at + _STEP_WITHIN - 1] - values[at - 1])
        if size > abs(largest) and jump >= _STEP_SHARE * size:
            largest = sign * size
    return largest
