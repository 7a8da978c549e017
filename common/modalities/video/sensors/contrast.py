"""How far light and dark lie apart, tile by tile: fog and a dirty lens draw them together everywhere."""

from __future__ import annotations

import numpy as np

from common.features import FloatArray
from common.modalities.video.sensors.planes import GRID, Planes, area_means
from common.modalities.video.sensors.sensor import tiled


def _read(planes: Planes) -> FloatArray:
    luma = planes.luma.astype(np.float32)
    mean, square = area_means(luma, GRID), area_means(luma * luma, GRID)
    return np.asarray(np.log(np.sqrt(np.maximum(square - mean * mean, 0)) + 1).ravel(), np.float32)


# Natural log of the standard deviation in grey levels, plus one. What stands in the picture moves it too, so only a
# contrast nearly halved or doubled counts by itself; a smaller change helps to tell fog from light.
CONTRAST = tiled(_read, GRID, contrast=0.6)
