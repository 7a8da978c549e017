"""Registration: by which shift, rotation and zoom one picture of a still scene lies on another.

Compared are edges: the logarithm of the slopes of the picture, without what varies slowly. Light, contrast and colour
hardly change them. Phase correlation finds the shift; the Gauss-Newton method then fits shift, rotation and zoom
together (inverse compositional alignment, Baker and Matthews, 2004), to a small part of a pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import cv2
import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float64]
Mask = npt.NDArray[np.uint8]

_FINE = 0.7  # pixels; below it is noise
_COARSE = 1 / 16  # of the width; above it is light
_BORDER = 2  # pixels at each side, whose slopes are those of the picture's end
_ITERATIONS = 12
_SETTLED = 0.02  # pixels; a smaller step ends the fit
_LEAST_OVERLAP = 0.25  # of the picture; of less, nothing is claimed
_TINY = 1e-6
_AROUND = 1 / 24  # of the width: the standard deviation of the surroundings in which edges are compared
_SEEN = 0.4  # correlation of the edges around a place; of what is hidden it is 0
_STRUCTURE = 0.02  # mean square of the edges around a place; where there is less nothing can be hidden


@dataclass(frozen=True)
class Shift:
    """A shift in pixels, and how clear it is: the response of phase correlation, 0 to 1."""

    right: float
    down: float
    response: float

    @property
    def length(self) -> float:
        """Pixels."""
        return float(np.hypot(self.right, self.down))


UNMOVED = Shift(0.0, 0.0, 1.0)


@dataclass(frozen=True, eq=False)
class Overlay:
    """Edges of a picture laid on those of a reference.

    Attributes
    ----------
    reference, laid : (h, w) float32
    overlap : (h, w), 1 where both have a value, else 0
    """

    reference: FloatArray
    laid: FloatArray
    overlap: Mask

    def correlation(self) -> float:
        """Return the correlation of the edges, -1 to 1."""
        return _correlation(self.reference, self.laid, self.overlap)

    def obscured(self) -> float:
        """Return the share, 0 to 1, of what has edges in the reference whose edges are not in their place.

        Correlation around each place says so, which light, contrast, blur and noise of the whole picture hardly
        change. Only the half of the places that has most edges is asked.
        """
        sigma = _AROUND * self.reference.shape[1]

        def around(values: FloatArray) -> FloatArray:
            return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma), np.float32)[self.overlap > 0]

        wanted, found = around(np.square(self.reference)), around(np.square(self.laid))
        common = around(self.reference * self.laid)
        asked = wanted > max(float(np.median(wanted)), _STRUCTURE)
        if not asked.any():
            return 0.0
        return float((common[asked] < _SEEN * np.sqrt(wanted[asked] * found[asked] + _TINY)).mean())


@dataclass(frozen=True)
class Placement:
    """How a picture lies on a reference.

    Attributes
    ----------
    shift : of the middle, in shares of the width
    rotation : degrees
    zoom : natural log of the magnification
    match : correlation of the edges once they lie on each other, -1 to 1
    overlay : the edges as they lie on each other; None if they do not overlap
    """

    shift: float
    rotation: float
    zoom: float
    match: float
    overlay: Overlay | None


NOWHERE = Placement(0.0, 0.0, 0.0, -1.0, None)
"""Of two pictures that do not overlap."""


@dataclass(frozen=True, eq=False)
class Edges:
    """Edges of one picture.

    Attributes
    ----------
    values : (h, w) float32
    """

    values: FloatArray

    @classmethod
    def of(cls, grey: npt.NDArray[np.number]) -> Self:
        """Return the edges of a grey picture (h, w)."""
        fine = cv2.GaussianBlur(np.asarray(grey, np.float32), (0, 0), _FINE)
        slopes = np.log1p(np.hypot(cv2.Sobel(fine, cv2.CV_32F, 1, 0), cv2.Sobel(fine, cv2.CV_32F, 0, 1)))
        slow = cv2.GaussianBlur(slopes, (0, 0), max(_COARSE * slopes.shape[1], 1.0))
        return cls(np.asarray(slopes - slow, np.float32))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, pixels."""
        return self.values.shape[1], self.values.shape[0]

    def smooth(self) -> FloatArray:
        """Return (h, w), smoothed so that the fit finds its way over a pixel or two."""
        return np.asarray(cv2.GaussianBlur(self.values, (0, 0), _FINE), np.float32)


class _Descent:
    """Says which step explains how a picture differs from smooth edges, (h, w)."""

    def __init__(self, smooth: FloatArray, inner: Mask) -> None:
        height, width = smooth.shape
        right = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, scale=1 / 8)
        down = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, scale=1 / 8)
        y, x = np.mgrid[:height, :width].astype(np.float32)
        x, y = x - np.float32((width - 1) / 2), y - np.float32((height - 1) / 2)
        # By the parameters of a `_warp`, at none.
        slopes = np.stack([right, down, down * x - right * y, right * x + down * y])
        self._jacobian = np.asarray((slopes * inner).reshape(4, -1), np.float32)
        hessian = np.asarray(self._jacobian @ self._jacobian.T, np.float64)
        self._inverse = np.linalg.inv(hessian + np.eye(4) * _TINY)

    def step(self, difference: FloatArray) -> Matrix:
        """Return (4,) the parameters that explain a difference (h, w)."""
        return np.asarray(self._inverse @ (self._jacobian @ difference.ravel()).astype(np.float64), np.float64)


