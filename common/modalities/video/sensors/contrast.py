"""Contrast of each tile: the spread of its luma. Fog and a dirty lens reduce it in all tiles, fog most in what is far
away."""

from __future__ import annotations

import numpy as np

from common.features import FloatArray
from common.modalities.video.sensors.planes import GRID, Planes, area_means
from common.modalities.video.sensors.sensor import Sensor, tiled


def _read_tiles(planes: Planes) -> FloatArray:
    luma = planes.luma.astype(np.float32)
    mean, square = area_means(luma, GRID), area_means(luma * luma, GRID)
    return np.asarray(np.log(np.sqrt(np.maximum(square - mean * mean, 0)) + 1).ravel(), np.float32)


def _read(planes: Planes) -> FloatArray:
    tiles = _read_tiles(planes)
    upper, lower = tiles.reshape(2, -1)
    return np.append(tiles, np.median(upper) - np.median(lower)).astype(np.float32)


# Natural log of (standard deviation in grey levels + 1). It depends on the scene too, so only a contrast nearly halved
# or doubled counts by itself. A smaller change helps the diagnosis to distinguish fog from a change of light.
_TILES = tiled(_read_tiles, GRID, contrast=0.6)
# Of the upper half of the picture over that of the lower, where things are near. What stands or moves in one of them
# changes it by nearly as much, so it fails no window, and tells the diagnosis fog from a veil.
_DEPTH = 1.0
CONTRAST = Sensor((*_TILES.names, "contrast_depth"), (*_TILES.minimum_effects, _DEPTH), _read)
