"""Blockiness: how much larger steps between pixels are at the borders of 8 x 8 blocks than beside them.

Encoders leave such steps when their bit rate is too low.
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
_CAP = 12  # grey levels; larger steps are edges of the scene
_OFFSET = 0.2  # grey levels, added to the denominator: a picture without steps gets the reading 0


def _read(planes: Planes) -> FloatArray:
    bands = planes.bands
    across = _steps(bands[:, 1:], bands[:, :-1])
    down = _steps(bands[1:], bands[:-1])
    # The step from the last row of a band to the first row of the next is left out.
    rows = np.append(_sums(down, 1), 0).reshape(planes.count, BAND)[:, :-1]
    profiles = (
        (_sums(across, 0) / bands.shape[0]).astype(np.float32),
        (rows.sum(axis=0) / (planes.count * bands.shape[1])).astype(np.float32),
    )
    return np.array([np.mean([_excess(profile) for profile in profiles])], np.float32)


def _steps(one: _Grey, other: _Grey) -> _Grey:
    """Return absolute differences, capped."""
    return np.asarray(cv2.threshold(cv2.absdiff(one, other), _CAP, _CAP, cv2.THRESH_TRUNC)[1], np.uint8)


def _sums(steps: _Grey, axis: int) -> npt.NDArray[np.int32]:
    """Return the sums of a plane over its rows (0) or its columns (1)."""
    return np.asarray(cv2.reduce(steps, axis, cv2.REDUCE_SUM, dtype=cv2.CV_32S), np.int32).ravel()


def _excess(profile: FloatArray) -> float:
    """Return how much larger the mean step is at block borders than beside them, as a share of the mean step."""
    beyond = profile[1:-1] - (profile[:-2] + profile[2:]) / 2
    border = np.arange(1, len(profile) - 1) % _BLOCK == _BLOCK - 1
    return float((beyond[border].mean() - beyond[~border].mean()) / (profile.mean() + _OFFSET))


BLOCKINESS = sensor(_read, blockiness=0.15)
