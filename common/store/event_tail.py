"""Following `sentinel:events` without a consumer group: each reader remembers by itself how far it has read."""

from __future__ import annotations

from typing import Any

import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from common.store import keys
from common.store.client import entry_position, fields_of, text

BEGINNING = "0-0"
"""Before the first entry."""
_TIMEOUT_SECONDS = 10.0
RawEvent = tuple[str, dict[bytes, bytes]]
"""The id of an entry, and its fields."""


class EventTail:
    """Reads events as they are announced, from an event loop. Close it with `close`.

    Errors of Redis are raised at once: who follows says so to somebody, and tries again.

    Parameters
    ----------
    url : of the Redis; nothing is connected yet
    """

    def __init__(self, url: str) -> None:
        self._client: Any = redis.Redis.from_url(url, socket_timeout=_TIMEOUT_SECONDS, retry=Retry(NoBackoff(), 0))

    async def close(self) -> None:
        await self._client.aclose()

    async def ping(self) -> None:
        """Raise `redis.RedisError` or `OSError` if Redis does not answer."""
        await self._client.ping()

    async def last(self) -> str:
        """Return the id of the latest entry that ever was; `BEGINNING` if there was none."""
        try:
            facts = await self._client.xinfo_stream(keys.EVENTS)
        except redis.ResponseError:  # nothing was announced yet
            return BEGINNING
        return text(facts["last-generated-id"])

    async def is_gone(self, after: str) -> bool:
        """Return whether entries that followed `after` may have been dropped, so that a reader there has a gap.

        It may say so although none was, where `after` itself was the latest that was dropped.
        """
        if after == BEGINNING:
            return False
        first = await self._client.xrange(keys.EVENTS, count=1)
        oldest = text(first[0][0]) if first else await self.last()
        return entry_position(after) < entry_position(oldest)

    async def read(self, after: str, *, count: int, block_ms: int) -> list[RawEvent]:
        """Return up to `count` entries after the entry `after`, waiting for the first one for up to `block_ms`."""
        answer = await self._client.xread({keys.EVENTS: after}, count=count, block=block_ms)
        rows = answer.values() if isinstance(answer, dict) else (found for _, found in answer or [])
        return [(text(at), fields_of(fields)) for page in rows for at, fields in _flat(page) if fields is not None]


def _flat(page: list[Any]) -> list[Any]:
    """Return the entries of a page: with RESP3 it is a list of lists."""
    return [row for part in page for row in part] if page and isinstance(page[0], list) else page
