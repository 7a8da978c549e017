"""The results of decoding: frames, and what the header of a source declares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from common.contracts.batches import SourceKind
from common.features import FloatArray, Image
from common.modalities.video.frame_converter import Picture, StillPicture

STILLS_FPS = 1.0
"""Stills have no timestamps: each image of a folder counts as one second, whatever sampling rate was requested."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One sampled frame.

    Attributes
    ----------
    picture : its pixels
    index : index among the sampled frames of its source, from 0
    time : seconds since the first frame of its source
    vitals : columns `vitals.VITALS_COLUMNS`; None: a still, or the first sampled frame of a recording
    """

    picture: Picture
    index: int
    time: float
    vitals: FloatArray | None = None

    @classmethod
    def of(cls, image: Image, index: int, time: float) -> Self:
        """Return a frame made from an image, (height, width, 3) uint8, RGB."""
        return cls(StillPicture(image), index, time)

    @property
    def image(self) -> Image:
        """(height, width, 3) uint8, RGB."""
        return self.picture.rgb()


@dataclass(frozen=True)
class SourceInfo:
    """What the header of a source declares; the frames that decoding finds may differ.

    Attributes
    ----------
    kind : what the source is
    width, height : pixels; of the first image if there are several
    fps : nominal frames per second
    duration : seconds
    frames : number of frames, at least 1
    created_at : recording time that the container declares, seconds since the epoch; None if it declares none
    """

    kind: SourceKind
    width: int
    height: int
    fps: float
    duration: float
    frames: int
    created_at: float | None = None
