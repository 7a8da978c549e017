"""What decoding gives: frames, and what a header promises before any frame is decoded."""

from __future__ import annotations

from dataclasses import dataclass

from common.contracts import Image, SourceKind

STILLS_FPS = 1.0
"""Stills have no times of their own: in a folder each counts as one second, whatever the sampling asked for."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One sampled frame.

    Attributes
    ----------
    image : (height, width, 3) uint8, RGB
    index : place among the sampled frames of its source, from 0
    time : seconds from the first frame of its source
    """

    image: Image
    index: int
    time: float


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
    """

    kind: SourceKind
    width: int
    height: int
    fps: float
    duration: float
    frames: int