def find(reference: Edges, picture: Edges) -> Shift:
    """Return the shift at which `picture` resembles `reference`, of the same size, by phase correlation."""
    # It multiplies its arguments by the window in place.
    (right, down), response = cv2.phaseCorrelate(
        reference.values.copy(), picture.values.copy(), _window(*reference.size)
    )
    return Shift(float(right), float(down), float(response))


def place(reference: Edges, picture: Edges, start: Shift) -> Placement:
    """Return how `picture` lies on `reference`, which has the same size.

    Parameters
    ----------
    start : from `find`
    """
    warp = _warp(np.array([start.right, start.down, 0.0, 0.0]))
    target, source, inner = reference.smooth(), picture.smooth(), _inner(*reference.size)
    descent = _Descent(target, inner)
    for _ in range(_ITERATIONS):
        laid, overlap = _laid_on(source, warp)
        if cv2.countNonZero(overlap) < _LEAST_OVERLAP * overlap.size:
            return NOWHERE
        level, spread = _moments(target, overlap)
        own_level, own_spread = _moments(laid, overlap)
        gain = np.float32(spread / own_spread)
        difference = laid * gain - target + np.float32(level - own_level * gain)
        step = descent.step(difference * overlap)
        warp = warp @ np.linalg.inv(_warp(step))
        if np.abs(step * [1, 1, reference.size[0] / 2, reference.size[0] / 2]).max() < _SETTLED:
            break
    laid, overlap = _laid_on(picture.values, warp)
    if cv2.countNonZero(overlap) < _LEAST_OVERLAP * overlap.size:
        return NOWHERE
    overlay = Overlay(reference.values, laid, overlap)
    return Placement(
        shift=float(np.hypot(warp[0, 2], warp[1, 2])) / reference.size[0],
        rotation=float(np.degrees(np.arctan2(warp[1, 0], warp[0, 0]))),
        zoom=float(np.log(np.hypot(warp[0, 0], warp[1, 0]))),
        match=overlay.correlation(),
        overlay=overlay,
    )


def correlation_in_place(one: Edges, other: Edges) -> float:
    """Return the correlation of two pictures of the same size as they are, -1 to 1."""
    return _correlation(one.values, other.values, _inner(*one.size))


@lru_cache(maxsize=8)
def _window(width: int, height: int) -> FloatArray:
    return np.asarray(cv2.createHanningWindow((width, height), cv2.CV_32F), np.float32)


@lru_cache(maxsize=8)
def _inner(width: int, height: int) -> Mask:
    """Return (h, w), 1 within the border, else 0."""
    mask = np.zeros((height, width), np.uint8)
    mask[_BORDER:-_BORDER, _BORDER:-_BORDER] = 1
    return mask


def _warp(parameters: Matrix) -> Matrix:
    """Return (3, 3) the similarity of (right, down, turn, growth), about the middle of the picture."""
    right, down, turn, growth = parameters
    return np.array([[1 + growth, -turn, right], [turn, 1 + growth, down], [0, 0, 1]])


def _laid_on(values: FloatArray, warp: Matrix) -> tuple[FloatArray, Mask]:
    """Return (h, w) values in the place that a warp gives them, and where they overlap with a reference, 1 or 0."""
    height, width = values.shape
    middle = np.array([[1, 0, (width - 1) / 2], [0, 1, (height - 1) / 2], [0, 0, 1]])
    matrix = (middle @ warp @ np.linalg.inv(middle))[:2]
    flags = cv2.WARP_INVERSE_MAP
    laid = cv2.warpAffine(values, matrix, (width, height), flags=flags | cv2.INTER_LINEAR)
    inner = _inner(width, height)
    overlap = np.asarray(cv2.warpAffine(inner, matrix, (width, height), flags=flags | cv2.INTER_NEAREST), np.uint8)
    return np.asarray(laid, np.float32), overlap & inner


def _moments(values: FloatArray, mask: Mask) -> tuple[float, float]:
    """Return mean and standard deviation of the values under a mask."""
    level, spread = cv2.meanStdDev(values, mask=mask)
    return float(level[0, 0]), max(float(spread[0, 0]), _TINY)


def _correlation(one: FloatArray, other: FloatArray, mask: Mask) -> float:
    level, spread = _moments(one, mask)
    other_level, other_spread = _moments(other, mask)
    masked = np.asarray(one * mask, np.float32)
    common = float(np.vdot(masked, other)) / cv2.countNonZero(mask) - level * other_level
    return common / (spread * other_spread)
