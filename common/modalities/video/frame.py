"""What decoding gives: frames, and what a header promises before any frame is decoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from common.contracts.batches import SourceKind
from common.features import Image
from common.modalities.video.frame_converter import Picture, StillPicture

STILLS_FPS = 1.0
"""Stills have no times of their own: in a folder each counts as one second, whatever the sampling asked for."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One sampled frame.

    Attributes
    ----------
    picture : its pixels
    index : place among the sampled frames of its source, from 0
    time : seconds from the first frame of its source
    """

    picture: Picture
    index: int
    time: float

    @classmethod
    def of(cls, image: Image, index: int, time: float) -> Self:
        """Return a frame of (height, width, 3) uint8 RGB."""
        return cls(StillPicture(image), index, time)

    @property
    def image(self) -> Image:
        """(height, width, 3) uint8, RGB."""
        return self.picture.rgb()


@dataclass(frozen=True)
class SourceInfo:
    """What the header of a source promises; only decoding tells what is really there.

    Attributes
    ----------
    kind : what the source is
    width, height : pixels, of the first image where there are several
    fps : frames a second, at least nominally
    duration : seconds
    frames : frames in all, at least 1
    created_at : when the container says that it was recorded, seconds since the epoch; None: it does not say
    """

    kind: SourceKind
    width: int
    height: int
    fps: float
    duration: float
    frames: int
    created_at: float | None = None
