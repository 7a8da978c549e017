"""What sensors look at: computed once a frame, shared by all of them.

Fine things (noise, edges, block borders) are read from bands of neighbouring
rows at native resolution: all of a small frame, an even share of a large one.
Coarse things (light, colour) are read from single pixels picked evenly.
Nothing is ever scaled before fine things are read.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from common.features import FloatArray, Image

GRID = 4
"""Tiles a side. Sixteen are enough for their median to ignore what moves through some of them."""
BAND = 32
"""Rows of a band: a multiple of 8, so that the blocks of an encoder lie in a band as they lie in the frame."""
SEAM = 4
"""Rows at a band's edges whose neighbourhood is another band's."""
_FINE_PIXELS = 500_000  # read at native resolution: statistics of more change nothing, and cost time
_COARSE_PIXELS = 60_000

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
    """A frame, as sensors see it.

    Attributes
    ----------
    bands : (n * BAND, width) uint8, luma of n bands of rows, one below the other
    count : n
    points : (h, w, 3) uint8, pixels picked evenly from the frame
    """

    bands: _Grey
    count: int
    points: Image

    @classmethod
    def of_yuv(cls, y: _Grey, u: _Grey, v: _Grey) -> Planes:
        """Prepare 4:2:0 of 8 bits in the limited range: `y` (height, width), `u` and `v` half as high and wide."""
        height, width = y.shape
        starts = _band_starts(height, width)
        down, across = _picks(height, width)
        rows, columns = np.arange(height)[down] // 2, np.arange(width)[across] // 2
        samples = [y[down, across], u[rows][:, columns], v[rows][:, columns]]
        points = np.asarray(cv2.transform(cv2.merge([np.ascontiguousarray(s) for s in samples]), _TO_RGB), np.uint8)
        # Subtracted with saturation: below black is black.
        fine = _rows(y, starts)
        bands = cv2.convertScaleAbs(cv2.subtract(fine, np.full_like(fine, _BLACK)), alpha=_LUMA_GAIN)
        return cls(np.asarray(bands, np.uint8), len(starts), points)

    @cached_property
    def luma(self) -> _Grey:
        """(h, w) uint8, luma of the points."""
        return np.asarray(cv2.cvtColor(self.points, cv2.COLOR_RGB2GRAY), np.uint8)

    @cached_property
    def fine(self) -> FloatArray:
        """(n * BAND, width) float32, the bands."""
        return self.bands.astype(np.float32)

    def inside(self, plane: npt.NDArray[np.generic], seam: int = SEAM) -> npt.NDArray[np.generic]:
        """Return (n, rows, width): a plane as large as `bands`, or a fraction of it, without the rows at the seams."""
        rows = plane.shape[0] // self.count
        return plane.reshape(self.count, rows, plane.shape[1])[:, seam : rows - seam]

    def blocks(self, plane: npt.NDArray[np.number], side: int) -> FloatArray:
        """Return (n, rows // side, width // side) means of side x side blocks of (n, rows, width).

        What is left over at the right is left out. `rows` must be a multiple of `side`, and `side` values must not add
        up to more than their type holds. Of whole numbers the means are exact where `side` is a power of two.
        """
        count, rows, width = plane.shape
        wide = width // side
        strips = plane[:, :, : wide * side].reshape(count, rows // side, side, wide * side)
        # Down first, whole rows at a time: several times as fast as block by block.
        sums = np.add.reduce(strips, axis=2, dtype=strips.dtype).astype(np.float32).reshape(-1, wide * side)
        across = cv2.resize(sums, (wide, len(sums)), interpolation=cv2.INTER_AREA)
        means = np.asarray(across, np.float32) / np.float32(side)
        return np.asarray(means, np.float32).reshape(count, rows // side, wide)

    def rows_of_tiles(self) -> list[slice]:
        """Return which bands belong to each row of tiles; a low frame's tiles share bands."""
        return [
            slice(r * self.count // GRID, max((r + 1) * self.count // GRID, r * self.count // GRID + 1))
            for r in range(GRID)
        ]

    def tile_means(self, plane: FloatArray, seam: int = SEAM) -> FloatArray:
        """Return the (GRID, GRID) means of a plane like `bands`, seams left out."""
        columns = np.asarray(self.inside(plane, seam), np.float32).mean(axis=1)
        narrow = np.stack([part.mean(axis=1) for part in np.array_split(columns, GRID, axis=1)], axis=1)
        return np.stack([narrow[rows].mean(axis=0) for rows in self.rows_of_tiles()]).astype(np.float32)


def area_means(plane: npt.NDArray[np.generic], grid: int) -> FloatArray:
    """Return the means of grid x grid tiles of a (h, w) or (h, w, c) plane."""
    return np.asarray(cv2.resize(plane.astype(np.float32), (grid, grid), interpolation=cv2.INTER_AREA), np.float32)


def _picks(height: int, width: int) -> tuple[slice, slice]:
    """Return which rows and columns the coarse points are picked from."""
    step = max(1, int(np.ceil(np.sqrt(height * width / _COARSE_PIXELS))))
    return slice(step // 2, None, step), slice(step // 2, None, step)


def _rows(plane: npt.NDArray[np.uint8], starts: list[int]) -> npt.NDArray[np.uint8]:
    return np.concatenate([plane[start : start + BAND] for start in starts])


def _band_starts(height: int, width: int) -> list[int]:
    most = height // BAND
    wanted = max(1, min(most, _FINE_PIXELS // (BAND * width)))
    if wanted == most:
        return [band * BAND for band in range(most)]
    if wanted > GRID:
        wanted -= wanted % GRID  # every row of tiles gets its share
    return [int(start) // 8 * 8 for start in np.linspace(0, height - BAND, wanted + 2)[1:-1]]
