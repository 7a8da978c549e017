"""Packet loss: the share of the picture in which a decoder shows something else than what the camera sent.

Where it has nothing to predict from it shows mid-grey, where its memory holds
zeros a green that no lens shows, and where it conceals a loss it draws the
pixels above down into the gap. All of it comes in runs of whole macroblocks.
What it fills with matching pixels of an earlier frame cannot be told from a
picture, and does little harm.
"""

from __future__ import annotations

import cv2
import numpy as np

from common.features import FloatArray
from common.modalities.video.sensors.planes import BAND, MACROBLOCK, Planes
from common.modalities.video.sensors.sensor import sensor

# Grey levels. What is painted is luma 128, which is 130 in full range, in every pixel; a plain wall seldom is both.
_GREY, _GREY_WITHIN, _FLAT = 130.4, 0.6, 0.1
_GREEN = (0, 128, 0), (8, 142, 8)  # RGB of luma and chroma 0, and what encoders make of it
_DRAWN_DOWN = 0.05  # grey levels, mean difference of each pixel to the one above
_TEXTURE = 2.0  # grey levels, to the one on its left; a shadow's edge on a plain wall changes by less
_RUN, _SHORT_RUN, _NARROW = (
    3,
    2,
    20,
)  # macroblocks; fewer in a row are a part of the scene. In narrow frames, short runs
_NOTHING, _MUCH = 0.001, 0.005  # shares of the picture: up to which a reading is 0, and from which it is 1


def _read(planes: Planes) -> FloatArray:
    mean, spread = planes.macroblocks
    grey = (spread < _FLAT) & (np.abs(mean - _GREY) < _GREY_WITHIN)
    down, across = _steps(planes)
    lost = grey | ((down < _DRAWN_DOWN) & (across > _TEXTURE))
    wide = lost.shape[-1]
    run = np.ones((1, _RUN if wide >= _NARROW else _SHORT_RUN), np.uint8)
    runs = cv2.morphologyEx(lost.reshape(-1, wide).astype(np.uint8), cv2.MORPH_OPEN, run)
    points = planes.points
    green = cv2.countNonZero(cv2.inRange(points, *map(np.array, _GREEN))) / (points.shape[0] * points.shape[1])
    share = float(runs.mean()) + green
    return np.array([min(share / _MUCH, 1.0) if share > _NOTHING else 0.0], np.float32)


def _steps(planes: Planes) -> tuple[FloatArray, FloatArray]:
    """Return the mean differences to the pixel above and to the pixel on the left, of each macroblock."""
    down, across = np.zeros_like(planes.bands), np.zeros_like(planes.bands)
    down[1:], across[:, 1:] = planes.steps_down, planes.steps_across
    down[::BAND] = 0  # the row above belongs to another band
    above, left = (
        planes.blocks(p.reshape(planes.count, BAND, -1).astype(np.uint16), MACROBLOCK) for p in (down, across)
    )
    return above, left


# 0 to 1; clean footage has never shown any, so one frame in twenty is enough.
PACKET_LOSS = sensor(_read, packet_loss=0.04)
