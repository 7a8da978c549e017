"""Frames of any size: padded to what the head can divide, and cut into tiles that overlap.

A tile brings as much of its surroundings along as can change what it shows, so that no seam is seen: the tiles together
are what the whole frame would be. The memory that the head takes is bounded by that of a tile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.models.vfi.flow import WarpArray, Warped

MotionArray = npt.NDArray[np.float16]
Predict = Callable[[WarpArray, WarpArray, WarpArray, MotionArray, WarpArray], npt.NDArray[np.uint8]]
"""Middle frames (n, h, w, 3) of neighbours (n, 2, h, w, 3), plain and refined warps alike, motion (n, h, w, 2), and
what another engine draws (n, k, h, w, 3)."""

TILE = 768
"""Height and width of the part of a frame that a tile gives, pixels: with its surroundings about 250 MB of memory."""


@dataclass(frozen=True)
class Tile:
    """Where a tile lies: what is read of the frame, what of the result is kept, and where that belongs."""

    read: tuple[slice, slice]
    kept: tuple[slice, slice]
    place: tuple[slice, slice]


def tiles(height: int, width: int, *, side: int, context: int) -> Iterator[Tile]:
    """Yield tiles of at most `side` x `side` pixels that cover a frame, each with up to `context` pixels around it."""
    for rows in _spans(height, side, context):
        for columns in _spans(width, side, context):
            yield Tile(*zip(rows, columns, strict=True))


def _spans(length: int, side: int, context: int) -> Iterator[tuple[slice, slice, slice]]:
    for start in range(0, length, side):
        stop = min(start + side, length)
        first = max(start - context, 0)
        yield slice(first, min(stop + context, length)), slice(start - first, stop - first), slice(start, stop)


def predict_in_tiles(
    predict: Predict,
    neighbours: WarpArray,
    warped: Warped,
    *,
    multiple: int,
    context: int,
    side: int = TILE,
) -> npt.NDArray[np.uint8]:
    """Return the middle frames (n, h, w, 3) between neighbours (n, 2, h, w, 3), of any height and width.

    Parameters
    ----------
    predict : makes the middle frames of a tile
    warped : what is known of their motion
    multiple : the sides of what `predict` is given are multiples of this; so are `context` and `side`
    context : pixels around a part of a frame beyond which nothing changes it
    side : of a tile, pixels
    """
    count, height, width = warped.motion.shape[:3]
    missing = (0, -height % multiple), (0, -width % multiple)
    outer, plain, refined, further = (
        np.pad(images, ((0, 0), (0, 0), *missing, (0, 0)), "edge")
        for images in (neighbours, warped.plain, warped.refined, warped.further)
    )
    moved = np.pad(warped.motion, ((0, 0), *missing, (0, 0)), "edge")
    frames = np.empty((count, *moved.shape[1:3], 3), np.uint8)
    for tile in tiles(*moved.shape[1:3], side=side, context=context):
        here = (slice(None), slice(None), *tile.read)
        part = predict(outer[here], plain[here], refined[here], moved[:, *tile.read], further[here])
        frames[:, *tile.place] = part[:, *tile.kept]
    return frames[:, :height, :width]
