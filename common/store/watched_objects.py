"""Which object versions below a watched prefix were handed in, so that a listing costs no more than itself."""

from __future__ import annotations

from collections.abc import Collection

import redis

from common.contracts.ids import content_id
from common.store import keys
from common.store.client import text

_PER_COMMAND = 5000  # ids


class WatchedObjects:
    """The ids of the object versions that were handed in."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client

    def handed_in(self, prefix: str) -> set[str]:
        """Return the ids of those below `prefix`."""
        return {text(row) for row in self.client.sscan_iter(_key(prefix), count=_PER_COMMAND)}

    def add(self, prefix: str, version_id: str) -> None:
        self.client.sadd(_key(prefix), version_id)

    def remove(self, prefix: str, version_ids: Collection[str]) -> None:
        """Forget those that are no longer there."""
        rows = list(version_ids)
        for start in range(0, len(rows), _PER_COMMAND):
            self.client.srem(_key(prefix), *rows[start : start + _PER_COMMAND])


def _key(prefix: str) -> str:
    return keys.OBJECTS_PREFIX + content_id(prefix)
