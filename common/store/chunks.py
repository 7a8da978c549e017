"""What embedding workers store in Redis: the number of deliveries, and chunks finished or given up."""

from __future__ import annotations

import time
from collections.abc import Sequence
from enum import IntEnum

import redis

from common.contracts.batches import Chunk
from common.contracts.dead_letters import DeadLetter
from common.features import FeatureBlock
from common.store import keys
from common.store.client import load_script, text


class Finished(IntEnum):
    """Result of `ChunkStore.finish` and `give_up`."""

    UNKNOWN = -1
    """The chunk has been reduced already, or was never registered: nothing is left to do."""
    BLOCKED = 0
    """Earlier chunks of the stream are unfinished; the worker that finishes them sends `reduce`."""
    READY = 1
    """It is the first in its stream's order: the caller has to send `reduce`."""


class ChunkStore:
    """The chunks of each stream.

    Parameters
    ----------
    retention : seconds for which the cost per frame of a stream is remembered
    max_events : most entries in the Stream of dead letters
    """

    def __init__(self, client: redis.Redis, *, retention: int, max_events: int) -> None:
        self.client = client
        self._retention = retention
        self._max_events = max_events
        self._touch = load_script(client, "touch_chunk")
        self._finish = load_script(client, "finish_chunk")

    def count_delivery(self, chunk: Chunk, task_id: str, seconds: float) -> int:
        """Count a delivery of `chunk` to a worker; return the number of deliveries, 0 if nothing is to be done.

        That is if it is no longer pending, or if another task than `task_id` took it less than `seconds` ago, for which
        a task may have it in hand: if that one has died, the sweep sends another.
        """
        return max(0, self._touch_chunk(chunk, 1, task_id, seconds))

    def mark_sent(self, chunk: Chunk) -> None:
        """Record that `chunk` was sent to the workers again."""
        self._touch_chunk(chunk, 0, "", 0.0)

    def _touch_chunk(self, chunk: Chunk, taken: int, task_id: str, seconds: float) -> int:
        chunk_keys = [keys.stream_key(chunk.stream, "chunk", chunk.id), keys.stream_key(chunk.stream, "pending")]
        return int(self._touch(keys=chunk_keys, args=[chunk.id, time.time(), taken, task_id, seconds]))

    def finish(self, chunk: Chunk, features: FeatureBlock, *, seconds: float | None = None) -> Finished:
        """Store the features of `chunk` unless it is finished already.

        `seconds` is the time that computing them took; it updates the stream's cost per frame.
        """
        cost = seconds / len(features) if seconds is not None and len(features) else None
        return self._finish_as(chunk, features.to_bytes(), None, cost)

    def give_up(self, chunk: Chunk, letter: DeadLetter) -> Finished:
        """Finish `chunk` without features, and write `letter` to the dead letters, in one step."""
        return self._finish_as(chunk, b"", letter)

    def _finish_as(
        self, chunk: Chunk, features: bytes, letter: DeadLetter | None, cost: float | None = None
    ) -> Finished:
        fields = [item for pair in dead_letter_fields(letter).items() for item in pair] if letter else []
        return Finished(
            self._finish(
                keys=[
                    keys.stream_key(chunk.stream, "chunk", chunk.id),
                    keys.stream_key(chunk.stream, "pending"),
                    keys.DEAD,
                    keys.DEAD_IDS,
                    keys.stream_key(chunk.stream, "cost"),
                ],
                args=[
                    chunk.id,
                    chunk.to_json(),
                    features,
                    letter.id if letter else "",
                    self._max_events,
                    "" if cost is None else cost,
                    self._retention,
                    *fields,
                ],
            )
        )

    def cost(self, stream: str) -> float | None:
        """Return the recent mean of seconds of work per sampled frame of the stream; None if it is unknown."""
        found = self.client.get(keys.stream_key(stream, "cost"))
        return float(text(found)) if found is not None else None

    def costs(self, streams: Sequence[str]) -> dict[str, float]:
        """Return the `cost` of each of several streams of which it is known."""
        pipe = self.client.pipeline(transaction=False)
        for stream in streams:
            pipe.get(keys.stream_key(stream, "cost"))
        found = zip(streams, pipe.execute(), strict=True)
        return {stream: float(text(value)) for stream, value in found if value is not None}


def dead_letter_fields(letter: DeadLetter) -> dict[str, str]:
    """Return `letter` as the flat fields of a Stream entry."""
    row = letter.model_dump(mode="json", exclude={"entry_id"})
    return {name: str(value) for name, value in row.items()}
