"""Sources already submitted by a stream's schedule, so that unchanged files are not read again each time."""

from __future__ import annotations

from collections.abc import Collection

import redis

from common.store import keys
from common.store.client import text

_PER_COMMAND = 5000  # ids


def handed_in(client: redis.Redis, stream: str) -> set[str]:
    """Return the ids of the sources that the stream's schedule found when it last ran."""
    return {text(row) for row in client.smembers(_key(stream))}


def note_handed_in(client: redis.Redis, stream: str, ids: Collection[str]) -> None:
    """Replace the stored ids by `ids`."""
    rows = list(ids)
    pipe = client.pipeline(transaction=True)
    pipe.delete(_key(stream))
    for start in range(0, len(rows), _PER_COMMAND):
        pipe.sadd(_key(stream), *rows[start : start + _PER_COMMAND])
    pipe.execute()


def _key(stream: str) -> str:
    return keys.stream_key(stream, "handed-in")
