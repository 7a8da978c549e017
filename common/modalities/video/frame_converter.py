"""One decoded picture and three looks at it: all of it, a small one for the backbone, the sensors' planes.

A video's frame is never converted to RGB as a whole unless somebody asks for
that: the small look is scaled from its own planes (YUV), and the sensors pick
what they need. At 1080p that takes a tenth of the time.
"""

from __future__ import annotations

from functools import cached_property
from typing import Protocol

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter

from common.features import Image
from common.modalities.video.colour import ToRgb, is_limited_420
from common.modalities.video.sensors.planes import Planes

_Plane = npt.NDArray[np.uint8]

# The mean of the area that a small pixel covers: it does not alias, and aliasing looks like drift (linear
# interpolation: cosine .96 to this). Exact to half a level, and fifteen times as fast as OpenCV's INTER_AREA.
_AREA_MEAN = (
    Interpolation.AREA
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
    | Interpolation.BITEXACT
)


class Picture(Protocol):
    """A decoded picture."""

    @property
    def width(self) -> int: ...

    @property
    def height(self) -> int: ...

    def rgb(self) -> Image:
        """Return all of it, (height, width, 3) uint8."""

    def small(self, side: int) -> Image:
        """Return it as (side, side, 3) uint8 RGB, each pixel the mean of the area that it covers.

        It is squeezed, not cropped: what happens at its edges counts too.
        """

    def planes(self) -> Planes:
        """Return what the camera-quality sensors look at, at native resolution."""


class FrameConverter:
    """Makes pictures. One a reading: it keeps what its conversions need from one frame to the next."""

    def __init__(self) -> None:
        self.to_rgb = ToRgb()
        self._scaler = VideoReformatter()

    def of_video(self, frame: VideoFrame) -> Picture:
        return VideoPicture(frame, self)

    def small(self, frame: VideoFrame, side: int) -> Image:
        # BT.601 whatever the container says, as in `colour`.
        scaled = self._scaler.reformat(
            frame,
            width=side,
            height=side,
            format="rgb24",
            interpolation=_AREA_MEAN,
            src_colorspace=Colorspace.ITU601,
            dst_colorspace=Colorspace.ITU601,
            threads=1,  # one process a core does the work in parallel
        )
        return np.asarray(scaled.to_ndarray(), np.uint8)


class VideoPicture:
    """A picture of a video, as its decoder gave it."""

    def __init__(self, frame: VideoFrame, converter: FrameConverter) -> None:
        self.frame = frame
        self._converter = converter

    @property
    def width(self) -> int:
        return self.frame.width

    @property
    def height(self) -> int:
        return self.frame.height

    @cached_property
    def _rgb(self) -> Image:
        return self._converter.to_rgb(self.frame)

    def rgb(self) -> Image:
        return self._rgb

    def small(self, side: int) -> Image:
        return self._converter.small(self.frame, side)

    def planes(self) -> Planes:
        if not is_limited_420(self.frame):
            return StillPicture(self._rgb).planes()
        y, u, v = (_samples(self.frame, number) for number in range(3))
        return Planes.of_yuv(y, u, v)


class StillPicture:
    """A picture that is RGB already. It is looked at as a video's would be, were it coded without loss."""

    def __init__(self, image: Image) -> None:
        self._image = image

    @cached_property
    def _coded(self) -> VideoPicture:
        image = self._image
        even = np.ascontiguousarray(image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2])
        i420 = np.asarray(cv2.cvtColor(even, cv2.COLOR_RGB2YUV_I420), np.uint8)
        return VideoPicture(av.VideoFrame.from_ndarray(i420, format="yuv420p"), FrameConverter())

    @property
    def width(self) -> int:
        return int(self._image.shape[1])

    @property
    def height(self) -> int:
        return int(self._image.shape[0])

    def rgb(self) -> Image:
        return self._image

    def small(self, side: int) -> Image:
        return self._coded.small(side)

    def planes(self) -> Planes:
        return self._coded.planes()


def _samples(frame: VideoFrame, number: int) -> _Plane:
    """Return a plane of 8 bits as it lies in the decoder's memory, without a copy."""
    plane = frame.planes[number]
    memory = np.frombuffer(memoryview(plane), np.uint8)
    return memory.reshape(-1, plane.line_size)[: plane.height, : plane.width]
