"""Motion that is found once: a retraining trains on, scores and proves the same triplets again and again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from common.models.vfi.design import Engine
from common.models.vfi.flow import Warped
from common.models.vfi.triplets import TripletArray


class RememberedMotion:
    """An engine that keeps what another one has found, as long as there is memory for it.

    Once there is no more memory, what is kept stays: a retraining asks first, and most often, for golden footage.

    Parameters
    ----------
    engine : finds the motion
    most_bytes : that may be kept
    """

    def __init__(self, engine: Engine, most_bytes: int) -> None:
        self._engine = engine
        self._left = most_bytes
        self._known: dict[bytes, Warped] = {}

    @property
    def further(self) -> int:
        return self._engine.further

    def warp(self, triplets: TripletArray) -> Warped:
        """Return what the engine finds in triplets (n, 3, h, w, 3), bit for bit; see `Engine`."""
        keys = [_key(triplet) for triplet in triplets]
        missing = [place for place, key in enumerate(keys) if key not in self._known]
        found = self._engine.warp(triplets[missing])
        new = {keys[place]: found[slice(row, row + 1)] for row, place in enumerate(missing)}
        self._keep(new)
        if len(missing) == len(triplets):  # in their order: nothing of it need be copied
            return found
        return Warped.joined([new[key] if key in new else self._known[key] for key in keys])

    def _keep(self, new: Mapping[bytes, Warped]) -> None:
        for key, row in new.items():
            if row.nbytes <= self._left:
                # A copy: a view would keep all that was found with it in memory.
                self._known[key] = Warped.joined([row])
                self._left -= row.nbytes


def _key(triplet: TripletArray) -> bytes:
    """Return a digest of the outer frames of a triplet (3, h, w, 3) and of their shape; the middle one is not seen."""
    outer = hashlib.blake2b(str(triplet.shape).encode(), digest_size=16)
    outer.update(triplet[0].tobytes())
    outer.update(triplet[2].tobytes())
    return outer.digest()
