"""White balance and saturation of each tile."""

from __future__ import annotations

import cv2
import numpy as np

from common.features import FloatArray
from common.modalities.video.sensors.planes import GRID, Planes, area_means
from common.modalities.video.sensors.sensor import tiled

_OFFSET = 8.0  # grey levels; without it, ratios of dark channels would be noise


def _read(planes: Planes) -> FloatArray:
    red, green, blue = np.moveaxis(area_means(planes.points, GRID), 2, 0) + _OFFSET
    channels = cv2.split(planes.points)
    most = cv2.max(cv2.max(channels[0], channels[1]), channels[2]).astype(np.float32)
    least = cv2.min(cv2.min(channels[0], channels[1]), channels[2])
    vivid = (most - least) / (most + _OFFSET)
    return np.concatenate([np.log(red / green).ravel(), np.log(blue / green).ravel(), area_means(vivid, GRID).ravel()])


# Balances are natural logs of ratios of channels, saturation lies in 0 to 1. A ratio changed by 3% is hardly visible
# even side by side.
COLOUR = tiled(_read, GRID, red_balance=0.03, blue_balance=0.03, saturation=0.05)
