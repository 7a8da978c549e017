"""Predictors without weights, which an interpolation model must be better than."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from common.models.vfi.flow import WarpArray, halfway_warps
from common.models.vfi.triplets import TripletArray


class Blender(Protocol):
    """A predictor that can use half-way warps that are known already."""

    def blend(self, triplets: TripletArray, warps: WarpArray) -> npt.NDArray[np.uint8]:
        """Return the middle frames (n, h, w, 3) from triplets (n, 3, h, w, 3) and their warps (n, 2, h, w, 3)."""


class Average:
    """Plain averaging of the neighbours."""

    def predict(self, triplets: TripletArray) -> npt.NDArray[np.uint8]:
        """Return the middle frames (n, h, w, 3) of triplets (n, 3, h, w, 3)."""
        return _mean(triplets[:, 0], triplets[:, 2])

    def blend(self, triplets: TripletArray, _warps: WarpArray) -> npt.NDArray[np.uint8]:
        return self.predict(triplets)


class Flow:
    """The mean of the two half-way warps by DIS optical flow."""

    def predict(self, triplets: TripletArray) -> npt.NDArray[np.uint8]:
        """Return the middle frames (n, h, w, 3) of triplets (n, 3, h, w, 3)."""
        return self.blend(triplets, halfway_warps(triplets))

    def blend(self, _triplets: TripletArray, warps: WarpArray) -> npt.NDArray[np.uint8]:
        return _mean(warps[:, 0], warps[:, 1])


def _mean(one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return np.asarray(np.rint((one.astype(np.float32) + other) / 2.0), np.uint8)
