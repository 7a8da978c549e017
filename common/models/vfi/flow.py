"""Half-way warps: each neighbour moved half of the motion between them, by DIS optical flow.

Kroeger, Timofte, Dai and Van Gool: Fast Optical Flow using Dense Inverse Search, ECCV 2016; OpenCV's implementation.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from common.features import FloatArray, Image
from common.models.vfi.triplets import TripletArray

WarpArray = npt.NDArray[np.uint8]
"""(n, 2, height, width, 3) uint8 RGB: the previous and the next frame, each warped to the time of the middle frame."""


def halfway_warps(triplets: TripletArray) -> WarpArray:
    """Return the half-way warps (n, 2, h, w, 3) of triplets (n, 3, h, w, 3); their middle frames are not used.

    The motion is half the difference of the flow there and the flow back, so triplets that are mirrored in time have
    the same two warps in the other order.
    """
    estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    warps = np.empty((len(triplets), 2, *triplets.shape[2:]), np.uint8)
    for pair, (previous, _, following) in zip(warps, triplets, strict=True):
        first, last = (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (previous, following))
        # OpenCV's stubs do not know that None asks for a new array.
        there = np.asarray(estimator.calc(first, last, None), np.float32)  # type: ignore[call-overload]
        back = np.asarray(estimator.calc(last, first, None), np.float32)  # type: ignore[call-overload]
        motion = (there - back) / 2.0
        pair[0], pair[1] = _moved(previous, motion, -0.5), _moved(following, motion, 0.5)
    return warps


def _moved(image: Image, motion: FloatArray, share: float) -> Image:
    """Return `image` sampled at each pixel's place plus a share of `motion` (h, w, 2), in pixels."""
    height, width = image.shape[:2]
    x = np.arange(width, dtype=np.float32) + share * motion[..., 0]
    y = np.arange(height, dtype=np.float32)[:, None] + share * motion[..., 1]
    return np.asarray(cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)
