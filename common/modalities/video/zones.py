"""Fills zones of a picture with what surrounds them, so that nothing that happens in them is seen.

A rectangle is filled with the mirror images of what lies above, below, left and right
of it, each weighted by the inverse of the distance from its side. The filling goes on
without a step at all four sides, and has the light, the colour, the sharpness and the
noise of the surroundings: no sensor sees an edge that is not there, and a fault of the
camera shows in a zone as it does beside it. Where rectangles begin and end on borders
of an encoder's blocks, mirror images have their block borders where the picture has
its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from common.contracts.zones import Zone
from common.errors import BadSource

_Plane = npt.NDArray[np.uint8]
_Weights = npt.NDArray[np.float32]

_GRID = 8  # pixels of luma; zones are enlarged to this grid, which is that of an encoder's blocks
_UNIT = 100  # pixels, of the distance; OpenCV adds 1e-5 to the sum of the weights, which must not count
_LEAST = 4  # pixels of luma that a side must offer to be mirrored


@dataclass(frozen=True)
class _Patch:
    """A rectangle of luma pixels, [top, bottom) x [left, right), and how many pixels each of its sides may be mirrored
    from; 0: none."""

    top: int
    bottom: int
    left: int
    right: int
    above: int = 0
    below: int = 0
    before: int = 0
    after: int = 0

    def of_chroma(self) -> _Patch:
        """Return the same rectangle in a plane of half the width and height."""
        return _Patch(*(edge // 2 for edge in vars(self).values()))

    def overlaps(self, other: _Patch) -> bool:
        return (
            self.top < other.bottom and other.top < self.bottom and self.left < other.right and other.left < self.right
        )

    def without(self, other: _Patch) -> list[_Patch]:
        """Return the parts of this rectangle that `other` does not cover."""
        if not self.overlaps(other):
            return [self]
        top, bottom = max(self.top, other.top), min(self.bottom, other.bottom)
        parts = [
            _Patch(self.top, top, self.left, self.right),
            _Patch(bottom, self.bottom, self.left, self.right),
            _Patch(top, bottom, self.left, max(self.left, other.left)),
            _Patch(top, bottom, min(self.right, other.right), self.right),
        ]
        return [part for part in parts if part.bottom > part.top and part.right > part.left]


def fill_i420(i420: _Plane, zones: tuple[Zone, ...]) -> None:
    """Fill `zones` of a picture in place.

    Parameters
    ----------
    i420 : (height * 3 / 2, width) uint8, the planes of an 8-bit 4:2:0 picture below each other, sides of even length

    Raises
    ------
    BadSource
        If the picture is so small that nothing would be left of it.
    """
    height, width = i420.shape[0] * 2 // 3, i420.shape[1]
    chroma = i420[height:].reshape(2, height // 2, width // 2)
    for patch in _plan(height, width, zones):
        _fill(i420[:height], patch)
        for plane in chroma:
            _fill(plane, patch.of_chroma())


@lru_cache(maxsize=64)
def _plan(height: int, width: int, zones: tuple[Zone, ...]) -> tuple[_Patch, ...]:
    """Return disjoint rectangles in the order in which they can be filled: each from the picture and earlier ones."""
    waiting: list[_Patch] = []
    for zone in zones:
        parts = [_rectangle(height, width, zone)]
        for other in waiting:
            parts = [piece for part in parts for piece in part.without(other)]
        waiting += parts
    planned: list[_Patch] = []
    while waiting:
        offers = [(_sides(patch, height, width, waiting), patch) for patch in waiting]
        sides, patch = max(offers, key=lambda offer: (sum(side > 0 for side in offer[0]), max(offer[0])))
        if not any(sides):
            raise BadSource(
                f"the zones to ignore leave nothing of a picture of {width} x {height} pixels: make them smaller, or "
                "send larger pictures"
            )
        waiting.remove(patch)
        planned.append(_Patch(patch.top, patch.bottom, patch.left, patch.right, *sides))
    return tuple(planned)


def _rectangle(height: int, width: int, zone: Zone) -> _Patch:
    x, y, across, down = zone
    return _Patch(
        top=math.floor(y * height / _GRID) * _GRID,
        bottom=min(height, math.ceil((y + down) * height / _GRID) * _GRID),
        left=math.floor(x * width / _GRID) * _GRID,
        right=min(width, math.ceil((x + across) * width / _GRID) * _GRID),
    )


def _sides(patch: _Patch, height: int, width: int, unfilled: list[_Patch]) -> tuple[int, int, int, int]:
    """Return how many pixels above, below, left and right of `patch` are picture, or already filled."""
    beside = [other for other in unfilled if other.left < patch.right and patch.left < other.right]
    level = [other for other in unfilled if other.top < patch.bottom and patch.top < other.bottom]
    found = (
        patch.top - max((other.bottom for other in beside if other.bottom <= patch.top), default=0),
        min((other.top for other in beside if other.top >= patch.bottom), default=height) - patch.bottom,
        patch.left - max((other.right for other in level if other.right <= patch.left), default=0),
        min((other.left for other in level if other.left >= patch.right), default=width) - patch.right,
    )
    above, below, before, after = (free if free >= _LEAST else 0 for free in found)
    return above, below, before, after


def _fill(plane: _Plane, patch: _Patch) -> None:
    rows, columns = slice(patch.top, patch.bottom), slice(patch.left, patch.right)
    height, width = patch.bottom - patch.top, patch.right - patch.left
    upright = _blended(
        plane[max(0, patch.top - min(patch.above, height)) : patch.top, columns],
        plane[patch.bottom : patch.bottom + min(patch.below, height), columns],
        (height, width),
        _across(height, patch.above, patch.below)[:, :, None],
    )
    lying = _blended(
        plane[rows, max(0, patch.left - min(patch.before, width)) : patch.left],
        plane[rows, patch.right : patch.right + min(patch.after, width)],
        (height, width),
        _across(width, patch.before, patch.after)[:, None],
    )
    filled = _joined(upright, lying) if lying is not None else upright
    if filled is not None:
        plane[rows, columns] = filled[0]


_Weighted = tuple[_Plane, _Weights]
"""A filling, and the weight of each of its pixels."""


def _blended(before: _Plane, after: _Plane, size: tuple[int, int], weights: _Weights) -> _Weighted | None:
    """Return a rectangle filled with the mirror images of strips before and after it; None if both are empty.

    Parameters
    ----------
    before, after : as wide as the rectangle and above and below it, or as high and left and right of it
    size : of the rectangle, height and width
    weights : (2, height, 1) or (2, 1, width), of the two images
    """
    found: _Weighted | None = None
    for number, (strip, weight) in enumerate(zip((before, after), weights, strict=True)):
        if strip.size:
            wide = np.ascontiguousarray(np.broadcast_to(weight, size))
            side = _Side.BEFORE if number == 0 else _Side.AFTER
            found = _joined(found, (_mirror(strip, size, side, across=weights.shape[1] == 1), wide))
    return found


class _Side(Enum):
    """Where a strip lies: above or left of its rectangle, or below or right of it."""

    BEFORE = auto()
    AFTER = auto()


def _mirror(strip: _Plane, size: tuple[int, int], side: _Side, *, across: bool) -> _Plane:
    """Return the mirror image of a strip, continued to `size`; `across` if it lies left or right of the rectangle."""
    height, width = size
    down, right = (0, width) if across else (height, 0)
    border = (0, down, 0, right) if side is _Side.BEFORE else (down, 0, right, 0)
    whole = np.asarray(cv2.copyMakeBorder(np.ascontiguousarray(strip), *border, cv2.BORDER_REFLECT), np.uint8)
    return whole[-height:, -width:] if side is _Side.BEFORE else whole[:height, :width]


def _joined(one: _Weighted | None, other: _Weighted) -> _Weighted:
    if one is None:
        return other
    (image, weight), (second, its) = one, other
    blended = cv2.blendLinear(np.ascontiguousarray(image), np.ascontiguousarray(second), weight, its)
    return np.asarray(blended, np.uint8), weight + its


@lru_cache(maxsize=256)
def _across(length: int, before: int, after: int) -> _Weights:
    """Return (2, length) inverse distances from the side before and the side after, 0 for one without pixels."""
    distance = np.arange(1, length + 1, dtype=np.float32) / np.float32(_UNIT)
    return np.stack([np.float32(before > 0) / distance, np.float32(after > 0) / distance[::-1]])
