"""Noise of the image sensor, estimated from the blocks of each tile that have the least texture.

The mask of Immerkaer ("Fast noise variance estimation", 1996) responds neither
to uniform slopes nor to straight horizontal or vertical edges. Its mean absolute
response over a block of 8 x 8 pixels measures noise plus texture, so the lower
quartile over the blocks of a tile is mostly noise.
"""

from __future__ import annotations

import cv2
import numpy as np

from common.features import FloatArray
from common.modalities.video.sensors.planes import GRID, Planes
from common.modalities.video.sensors.sensor import tiled

_MASK_FACTOR = np.array([1, -2, 1], np.float32)  # the mask is the outer product of this with itself
_MASK_GAIN = 6.0  # root of the sum of the mask's squares: its gain for white noise
_MEAN_OF_NORMAL = 0.7979  # mean absolute value of a normal variable, in standard deviations
_BLOCK = 8
_CALM = 0.25  # quantile over the blocks of a tile
_OFFSET = 0.5  # grey levels; less noise than that is quantisation


def _read(planes: Planes) -> FloatArray:
    # 16-bit integers are exact, and half as wide as floats.
    response = cv2.sepFilter2D(planes.bands, cv2.CV_16S, _MASK_FACTOR, _MASK_FACTOR)
    blocks = planes.blocks(np.abs(np.asarray(planes.inside(response), np.int16)), _BLOCK)
    tiles = [_calm(part) for bands in planes.rows_of_tiles() for part in np.array_split(blocks[bands], GRID, axis=2)]
    return np.asarray(np.log(np.array(tiles) / (_MASK_GAIN * _MEAN_OF_NORMAL) + _OFFSET), np.float32)


def _calm(blocks: FloatArray) -> float:
    """Return the lower quartile of the blocks, interpolated; `np.quantile` takes ten times as long."""
    ordered = np.sort(blocks, axis=None)
    at = _CALM * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return float(ordered[low] + (ordered[high] - ordered[low]) * (at - low))


NOISE = tiled(
    _read, GRID, noise=0.4
)  # natural log of the standard deviation in grey levels; 0.4 is half as much noise again
