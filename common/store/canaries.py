"""Live examples on which a promoted champion was compared with the version before it: a list for each stream."""

from __future__ import annotations

import json
from collections.abc import Sequence

import redis

from common.store import keys
from common.store.client import text

_SECONDS_KEPT = 30 * 86_400


class CanaryStore:
    """Differences of two versions of a model on the live examples of each stream."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client

    def add(self, stream: str, version: int, chunk: str, differences: Sequence[float]) -> None:
        """Add what a chunk shows, by its id: one that is embedded again counts once."""
        key = _key(stream, version)
        pipe = self.client.pipeline()
        pipe.rpush(key, json.dumps([chunk, [round(value, 5) for value in differences]]))
        pipe.expire(key, _SECONDS_KEPT)
        pipe.execute()

    def by_chunk(self, stream: str, version: int) -> dict[str, list[float]]:
        """Return chunk -> differences of a version to the one before it, in the order in which they first came."""
        rows = [json.loads(text(row)) for row in self.client.lrange(_key(stream, version), 0, -1)]
        first = dict(reversed(rows))
        return {chunk: [float(value) for value in first[chunk]] for chunk in dict.fromkeys(chunk for chunk, _ in rows)}


def _key(stream: str, version: int) -> str:
    return keys.stream_key(stream, "canary", str(version))
