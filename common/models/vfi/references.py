"""Predictors without weights, which an interpolation model must be better than."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from common.models.vfi.flow import Warped, warp_halfway
from common.models.vfi.triplets import TripletArray


class Blender(Protocol):
    """A predictor that can use motion that is known already."""

    def blend(self, triplets: TripletArray, warped: Warped) -> npt.NDArray[np.uint8]:
        """Return the middle frames (n, h, w, 3) of triplets (n, 3, h, w, 3) and their motion."""


class Average:
    """Plain averaging of the neighbours."""

    def predict(self, triplets: TripletArray) -> npt.NDArray[np.uint8]:
        """Return the middle frames (n, h, w, 3) of triplets (n, 3, h, w, 3)."""
        return _mean(triplets[:, 0], triplets[:, 2])

    def blend(self, triplets: TripletArray, _warped: Warped) -> npt.NDArray[np.uint8]:
        return self.predict(triplets)


class Flow:
    """The mean of the two half-way warps by DIS optical flow, as published tables have it."""

    def predict(self, triplets: TripletArray) -> npt.NDArray[np.uint8]:
        """Return the middle frames (n, h, w, 3) of triplets (n, 3, h, w, 3)."""
        return self.blend(triplets, warp_halfway(triplets))

    def blend(self, _triplets: TripletArray, warped: Warped) -> npt.NDArray[np.uint8]:
        return _mean(warped.plain[:, 0], warped.plain[:, 1])


def _mean(one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return np.asarray(np.rint((one.astype(np.float32) + other) / 2.0), np.uint8)
