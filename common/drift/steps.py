"""Steps: changes of level that happen at once and last, which light does not make."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

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
    largest = 0.0
    for at in range(STEP_FRAMES, len(values) - STEP_FRAMES - _STEP_WITHIN + 2):
        before = values[at - STEP_FRAMES : at]
        after = values[at + _STEP_WITHIN - 1 : at + _STEP_WITHIN - 1 + STEP_FRAMES]
        sign = 1.0 if np.median(after) > np.median(before) else -1.0
        size = float(np.quantile(sign * after, _LASTS) - np.quantile(sign * before, 1 - _LASTS))
        jump = sign * float(values[at + _STEP_WITHIN - 1] - values[at - 1])
        if size > abs(largest) and jump >= _STEP_SHARE * size:
            largest = sign * size
    return largest
