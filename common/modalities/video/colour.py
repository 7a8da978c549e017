"""Conversion between YUV and RGB in both directions, without a bias.

libswscale's fast conversion rounds down. It darkens every frame by about one
grey level, and a re-encoded copy by another one, which a brightness sensor
detects. Its exact conversion takes as long as decoding. OpenCV's conversion is
unbiased, faster than both, and gives identical results on every machine, but it
supports only 8-bit 4:2:0 in the limited range, which nearly all cameras send.
All other formats are converted by libswscale's exact conversion.
"""

from __future__ import annotations

import av
import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter

from common.features import Image

_EXACT = (
    Interpolation.BILINEAR
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
    | Interpolation.BITEXACT
)
_TO_YUV = Interpolation.AREA | Interpolation.ACCURATE_RND | Interpolation.BITEXACT


def is_limited_420(frame: VideoFrame) -> bool:
    """Return whether `frame` is 8-bit 4:2:0 in the limited range, with sides of even length."""
    limited = frame.format.name == "yuv420p" and frame.color_range != ColorRange.JPEG
    return limited and frame.width % 2 == 0 and frame.height % 2 == 0


class ToRgb:
    """Converts decoded frames of any pixel format and size to RGB. Use one instance per video.

    8-bit 4:2:0 frames are converted by BT.601 whatever the container declares:
    the declaration is often missing, and a camera that starts to send it has not
    drifted.
    """

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def __call__(self, frame: VideoFrame) -> Image:
        """Return `frame` as (height, width, 3) uint8, RGB."""
        if is_limited_420(frame):
            return np.asarray(cv2.cvtColor(frame.to_ndarray(), cv2.COLOR_YUV2RGB_I420), np.uint8)
        exact = self._reformatter.reformat(frame, format="rgb24", interpolation=_EXACT, threads=1)
        return np.asarray(exact.to_ndarray(), np.uint8)


class FromRgb:
    """Converts RGB images to 8-bit 4:2:0 in the limited range. Use one instance per video."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def __call__(self, image: Image) -> VideoFrame:
        """Return `image`, (height, width, 3) uint8 with sides of even length, as a frame to encode."""
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        return self._reformatter.reformat(frame, format="yuv420p", interpolation=_TO_YUV, threads=1)
