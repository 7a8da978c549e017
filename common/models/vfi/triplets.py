"""Triplets of consecutive frames, on which an interpolation model is trained and scored."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import cv2
import numpy as np
import numpy.typing as npt

from common.features import Image

TripletArray = npt.NDArray[np.uint8]
"""(n, 3, height, width, 3) uint8 RGB: previous, middle and next frame."""

TRIPLET_SIZE = (216, 384)
"""Height and width of a triplet's frames, pixels: large enough for optical flow to follow what moves."""

_FRAMES = 3


def collect_triplets(frames: Iterable[Image], most: int, *, expected_frames: int) -> TripletArray:
    """Return up to `most` triplets of consecutive frames, spread evenly over the footage.

    If the footage is short, triplets overlap. If it ends before
    `expected_frames`, there are fewer; if it is longer, it is not read beyond the
    last triplet.

    Parameters
    ----------
    frames : RGB frames of any size, in order; read once, at most three are kept in memory
    most : largest number of triplets
    expected_frames : number of frames that the source declares

    Returns
    -------
    (n, 3, height, width, 3) uint8, height and width as `TRIPLET_SIZE`
    """
    starts = _spread(max(expected_frames - _FRAMES + 1, 0), most)
    triplets: list[npt.NDArray[np.uint8]] = []
    last: deque[tuple[int, Image]] = deque(maxlen=_FRAMES)
    for index, frame in enumerate(frames):
        if len(triplets) == len(starts):
            break
        start = starts[len(triplets)]
        if index >= start:  # frames between two triplets need not be resized
            last.append((index, shrink(frame)))
        if index == start + _FRAMES - 1:
            triplets.append(np.stack([image for _, image in last]))
    if not triplets:
        return np.zeros((0, _FRAMES, *TRIPLET_SIZE, 3), np.uint8)
    return np.stack(triplets)


def _spread(total: int, most: int) -> list[int]:
    """Return up to `most` different numbers below `total`, evenly spread."""
    count = min(total, most)
    return [int((2 * i + 1) * total / (2 * count)) for i in range(count)]


def shrink(image: Image) -> Image:
    """Return an image (h, w, 3) uint8 scaled to `TRIPLET_SIZE`."""
    height, width = TRIPLET_SIZE
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
