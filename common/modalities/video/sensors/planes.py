"""The planes that sensors read: computed once per frame and shared by all sensors.

Fine properties (noise, edges, block borders) are measured on bands of adjacent
rows at native resolution, which cover a small frame completely and a large one
in evenly spaced parts. Coarse properties (light, colour) are measured on single
pixels on a regular grid. Fine properties are never measured on a scaled image.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from common.features import FloatArray, Image

GRID = 4
"""Tiles per side. The median of sixteen tiles ignores an object that moves through a few of them."""
BAND = 32
"""Rows per band: a multiple of the macroblock, so that bands are aligned with the blocks of an encoder."""
MACROBLOCK = 16
"""Side of the squares that encoders predict as one, pixels; bands are aligned with them and consist of whole ones."""
SMALL_STEP = 12  # grey levels; larger steps between neighbouring pixels are edges of the scene
SEAM = 4
"""Rows at each edge of a band that are left out where a filter would mix in rows of the next band."""
_FINE_PIXELS = 500_000  # in all bands; more pixels take time and do not change the readings
_COARSE_PIXELS = 60_000  # in `points`

_Grey = npt.NDArray[np.uint8]

# BT.601: luma of 16 to 235 and chroma of 16 to 240 to RGB of 0 to 255.
_BLACK, _LUMA_GAIN = 16, 255 / 219
_TO_RGB = np.array(
    [
        [_LUMA_GAIN, 0.0, 1.596, -_BLACK * _LUMA_GAIN - 128 * 1.596],
        [_LUMA_GAIN, -0.391, -0.813, -_BLACK * _LUMA_GAIN + 128 * (0.391 + 0.813)],
        [_LUMA_GAIN, 2.018, 0.0, -_BLACK * _LUMA_GAIN - 128 * 2.018],
    ],
    np.float32,
)


@dataclass(frozen=True, eq=False)
class Planes:
    """The planes of one frame.

    Attributes
    ----------
    bands : (n * BAND, width) uint8, luma of n bands of rows, stacked vertically
    count : n, the number of bands
    points : (h, w, 3) uint8, RGB, every k-th pixel of every k-th row of the frame
    size : width and height of the frame, pixels
    """

    bands: _Grey
    count: int
    points: Image
    size: tuple[int, int]

    @classmethod
    def of_yuv(cls, y: _Grey, u: _Grey, v: _Grey) -> Planes:
        """Return the planes of an 8-bit 4:2:0 frame in the limited range.

        Parameters
        ----------
        y : (height, width)
        u, v : (height / 2, width / 2)
        """
        height, width = y.shape
        starts = _band_starts(height, width)
        down, across = _picks(height, width)
        rows, columns = np.arange(height)[down] // 2, np.arange(width)[across] // 2
        samples = [y[down, across], u[rows][:, columns], v[rows][:, columns]]
        points = np.asarray(cv2.transform(cv2.merge([np.ascontiguousarray(s) for s in samples]), _TO_RGB), np.uint8)
        # cv2.subtract saturates, so values below black become black.
        fine = _rows(y, starts)
        bands = cv2.convertScaleAbs(cv2.subtract(fine, np.full_like(fine, _BLACK)), alpha=_LUMA_GAIN)
        return cls(np.asarray(bands, np.uint8), len(starts), points, (width, height))

    @cached_property
    def luma(self) -> _Grey:
        """(h, w) uint8, luma of `points`."""
        return np.asarray(cv2.cvtColor(self.points, cv2.COLOR_RGB2GRAY), np.uint8)

    @cached_property
    def fine(self) -> FloatArray:
        """(n * BAND, width) float32, `bands` as floats."""
        return self.bands.astype(np.float32)

    @cached_property
    def steps_across(self) -> _Grey:
        """(n * BAND, width - 1) uint8, absolute difference of each pixel of `bands` to the one on its right."""
        return np.asarray(cv2.absdiff(self.bands[:, 1:], self.bands[:, :-1]), np.uint8)

    @cached_property
    def steps_down(self) -> _Grey:
        """(n * BAND, width) uint8, absolute difference to the pixel above; 0 in the first row of a band."""
        steps = np.empty_like(self.bands)
        cv2.absdiff(self.bands[1:], self.bands[:-1], dst=steps[1:])
        steps[::BAND] = 0
        return steps

    @cached_property
    def small_steps(self) -> tuple[_Grey, _Grey]:
        """`steps_across` and `steps_down`, no larger than `SMALL_STEP`; of sixteen the sum fits a byte."""
        across, down = (
            np.asarray(cv2.threshold(steps, SMALL_STEP, SMALL_STEP, cv2.THRESH_TRUNC)[1], np.uint8)
            for steps in (self.steps_across, self.steps_down)
        )
        return across, down

    @cached_property
    def macroblocks(self) -> tuple[FloatArray, FloatArray]:
        """(n, BAND // MACROBLOCK, width // MACROBLOCK), means and standard deviations of the macroblocks of `bands`."""
        bands = self.fine.reshape(self.count, BAND, -1)
        mean, square = self.blocks(bands, MACROBLOCK), self.blocks(np.square(bands), MACROBLOCK)
        return mean, np.asarray(np.sqrt(np.maximum(square - mean * mean, 0)), np.float32)

    def inside(self, plane: npt.NDArray[np.generic], seam: int = SEAM) -> npt.NDArray[np.generic]:
        """Return the inner rows of each band, (n, rows, width), of a plane of the shape of `bands` or scaled from it.

        Parameters
        ----------
        seam : rows to leave out at the top and the bottom of each band
        """
        rows = plane.shape[0] // self.count
        return plane.reshape(self.count, rows, plane.shape[1])[:, seam : rows - seam]

    def blocks(self, plane: npt.NDArray[np.number], side: int) -> FloatArray:
        """Return the means (n, rows // side, width // side) of side x side blocks of a plane (n, rows, width).

        Columns that fill no block are left out. `rows` must be a multiple of `side`, and the sum of `side` values must
        not overflow the plane's type. For integers the means are exact if `side` is a power of two.
        """
        count, rows, width = plane.shape
        wide = width // side
        strips = plane[:, :, : wide * side].reshape(count, rows // side, side, wide * side)
        # Summing whole rows first is several times as fast as summing block by block.
        sums = np.add.reduce(strips, axis=2, dtype=strips.dtype).astype(np.float32).reshape(-1, wide * side)
        across = cv2.resize(sums, (wide, len(sums)), interpolation=cv2.INTER_AREA)
        means = np.asarray(across, np.float32) / np.float32(side)
        return np.asarray(means, np.float32).reshape(count, rows // side, wide)

    def rows_of_tiles(self) -> list[slice]:
        """Return the slice of bands of each row of tiles; if there are fewer bands than rows, rows share bands."""
        return [
            slice(r * self.count // GRID, max((r + 1) * self.count // GRID, r * self.count // GRID + 1))
            for r in range(GRID)
        ]


def area_means(plane: npt.NDArray[np.generic], grid: int) -> FloatArray:
    """Return the means of grid x grid tiles of a (h, w) or (h, w, c) plane."""
    return np.asarray(cv2.resize(plane.astype(np.float32), (grid, grid), interpolation=cv2.INTER_AREA), np.float32)


def _picks(height: int, width: int) -> tuple[slice, slice]:
    """Return the rows and the columns of a frame that make up `points`."""
    step = max(1, int(np.ceil(np.sqrt(height * width / _COARSE_PIXELS))))
    return slice(step // 2, None, step), slice(step // 2, None, step)


def _rows(plane: npt.NDArray[np.uint8], starts: list[int]) -> npt.NDArray[np.uint8]:
    return np.concatenate([plane[start : start + BAND] for start in starts])


def _band_starts(height: int, width: int) -> list[int]:
    """Return the first row of each band."""
    available = height // BAND
    wanted = max(1, min(available, _FINE_PIXELS // (BAND * width)))
    if wanted == available:
        return [band * BAND for band in range(available)]
    if wanted > GRID:
        wanted -= wanted % GRID  # so that all rows of tiles get equally many bands
    starts = np.linspace(0, height - BAND, wanted + 2)[1:-1]
    return [int(start) // MACROBLOCK * MACROBLOCK for start in starts]
