"""Motion that is found once: a retraining trains on, scores and proves the same triplets again and again."""

from __future__ import annotations

import hashlib

import numpy as np

from common.models.vfi.design import Engine
from common.models.vfi.flow import Warped
from common.models.vfi.triplets import TripletArray


class RememberedMotion:
    """An engine that keeps what another one has found, as long as there is memory for it.

    What is full stays as it is: the first that a retraining asks for is golden footage, which it asks for most often.

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
        if len(missing) == len(triplets):
            self._keep(keys, found)
            return found
        new = {keys[place]: found[slice(row, row + 1)] for row, place in enumerate(missing)}
        rows = [new[key] if key in new else self._known[key] for key in keys]
        self._keep([keys[place] for place in missing], found)
        return Warped(
            np.concatenate([row.plain for row in rows]),
            np.concatenate([row.refined for row in rows]),
            np.concatenate([row.motion for row in rows]),
            np.concatenate([row.further for row in rows]),
        )

    def _keep(self, keys: list[bytes], found: Warped) -> None:
        for number, key in enumerate(keys):
            row = found[slice(number, number + 1)]
            size = row.plain.nbytes + row.refined.nbytes + row.motion.nbytes + row.further.nbytes
            if key not in self._known and size <= self._left:
                # A view would keep all of `found` in memory.
                self._known[key] = Warped(row.plain.copy(), row.refined.copy(), row.motion.copy(), row.further.copy())
                self._left -= size


def _key(triplet: TripletArray) -> bytes:
    """Return a digest of the outer frames of a triplet (3, h, w, 3) and of their shape; the middle one is not seen."""
    outer = hashlib.blake2b(str(triplet.shape).encode(), digest_size=16)
    outer.update(triplet[0].tobytes())
    outer.update(triplet[2].tobytes())
    return outer.digest()
