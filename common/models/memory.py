"""How many examples a retraining may hold, so that it takes no more memory than it is given.

What counts are the examples themselves and what a trainer makes of those that it trains on. It is estimated before a
frame is read: of longer stretches fewer examples are read, spread over all of them.
"""

from __future__ import annotations

import math

from common.errors import NothingToLearnFrom
from common.models.material import FEWEST_HELD_OUT, MOST_REPLAYED
from common.models.protocols import Model, ModelKind
from common.models.replay import MOST_EARLIER, MOST_GOLDEN

_MB = 1_000_000
_SET_ASIDE = 1.5  # times as many examples are read as are needed: some may be across cuts, or what looks like them


class Room:
    """The memory that is left for the stretches of a retraining, of which each is given its share.

    Parameters
    ----------
    most_mb : for all examples and what training makes of them, MB
    stretches : number of stretches that will ask for room
    conditions : number of conditions of the champion, of which examples are replayed
    """

    def __init__(self, kind: ModelKind[Model], most_mb: int, *, stretches: int, conditions: int) -> None:
        self._kind = kind
        self._most_mb = most_mb
        self._left = float(most_mb * _MB)
        self._stretches = stretches
        self._replayed = min(conditions * MOST_REPLAYED, MOST_EARLIER)
        self._reserved = False

    def take(self, wanted: int, shape: tuple[int, ...]) -> int:
        """Return how many of `wanted` examples of the next stretch there is room for, and keep that room for them.

        Parameters
        ----------
        shape : of one example

        Raises
        ------
        NothingToLearnFrom
            If there is no room for as many as can be decided on.
        """
        if not self._reserved:
            self._reserved = True
            self._left -= self._bytes(MOST_GOLDEN, MOST_GOLDEN // 2, shape)
            self._left -= self._bytes(self._replayed, self._replayed, shape)
        fewest = self._fewest(wanted)
        share = self._left / max(self._stretches, 1)
        self._stretches -= 1
        count = next((n for n in range(wanted, fewest, -1) if self._of_stretch(n, shape) <= share), fewest)
        if (needed := self._of_stretch(count, shape)) > self._left:
            raise NothingToLearnFrom(
                f"{count} examples of it and what training makes of them take {needed / _MB:.0f} MB, "
                f"{max(self._left, 0.0) / _MB:.0f} of {self._most_mb} MB are left: raise "
                "SENTINEL_RETRAIN_MEMORY_MB, or wait until others are healed"
            )
        self._left -= needed
        return count

    @property
    def left_bytes(self) -> int:
        """What is neither given nor kept for golden footage and conditions."""
        return max(int(self._left), 0)

    def _fewest(self, wanted: int) -> int:
        """Return the least number of examples of a stretch of which enough are held out, at most `wanted`."""
        split = self._kind.split_stretch
        counts = (n for n in range(1, wanted) if len(split(n).held_out) >= FEWEST_HELD_OUT)
        return min(round(next(counts, wanted) * _SET_ASIDE), wanted)

    def _of_stretch(self, count: int, shape: tuple[int, ...]) -> float:
        return self._bytes(count, len(self._kind.split_stretch(count).training), shape)

    def _bytes(self, count: int, trained: int, shape: tuple[int, ...]) -> float:
        """Return what so many examples take, of which some are trained on: these are copied once into one array."""
        own = math.prod(shape)
        return count * own + trained * (own + self._kind.trainer().bytes_per_example(shape))
