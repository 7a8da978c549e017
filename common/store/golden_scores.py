"""How each stream's champion does on its golden footage: one record a stream, made anew for another champion."""

from __future__ import annotations

import redis

from common.contracts.model_scores import GoldenScores
from common.store import keys

_SECONDS_ASKED = 60  # until they are asked for again, while nobody has made them
_SECONDS_FRESH = 3600  # between two questions whether a stream that learns keeps more golden examples by now


class GoldenScoresStore:
    """The golden scores of each stream."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client

    def stored(self, stream: str) -> bytes | None:
        """Return the record of `stream` as JSON; None: there is none."""
        found = self.client.get(keys.stream_key(stream, "golden-scores"))
        return found if found is None or isinstance(found, bytes) else str(found).encode()

    def put(self, scores: GoldenScores) -> None:
        """Replace the record of a stream."""
        self.client.set(keys.stream_key(scores.stream, "golden-scores"), scores.to_json())

    def ask(self, stream: str, *, known: bool) -> bool:
        """Return whether the record of `stream` has to be asked for now, and note that it was.

        Parameters
        ----------
        known : whether there is one of the champion already
        """
        key = keys.stream_key(stream, "golden-scores-asked", "again" if known else "first")
        return bool(self.client.set(key, b"1", nx=True, ex=_SECONDS_FRESH if known else _SECONDS_ASKED))

    def postpone(self, stream: str) -> None:
        """Note that nothing can be made of the golden footage of `stream` now: it is not asked for within the hour."""
        self.client.set(keys.stream_key(stream, "golden-scores-asked", "first"), b"1", ex=_SECONDS_FRESH)
