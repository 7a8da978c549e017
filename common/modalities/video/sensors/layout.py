"""Layout: where in the picture light and detail lie. It changes when the camera is moved.

Families whose names start with `layout` measure how much the tiles are
rearranged relative to the baseline; see `common.drift.feature_groups`.
"""

from __future__ import annotations

import cv2
import numpy as np

from common.features import FloatArray
from common.modalities.video.sensors.planes import GRID, Planes, area_means
from common.modalities.video.sensors.sensor import Sensor, tiled

_LIGHT_GRID = 8  # a camera that turns by a tenth of its field of view moves everything by about one tile
_OFFSET = 4.0  # grey levels
_DETAIL_OFFSET = 0.5


def _read_light(planes: Planes) -> FloatArray:
    fields = area_means(planes.luma, _LIGHT_GRID)
    return np.asarray(((fields + _OFFSET) / (fields.mean() + _OFFSET)).ravel(), np.float32)


def _read_detail(planes: Planes) -> FloatArray:
    # At half scale, where noise and compression have little effect.
    half = cv2.resize(planes.fine, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    detail = np.abs(cv2.Laplacian(half, cv2.CV_32F)).astype(np.float32)
    return np.asarray(np.log(planes.tile_means(detail, 2) + _DETAIL_OFFSET).ravel(), np.float32)


_LIGHT = tiled(_read_light, _LIGHT_GRID, layout_light=0.025)  # share of the mean light
_DETAIL = tiled(_read_detail, GRID, layout_detail=0.08)  # natural log of the mean absolute Laplacian, grey levels
LAYOUT = Sensor(
    _LIGHT.names + _DETAIL.names,
    _LIGHT.minimum_effects + _DETAIL.minimum_effects,
    lambda planes: np.concatenate([_LIGHT.read(planes), _DETAIL.read(planes)]),
)
