"""What `sentinel doctor` looked at, and what it found."""

from __future__ import annotations

from collections.abc import Callable

import redis

from common.contracts.ids import Message
from common.errors import SentinelError


class Finding(Message):
    """One thing that was looked at."""

    what: str
    ok: bool
    detail: str


def look(what: str, check: Callable[[], str]) -> Finding:
    """Return what `check` says of `what`; an error that it raises says what is wrong."""
    try:
        return Finding(what=what, ok=True, detail=check())
    except (SentinelError, OSError, redis.RedisError) as error:
        return Finding(what=what, ok=False, detail=str(error))
