"""Direction of detail: how much more fine detail there is in one direction than across it.

Motion of the camera, and a long exposure, smear the picture along a line: detail
along it goes, detail across it stays. Blur without a direction takes both, noise
adds to both. Detail is the mean absolute second difference of neighbouring pixels.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from common.features import FloatArray
from common.modalities.video.sensors.planes import BAND, Planes
from common.modalities.video.sensors.sensor import sensor

_STRIP = 8  # rows that are taken together; without the first and the last, which have a neighbour on one side only
_PIXELS = 80_000  # in all strips; more take time and do not change the readings
_OFFSET = 0.5  # grey levels: without detail there is no direction
# Second differences along rows, along columns, and along both diagonals.
_ALONG = (
    np.array([[0, 0, 0], [1, -2, 1], [0, 0, 0]], np.float32),
    np.array([[0, 1, 0], [0, -2, 0], [0, 1, 0]], np.float32),
    np.array([[1, 0, 0], [0, -2, 0], [0, 0, 1]], np.float32),
    np.array([[0, 0, 1], [0, -2, 0], [1, 0, 0]], np.float32),
)


def _read(planes: Planes) -> FloatArray:
    strips = _strips(planes)
    across, down, falling, rising = (math.log(_detail(strips, kernel) + _OFFSET) for kernel in _ALONG)
    return np.array([across - down, falling - rising], np.float32)


def _strips(planes: Planes) -> npt.NDArray[np.uint8]:
    """Return (n * _STRIP, width) rows of the bands, in strips that are evenly spaced."""
    step = max(1, math.ceil(planes.bands.size / _PIXELS))
    width = planes.bands.shape[1]
    strips = planes.bands.reshape(planes.count * BAND // _STRIP, _STRIP, width)[::step]
    return np.ascontiguousarray(strips).reshape(-1, width)


def _detail(strips: npt.NDArray[np.uint8], kernel: FloatArray) -> float:
    """Return the mean absolute second difference inside the strips, grey levels."""
    differences = cv2.filter2D(strips, cv2.CV_16S, kernel)
    inside = np.asarray(np.abs(differences[:, 1:-1]), np.int16)
    sums = np.asarray(cv2.reduce(inside, 1, cv2.REDUCE_SUM, dtype=cv2.CV_32F), np.float32).reshape(-1, _STRIP)
    return float(np.mean(sums[:, 1:-1])) / int(inside.shape[1])


# Natural logs. Somebody who fills the picture moves them by up to 0.2, and so does strong compression; a smaller change
# helps the diagnosis to tell a smear from blur.
DIRECTION = sensor(_read, direction_across=0.3, direction_diagonal=0.3)
"""Along rows over along columns, and along the falling diagonal over along the rising one."""
