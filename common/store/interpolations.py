"""Which videos are being interpolated now."""

from __future__ import annotations

from contextlib import AbstractContextManager

import redis

from common.contracts.ids import content_id
from common.store import keys
from common.store.lease import hold_lease


class InterpolationStore:
    """Leases of the files that interpolations write."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def lease(self, target: str) -> AbstractContextManager[bool]:
        """Hold the lease to write the file `target` while the block runs; see `hold_lease`."""
        return hold_lease(self._client, keys.INTERPOLATING_PREFIX + content_id(target))
