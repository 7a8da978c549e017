"""Flatness: the share of the picture without any structure, as when the lens is covered or the signal is lost."""

from __future__ import annotations

import numpy as np

from common.features import FloatArray
from common.modalities.video.sensors.planes import Planes
from common.modalities.video.sensors.sensor import sensor

_FLAT = 0.7  # grey levels; a smaller standard deviation is quantisation
_DARK, _CALM = 40.0, 3.0  # grey levels, mean and standard deviation: a dark cover shows only the noise of the camera


def _read(planes: Planes) -> FloatArray:
    mean, spread = planes.macroblocks
    return np.array([(spread < _FLAT).mean(), ((spread < _CALM) & (mean < _DARK)).mean()], np.float32)


FLATNESS = sensor(_read, flat_area=0.10, dark_area=0.08)  # shares of the frame
