"""Light: luma of each tile and strip, black and white levels, and the shares of pixels clipped at both ends of the
scale."""

from __future__ import annotations

import cv2
import numpy as np

from common.features import FloatArray
from common.modalities.video.sensors.planes import GRID, Planes, area_means
from common.modalities.video.sensors.sensor import Sensor, sensor, tiled

LUMA, STRIP = "luma", "strip"
"""Families of readings: tiles, and strips of rows over the whole width."""
_STRIPS = 16  # lamps on mains pulse 100 or 120 times a second, which makes three or four bands in a frame of 1/30 s
_CRUSHED, _BLOWN = 8, 247  # grey levels
_OFFSET = 4.0  # grey levels, added before the logarithm because smaller values are dominated by rounding
_NO_SIGNAL = 16  # grey levels; a frame whose white level is lower shows nothing


def _read_tiles(planes: Planes) -> FloatArray:
    return np.asarray(np.log(area_means(planes.luma, GRID) + _OFFSET).ravel(), np.float32)


def _read_strips(planes: Planes) -> FloatArray:
    rows = cv2.resize(planes.luma.astype(np.float32), (1, _STRIPS), interpolation=cv2.INTER_AREA)
    return np.asarray(np.log(rows.ravel() + _OFFSET), np.float32)


def _read_levels(planes: Planes) -> FloatArray:
    counted = cv2.calcHist([planes.luma], [0], None, [256], [0, 256])
    histogram = np.asarray(counted, np.float64).ravel() / planes.luma.size
    cumulative = np.cumsum(histogram)
    black = int(np.searchsorted(cumulative, 0.01))
    white = min(int(np.searchsorted(cumulative, 0.99)), 255)
    lost = histogram[: _CRUSHED + 1].sum(), histogram[_BLOWN:].sum()
    return np.array([black / 255, white / 255, *lost, float(white < _NO_SIGNAL)], np.float32)


_TILES = tiled(_read_tiles, GRID, **{LUMA: 0.08})  # natural log; a ninth of a stop
_LEVELS = sensor(
    _read_levels,
    black_level=0.09,  # first percentile, 0 to 1; haze of a tenth raises it by up to 0.09
    white_level=0.06,  # 99th percentile, 0 to 1
    # Shares of pixels. A tenth more or less light moves a bright sky to white, or off it: luma says how much it is.
    clipped_dark=0.14,
    clipped_bright=0.35,
    blackout=0.05,  # 1 if the frame shows nothing, else 0; the minimum effect is one frame in twenty
)
_ROWS = Sensor(tuple(f"{STRIP}.{strip:02d}" for strip in range(_STRIPS)), (0.08,) * _STRIPS, _read_strips)
LIGHT = Sensor(
    _TILES.names + _LEVELS.names + _ROWS.names,
    _TILES.minimum_effects + _LEVELS.minimum_effects + _ROWS.minimum_effects,
    lambda planes: np.concatenate([_TILES.read(planes), _LEVELS.read(planes), _ROWS.read(planes)]),
)
