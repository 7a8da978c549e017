"""Writes down in Redis when processes were started and how they ended, for `status` and `doctor`."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from common.store.heartbeats import note_exit, note_start

_TIMEOUT_SECONDS = 1.0  # the supervisor must not wait for a Redis that it may have to start itself
_MOST_WAITING = 256


class ExitRecords:
    """Starts and exits of the processes of one stack. What Redis does not accept now is written by a later `flush`."""

    def __init__(self, redis_url: str) -> None:
        self._client = redis.Redis.from_url(redis_url, socket_timeout=_TIMEOUT_SECONDS, retry=Retry(NoBackoff(), 0))
        self._waiting: deque[Callable[[], None]] = deque(maxlen=_MOST_WAITING)

    def started(self, process: str, start_id: str) -> None:
        """Record a start."""
        self._waiting.append(lambda: note_start(self._client, process, start_id))

    def ended(self, process: str, start_id: str, *, pid: int, code: int, reason: str) -> None:
        """Record an exit that nobody asked for."""
        self._waiting.append(lambda: note_exit(self._client, process, start_id, pid=pid, code=code, reason=reason))

    def flush(self) -> None:
        """Write the waiting records in order, until one cannot be written."""
        try:
            while self._waiting:
                self._waiting[0]()
                self._waiting.popleft()
        except redis.RedisError:
            return  # Redis is on its way back

    def close(self) -> None:
        self._client.close()
