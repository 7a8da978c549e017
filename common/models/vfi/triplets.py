"""Triplets of consecutive frames: what an interpolation model learns from and is scored on."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import cv2
import numpy as np
import numpy.typing as npt

from common.features import Image

TripletArray = npt.NDArray[np.uint8]
"""(n, 3, height, width, 3) uint8 RGB: previous, middle and next frame."""

TRIPLET_SIZE = (96, 160)
"""Height and width of a triplet's frames, pixels: small enough to fine-tune on two cores within seconds."""

_FRAMES = 3


def collect_triplets(frames: Iterable[Image], most: int, *, expected_frames: int) -> TripletArray:
    """Return up to `most` triplets of consecutive frames, spread evenly over `expected_frames`.

    Triplets overlap where the footage is short. Footage that ends early gives
    fewer, footage that goes on is not read further than the last triplet.

    Parameters
    ----------
    frames : RGB frames of any size, in order; read once, never held
    most : largest number of triplets
    expected_frames : how many frames the source promises

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
        if index >= start:  # frames between two triplets are not even resized
            last.append((index, shrink(frame)))
        if index == start + _FRAMES - 1:
            triplets.append(np.stack([image for _, image in last]))
    if not triplets:
        return np.zeros((0, _FRAMES, *TRIPLET_SIZE, 3), np.uint8)
    return np.stack(triplets)


def _spread(places: int, most: int) -> list[int]:
    """Return up to `most` different numbers below `places`, evenly spread."""
    count = min(places, most)
    return [int((2 * i + 1) * places / (2 * count)) for i in range(count)]


def shrink(image: Image) -> Image:
    height, width = TRIPLET_SIZE
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
