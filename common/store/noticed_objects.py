"""Which objects notifications said were written, until somebody has looked at them.

It is a hint and no more: whatever is lost of it, the next listing finds.
"""

from __future__ import annotations

import time
from collections.abc import Collection

import redis

from common.errors import Backlogged
from common.store import keys
from common.store.client import text

MOST_NOTICED = 10_000
"""Objects that may wait, at 1 kB each at most; more wait where the notifications are, or for the next listing."""


class NoticedObjects:
    """The URIs of objects to look at, each once, those first that were noticed first."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client

    def add(self, uris: Collection[str]) -> None:
        """Note objects. Several writers at a time may exceed the bound by what each adds.

        Raises
        ------
        Backlogged
            If too many wait already: nothing was noted.
        """
        if not uris:
            return
        if self.client.zcard(keys.OBJECTS_NOTICED) >= MOST_NOTICED:
            raise Backlogged(f"{MOST_NOTICED} objects wait to be looked at: see that process `objects` runs")
        self.client.zadd(keys.OBJECTS_NOTICED, dict.fromkeys(uris, time.time()), nx=True)

    def take(self) -> str | None:
        """Remove and return the object that has waited longest; None if none waits.

        It is removed before it is looked at: what is written meanwhile is noted, and comes again.
        """
        rows = self.client.zpopmin(keys.OBJECTS_NOTICED)
        return text(rows[0][0]) if rows else None

    def put_back(self, uri: str) -> None:
        """Let an object wait again, behind the others."""
        self.client.zadd(keys.OBJECTS_NOTICED, {uri: time.time()}, nx=True)
