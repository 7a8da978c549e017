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
import numpy.typing as npt

from common.features import FloatArray
from common.modalities.video.sensors.planes import BAND, MACROBLOCK, Planes
from common.modalities.video.sensors.sensor import sensor

_Mask = npt.NDArray[np.bool_]

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
    share = _green(planes) + _in_runs(_grey(planes) | _drawn_down(planes))
    return np.array([min(share / _MUCH, 1.0) if share > _NOTHING else 0.0], np.float32)


def _green(planes: Planes) -> float:
    """Return the share of the points that are green together with their neighbours: single ones are noise."""
    green = cv2.inRange(planes.points, *map(np.array, _GREEN))
    return float(cv2.morphologyEx(green, cv2.MORPH_OPEN, np.ones((2, 2), np.uint8)).mean()) / 255


def _grey(planes: Planes) -> _Mask:
    mean, spread = planes.macroblocks
    return np.asarray((spread < _FLAT) & (np.abs(mean - _GREY) < _GREY_WITHIN))


def _drawn_down(planes: Planes) -> _Mask:
    across, down = planes.small_steps
    flat = _block_means(planes, down) < _DRAWN_DOWN
    if not _in_runs(flat):
        return np.zeros_like(flat)
    left = np.zeros_like(down)
    left[:, 1:] = across
    return np.asarray(flat & (_block_means(planes, left) > _TEXTURE))


def _block_means(planes: Planes, steps: npt.NDArray[np.uint8]) -> FloatArray:
    return planes.blocks(steps.reshape(planes.count, BAND, -1), MACROBLOCK)


def _in_runs(lost: _Mask) -> float:
    """Return the share of the macroblocks that are lost together with their neighbours in the row."""
    wide = lost.shape[-1]
    run = np.ones((1, _RUN if wide >= _NARROW else _SHORT_RUN), np.uint8)
    return float(cv2.morphologyEx(lost.reshape(-1, wide).astype(np.uint8), cv2.MORPH_OPEN, run).mean())


# 0 to 1; clean footage has never shown any, so one frame in twenty is enough.
PACKET_LOSS = sensor(_read, packet_loss=0.04)
