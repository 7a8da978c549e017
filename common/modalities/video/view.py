"""The view: a small grey picture of a frame, by which the judge sees that a camera was moved."""

from __future__ import annotations

import math

import cv2
import numpy as np

from common.features import FloatArray
from common.modalities.video.groups import VIEW_HEADER, VIEW_PIXELS
from common.modalities.video.sensors.planes import Planes

_MOST_SIDE = 255  # a group whose values are bytes takes one byte each where it is stored


def view_of(planes: Planes) -> FloatArray:
    """Return (size,) width and height of the small picture, its grey levels row by row, and zeros up to the end.

    Parameters
    ----------
    planes : of a frame at native resolution
    """
    luma = planes.luma
    width, height = view_size(luma.shape[1], luma.shape[0])
    small = cv2.resize(luma, (width, height), interpolation=cv2.INTER_AREA)
    values = np.zeros(VIEW_HEADER + VIEW_PIXELS, np.float32)
    values[:VIEW_HEADER] = width, height
    values[VIEW_HEADER : VIEW_HEADER + width * height] = small.ravel()
    return values


def view_size(width: int, height: int) -> tuple[int, int]:
    """Return width and height of the small picture of a frame of `width` x `height`: its shape, about as many pixels
    whatever its size.

    Examples
    --------
    >>> view_size(1920, 1080)
    (96, 54)
    """
    across = min(max(round(math.sqrt(VIEW_PIXELS * width / height)), VIEW_PIXELS // _MOST_SIDE + 1), _MOST_SIDE)
    return across, min(VIEW_PIXELS // across, _MOST_SIDE)
