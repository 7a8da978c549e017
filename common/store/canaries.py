"""Live examples on which a promoted champion was compared with a version before it: a list for each stream."""

from __future__ import annotations

import json
from collections.abc import Sequence

import redis

from common.contracts.models import ChampionRecord
from common.store import keys
from common.store.client import text

SECONDS_KEPT = 30 * 86_400
"""For so long after its promotion a champion may be compared."""
_SECONDS_ASKED = 60


class CanaryStore:
    """Differences of two versions of a model on the live examples of each stream."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client

    def add(self, stream: str, champion: ChampionRecord, chunk: str, differences: Sequence[float]) -> None:
        """Add what a chunk shows, by its id: one that is embedded again counts once."""
        key = _key(stream, champion)
        pipe = self.client.pipeline()
        pipe.rpush(key, json.dumps([chunk, [round(value, 5) for value in differences]]))
        pipe.expire(key, SECONDS_KEPT)
        pipe.execute()

    def by_chunk(self, stream: str, champion: ChampionRecord) -> dict[str, list[float]]:
        """Return chunk -> differences to the version before it, in the order in which they first came."""
        rows = [json.loads(text(row)) for row in self.client.lrange(_key(stream, champion), 0, -1)]
        first = dict(reversed(rows))
        return {chunk: [float(value) for value in first[chunk]] for chunk in dict.fromkeys(chunk for chunk, _ in rows)}

    def ask(self, model: str) -> bool:
        """Return whether the retrain worker has to be asked to look at a model now, and note that it was."""
        return bool(self.client.set(keys.model_key(model, "canary-asked"), b"1", nx=True, ex=_SECONDS_ASKED))


def _key(stream: str, champion: ChampionRecord) -> str:
    return keys.stream_key(stream, "canary", str(champion.version), (champion.model_digest or "")[:16])
