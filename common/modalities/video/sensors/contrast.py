"""Contrast of each tile: the spread of its luma. Fog and a dirty lens reduce it in all tiles."""

from __future__ import annotations

import numpy as np

from common.features import FloatArray
from common.modalities.video.sensors.planes import GRID, Planes, area_means
from common.modalities.video.sensors.sensor import tiled


def _read(planes: Planes) -> FloatArray:
    luma = planes.luma.astype(np.float32)
    mean, square = area_means(luma, GRID), area_means(luma * luma, GRID)
    return np.asarray(np.log(np.sqrt(np.maximum(square - mean * mean, 0)) + 1).ravel(), np.float32)


# Natural log of (standard deviation in grey levels + 1). It depends on the scene too, so only a contrast nearly halved
# or doubled counts by itself. A smaller change helps the diagnosis to distinguish fog from a change of light.
CONTRAST = tiled(_read, GRID, contrast=0.6)
