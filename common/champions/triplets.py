"""Triplets of consecutive frames: what an interpolation model learns from and is scored on."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import cv2
import numpy as np
import numpy.typing as npt

from common.contracts import Image

TripletArray = npt.NDArray[np.uint8]
"""(n, 3, height, width, 3) uint8 RGB: previous, middle and next frame."""

TRIPLET_SIZE = (96, 160)
"""Height and width of a triplet's frames, pixels: small enough to fine-tune on two cores within seconds."""

_FRAMES = 3
_FROM_AFAR = (20, 12)  # width and height, pixels
_CUT_SHARE = 0.5  # of the contrast
_LEAST_CONTRAST = 16.0  # grey levels; a picture flatter than that has no scene that could be cut


def collect_triplets(frames: Iterable[Image], most: int, *, expected_frames: int) -> TripletArray:
    """Return up to `most` triplets of consecutive frames, spread evenly over `expected_frames`.

    Triplets overlap where the footage is short; those across a cut are left out. Footage that ends early gives
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
    last: deque[Image] = deque(maxlen=_FRAMES)
    for index, frame in enumerate(frames):
        if len(triplets) == len(starts):
            break
        last.append(shrink(frame))
        # Where a place falls on a cut, the next triplet beyond it is taken.
        if index >= starts[len(triplets)] + _FRAMES - 1 and len(last) == _FRAMES and not crosses_cut(last[0], last[-1]):
            triplets.append(np.stack(last))
    if not triplets:
        return np.zeros((0, _FRAMES, *TRIPLET_SIZE, 3), np.uint8)
    return np.stack(triplets)


def crosses_cut(previous: Image, following: Image) -> bool:
    """Say whether two frames show different scenes: there is nothing between them to interpolate.

    Frames of two unrelated pictures differ by about their contrast (1.1
    standard deviations, were they normal), frames of a moving camera by far less.
    """
    # Looked at from afar: noise, which averages out there, is no cut.
    before, after = (
        cv2.resize(image, _FROM_AFAR, interpolation=cv2.INTER_AREA).astype(np.float32)
        for image in (previous, following)
    )
    contrast = max(float(before.std()), float(after.std()), _LEAST_CONTRAST)
    return bool(np.abs(after - before).mean() > _CUT_SHARE * contrast)


def _spread(places: int, most: int) -> list[int]:
    """Return up to `most` different numbers below `places`, evenly spread."""
    count = min(places, most)
    return [int((2 * i + 1) * places / (2 * count)) for i in range(count)]


def shrink(image: Image) -> Image:
    height, width = TRIPLET_SIZE
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
