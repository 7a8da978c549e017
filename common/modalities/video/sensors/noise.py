"""Sensor noise, from the calmest parts of each tile.

The mask of Immerkaer ("Fast noise variance estimation", 1996) lets planes and
straight edges through as zero. Its mean absolute answer over blocks of 8 x 8
pixels is noise plus texture; the blocks with the least texture tell the noise.
"""

from __future__ import annotations

import cv2
import numpy as np

from common.features import FloatArray
from common.modalities.video.sensors.planes import GRID, Planes
from common.modalities.video.sensors.sensor import tiled

_SIDE = np.array([1, -2, 1], np.float32)  # the mask is this across times this down
_MASK_GAIN = 6.0  # root of the sum of its squares: how much it amplifies white noise
_MEAN_OF_NORMAL = 0.7979  # mean of |x| of a normal variable, in sigmas
_BLOCK = 8
_CALM = 0.25  # share of a tile's blocks that are taken for calm
_OFFSET = 0.5  # grey levels: below half a level, noise is quantisation


def _read(planes: Planes) -> FloatArray:
    # Whole numbers: exact, and half as wide as floats.
    answer = cv2.sepFilter2D(planes.bands, cv2.CV_16S, _SIDE, _SIDE)
    blocks = planes.blocks(np.abs(np.asarray(planes.inside(answer), np.int16)), _BLOCK)
    tiles = [_calm(part) for bands in planes.rows_of_tiles() for part in np.array_split(blocks[bands], GRID, axis=2)]
    return np.asarray(np.log(np.array(tiles) / (_MASK_GAIN * _MEAN_OF_NORMAL) + _OFFSET), np.float32)


def _calm(blocks: FloatArray) -> float:
    """Return the quantile of the calm blocks, interpolated; NumPy's own costs ten times as much."""
    ordered = np.sort(blocks, axis=None)
    at = _CALM * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return float(ordered[low] + (ordered[high] - ordered[low]) * (at - low))


NOISE = tiled(_read, GRID, noise=0.4)  # natural log of sigma in grey levels: half as much noise again
