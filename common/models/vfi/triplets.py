"""Triplets of consecutive frames, on which an interpolation model is trained and scored."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from common.features import Image

TripletArray = npt.NDArray[np.uint8]
"""(n, 3, height, width, 3) uint8 RGB: previous, middle and next frame."""

SurroundingsArray = npt.NDArray[np.uint8]
"""(n, 5, 54, 96, 3) uint8 RGB: a triplet between the frames `DISTANT` before and after its middle frame."""

TRIPLET_SIZE = (216, 384)
"""Height and width of a triplet's frames, pixels: large enough for optical flow to follow what moves."""

DISTANT = 10
"""Frames between a middle frame and the distant frames before and after it."""

_FRAMES = 3
_SAME_SCENE = 0.6  # correlation of frames of one shot, two frames apart; it is higher unless everything moves
_FLAT = 1.0  # variance, grey levels squared, below which a frame shows nothing
_SMALL = (54, 96)  # height and width, pixels: averaging over so many pixels leaves motion and hardly any sensor noise


@dataclass(frozen=True, eq=False)
class Collected:
    """Triplets in time order, and the surroundings, at a small scale, of those that have frames on both sides.

    Attributes
    ----------
    triplets : (n, 3, height, width, 3) uint8, height and width as `TRIPLET_SIZE`
    surroundings : (m, 5, 54, 96, 3) uint8, m at most n
    """

    triplets: TripletArray
    surroundings: SurroundingsArray


def collect_triplets(frames: Iterable[Image], most: int, *, expected_frames: int) -> TripletArray:
    """Return up to `most` triplets of consecutive frames, spread evenly over the footage.

    If the footage is short, triplets overlap. If it ends before
    `expected_frames`, there are fewer; if it is longer, it is not read beyond
    what the last triplet needs.

    Parameters
    ----------
    frames : RGB frames of any size, in order; read once
    most : largest number of triplets
    expected_frames : number of frames that the source declares

    Returns
    -------
    (n, 3, height, width, 3) uint8, height and width as `TRIPLET_SIZE`
    """
    return collect(frames, spread(expected_frames, most)).triplets


def collect(frames: Iterable[Image], starts: Sequence[int]) -> Collected:
    """Return the triplets that begin at frames `starts`, as far as there are frames, with their surroundings.

    Parameters
    ----------
    frames : RGB frames of any size, in order; read once
    starts : index of the first frame of each triplet, increasing
    """
    offsets = (1 - DISTANT, 0, 1, 2, 1 + DISTANT)
    needed = {start + offset for start in starts for offset in offsets}
    last = max(needed, default=-1)
    large: dict[int, Image] = {}
    small: dict[int, Image] = {}
    triplets: list[npt.NDArray[np.uint8]] = []
    for index, frame in enumerate(frames):
        if index in needed:
            small[index] = _scaled(frame, _SMALL)
        if len(triplets) < len(starts) and index >= (start := starts[len(triplets)]):
            large[index] = shrink(frame)
            if index == start + _FRAMES - 1:
                triplets.append(np.stack([large[start + i] for i in range(_FRAMES)]))
                large = {at: image for at, image in large.items() if at > start}
        if index >= last:
            break
    around = [[start + offset for offset in offsets] for start in starts]
    surroundings = [np.stack([small[i] for i in places]) for places in around if all(i in small for i in places)]
    return Collected(_stacked(triplets, (_FRAMES, *TRIPLET_SIZE, 3)), _stacked(surroundings, (5, *_SMALL, 3)))


def within_shots(triplets: TripletArray) -> TripletArray:
    """Return the triplets (n, 3, h, w, 3) that do not reach across a cut between two scenes, which none can predict.

    Before and after a cut the frames are hardly correlated, at a scale at which sensor noise does not matter.
    """
    return _stacked([triplet for triplet in triplets if not _is_cut(triplet)], triplets.shape[1:])


def longest_break(triplets: TripletArray) -> int:
    """Return how many of the triplets (n, 3, h, w, 3) one after the other are across a cut; a single cut is in two."""
    longest = run = 0
    for triplet in triplets:
        run = run + 1 if _is_cut(triplet) else 0
        longest = max(longest, run)
    return longest


def _is_cut(triplet: TripletArray) -> bool:
    return is_cut(triplet[0], triplet[2])


def is_cut(first: Image, last: Image) -> bool:
    """Return whether two frames (h, w, 3), at most two apart, are of different scenes."""
    return _correlation(first, last) <= _SAME_SCENE


def _correlation(first: Image, last: Image) -> float:
    """Return Pearson's correlation of two frames (h, w, 3) in grey at a small scale; 1 where one shows nothing."""
    a, b = (
        cv2.cvtColor(_scaled(image, _SMALL), cv2.COLOR_RGB2GRAY).astype(np.float32).ravel() for image in (first, last)
    )
    a, b = a - a.mean(), b - b.mean()
    power = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / power if power > _FLAT * len(a) else 1.0


def join(parts: Sequence[Collected]) -> Collected:
    """Return the triplets of several sources, one after the other; at least one part."""
    return Collected(
        np.concatenate([part.triplets for part in parts]), np.concatenate([part.surroundings for part in parts])
    )


def spread(frames: int, most: int) -> list[int]:
    """Return where up to `most` different triplets of `frames` frames start, evenly spread."""
    total = max(frames - _FRAMES + 1, 0)
    count = min(total, most)
    return [int((2 * i + 1) * total / (2 * count)) for i in range(count)]


def shrink(image: Image) -> Image:
    """Return an image (h, w, 3) uint8 scaled to `TRIPLET_SIZE`."""
    return _scaled(image, TRIPLET_SIZE)


def _scaled(image: Image, size: tuple[int, int]) -> Image:
    height, width = size
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _stacked(arrays: Sequence[npt.NDArray[np.uint8]], shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    return np.stack(arrays) if arrays else np.zeros((0, *shape), np.uint8)
