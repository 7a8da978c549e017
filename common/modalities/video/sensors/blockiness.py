"""Blockiness and pixelation: what the steps between neighbouring pixels say about the blocks that a picture is made of.

Encoders leave larger steps at the borders of 8 x 8 blocks than beside them when
their bit rate is too low. A picture that was enlarged without smoothing has
whole columns and rows that repeat the one before.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from common.features import FloatArray
from common.modalities.video.sensors.planes import BAND, Planes
from common.modalities.video.sensors.sensor import sensor

_Grey = npt.NDArray[np.uint8]

_BLOCK = 8
_OFFSET = 0.2  # grey levels, added to the denominator: a picture without steps gets the reading 0
_AROUND = 31  # columns, or rows of a band, whose mean step a column or row is compared with
_REPEATS = 0.2  # of that mean: a smaller step is none
_STRUCTURE = 0.3  # grey levels; where the mean step is smaller there is nothing to repeat


def _read(planes: Planes) -> FloatArray:
    across, down = planes.small_steps
    columns = (_sums(across, 0) / across.shape[0]).astype(np.float32)
    # The step into the first row of a band is none.
    sums = _sums(down, 1).reshape(planes.count, BAND)[:, 1:]
    rows = (sums / down.shape[1]).astype(np.float32)
    over_all_bands = (sums.sum(axis=0) / (planes.count * down.shape[1])).astype(np.float32)
    blockiness = np.mean([_excess(columns), _excess(over_all_bands)])
    # Bars beside or above a picture are flat in one direction only.
    return np.array([blockiness, min(_repeated(columns[None]), _repeated(rows))], np.float32)


def _sums(steps: _Grey, axis: int) -> npt.NDArray[np.int32]:
    """Return the sums of a plane over its rows (0) or its columns (1)."""
    return np.asarray(cv2.reduce(steps, axis, cv2.REDUCE_SUM, dtype=cv2.CV_32S), np.int32).ravel()


def _excess(profile: FloatArray) -> float:
    """Return how much larger the mean step is at block borders than beside them, as a share of the mean step."""
    beyond = profile[1:-1] - (profile[:-2] + profile[2:]) / 2
    border = np.arange(1, len(profile) - 1) % _BLOCK == _BLOCK - 1
    return float((beyond[border].mean() - beyond[~border].mean()) / (profile.mean() + _OFFSET))


def _repeated(profiles: FloatArray) -> float:
    """Return the share of the mean steps in (n, length) profiles that are none beside those around them."""
    around = cv2.blur(profiles, (min(_AROUND, profiles.shape[1]), 1), borderType=cv2.BORDER_REFLECT)
    return float(((profiles < around * _REPEATS) & (around > _STRUCTURE)).mean())


BLOCKINESS = sensor(_read, blockiness=0.15, pixelation=0.02)  # pixelation: share of columns and rows
