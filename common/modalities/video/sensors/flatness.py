"""Parts of the picture in which nothing is seen: something hangs in front of the lens, or the signal is gone."""

from __future__ import annotations

import numpy as np

from common.features import FloatArray
from common.modalities.video.sensors.planes import BAND, Planes
from common.modalities.video.sensors.sensor import sensor

_TILE = 16  # pixels
_FLAT = 0.7  # grey levels; a standard deviation below it is quantisation
_DARK, _CALM = 40.0, 3.0  # grey levels: a dark cover shows no more than a sensor's noise


def _read(planes: Planes) -> FloatArray:
    bands = planes.fine.reshape(planes.count, BAND, -1)
    mean, square = planes.blocks(bands, _TILE), planes.blocks(np.square(bands), _TILE)
    spread = np.sqrt(np.maximum(square - mean * mean, 0))
    return np.array([(spread < _FLAT).mean(), ((spread < _CALM) & (mean < _DARK)).mean()], np.float32)


FLATNESS = sensor(_read, flat_area=0.10, dark_area=0.08)  # shares of the frame
