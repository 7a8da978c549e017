"""What one kind of interpolation model is made of: the engine that finds the motion, and the weights to start from.

Everything else is the same for all of them: triplets, head, training, scores, tiles, files.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from common.models.vfi.flow import Warped, warp_halfway
from common.models.vfi.triplets import TripletArray


class Engine(Protocol):
    """Finds the motion of triplets, and makes the candidates that the head blends. It is never trained."""

    @property
    def further(self) -> int:
        """Number of images that it draws beside the warps by DIS flow, in an order that mirrors with time."""

    def warp(self, triplets: TripletArray) -> Warped:
        """Return the motion of triplets (n, 3, h, w, 3) and the candidates; their middle frames are not used.

        Raises `BadModel`, which says what to do, if its weights are not on this machine.
        """


class DisEngine:
    """DIS flow alone."""

    further = 0

    def warp(self, triplets: TripletArray) -> Warped:
        """Return the half-way warps and the motion of triplets (n, 3, h, w, 3)."""
        return warp_halfway(triplets)


@dataclass(frozen=True, eq=False)
class Design:
    """One kind of interpolation model.

    Attributes
    ----------
    name : identifies the architecture and the engine's weights; a head that was trained for others is refused
    engine : makes what the head blends
    starting : folder of the starting weights of the head; LICENCES.md in it says what they are made from
    """

    name: str
    engine: Engine
    starting: Path


DESIGN = Design("head-8", DisEngine(), Path(__file__).with_name("starting"))
"""Model `vfi`; `make pretrain` makes its starting weights."""
