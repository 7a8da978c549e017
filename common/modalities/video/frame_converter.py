"""Converts a decoded frame to its three representations: full RGB, small RGB for the backbone, planes for the sensors.

A video frame is converted to full RGB only on request. The small image is scaled
directly from the frame's YUV planes, and the sensors read the planes themselves.
At 1080p this takes a tenth of the time of a full conversion.
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

from common.contracts.zones import Zone
from common.features import Image
from common.modalities.video.colour import ToRgb, is_limited_420
from common.modalities.video.sensors.planes import Planes
from common.modalities.video.zones import fill_i420

_Plane = npt.NDArray[np.uint8]

# Each small pixel is the mean of the area that it covers, which prevents aliasing. Aliasing looks like drift: linear
# interpolation gives embeddings with a cosine of 0.96 to these. Exact to half a grey level, fifteen times as fast as
# OpenCV's INTER_AREA.
_AREA_MEAN = (
    Interpolation.AREA
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
    | Interpolation.BITEXACT
)


class Picture(Protocol):
    """The pixels of one frame."""

    @property
    def width(self) -> int: ...

    @property
    def height(self) -> int: ...

    def rgb(self) -> Image:
        """Return the full picture, (height, width, 3) uint8, RGB."""

    def small(self, side: int) -> Image:
        """Return the picture scaled to (side, side, 3) uint8, RGB; each pixel is the mean of the area that it covers.

        The aspect ratio is not kept and nothing is cropped, so that faults at the edges are seen.
        """

    def reduced(self, longest: int) -> Image:
        """Return the picture (height, width, 3) uint8, RGB, in its aspect ratio, no side longer than `longest` pixels.

        A smaller picture keeps its size.
        """

    def planes(self) -> Planes:
        """Return the planes that the camera-quality sensors read, at native resolution."""

    def without(self, zones: tuple[Zone, ...]) -> Picture:
        """Return the picture with `zones` filled from what surrounds them; see `zones.fill_i420`.

        Raises
        ------
        BadSource
            If the picture is so small that nothing would be left of it.
        """


class FrameConverter:
    """Makes pictures of decoded frames. Use one instance per video: it reuses its scalers from frame to frame."""

    def __init__(self) -> None:
        self.to_rgb = ToRgb()
        self._scaler = VideoReformatter()
        self._reducer = (
            VideoReformatter()
        )  # one scaler per size: with two sizes in turn it would be made anew each time

    def of_video(self, frame: VideoFrame) -> Picture:
        """Return the picture of a decoded frame; nothing is converted yet."""
        return VideoPicture(frame, self)

    def small(self, frame: VideoFrame, side: int) -> Image:
        """Return a decoded frame scaled to (side, side, 3) uint8, RGB; see `Picture.small`."""
        return _scaled(self._scaler, frame, side, side)

    def reduced(self, frame: VideoFrame, longest: int) -> Image:
        """Return a decoded frame reduced to (height, width, 3) uint8, RGB; see `Picture.reduced`."""
        share = min(1.0, longest / max(frame.width, frame.height))
        return _scaled(self._reducer, frame, max(1, round(frame.width * share)), max(1, round(frame.height * share)))


class VideoPicture:
    """The picture of a decoded video frame, converted on request."""

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

    def reduced(self, longest: int) -> Image:
        return self._converter.reduced(self.frame, longest)

    def planes(self) -> Planes:
        if not is_limited_420(self.frame):
            return StillPicture(self._rgb).planes()
        y, u, v = (_samples(self.frame, number) for number in range(3))
        return Planes.of_yuv(y, u, v)

    def without(self, zones: tuple[Zone, ...]) -> Picture:
        if not is_limited_420(self.frame):
            return StillPicture(self._rgb).without(zones)
        i420 = np.ascontiguousarray(self.frame.to_ndarray(), np.uint8)
        fill_i420(i420, zones)
        return VideoPicture(av.VideoFrame.from_ndarray(i420, format="yuv420p"), self._converter)


class StillPicture:
    """A picture given as RGB. Small image and planes are made from its YUV conversion, as for a video frame."""

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

    def reduced(self, longest: int) -> Image:
        return self._coded.reduced(longest)

    def planes(self) -> Planes:
        return self._coded.planes()

    def without(self, zones: tuple[Zone, ...]) -> Picture:
        return self._coded.without(zones)


def _scaled(scaler: VideoReformatter, frame: VideoFrame, width: int, height: int) -> Image:
    # BT.601 whatever the container declares, as in `colour`.
    scaled = scaler.reformat(
        frame,
        width=width,
        height=height,
        format="rgb24",
        interpolation=_AREA_MEAN,
        src_colorspace=Colorspace.ITU601,
        dst_colorspace=Colorspace.ITU601,
        threads=1,  # the work is parallel already: there is one process per core
    )
    return np.asarray(scaled.to_ndarray(), np.uint8)


def _samples(frame: VideoFrame, number: int) -> _Plane:
    """Return an 8-bit plane (height, width) of a frame, as a view of the decoder's memory."""
    plane = frame.planes[number]
    memory = np.frombuffer(memoryview(plane), np.uint8)
    return memory.reshape(-1, plane.line_size)[: plane.height, : plane.width]
