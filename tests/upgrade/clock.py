"""The clock of stored state stands still while the fixture lies in git.

What Redis lets run out, and when the next retraining is due, are times of the day on which the fixture was made. Opened
a week later, as it is, its waiting FAILs would be due at once and part of what they need would be gone.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import Any

import redis

_DUE = "sentinel:retrain:due"  # sorted set: model -> when its retraining may start
_SHORT_LIVED = b"sentinel:process:"  # signs of life; hours later there are none


@dataclass(frozen=True)
class Stopped:
    """What was left of every time when the clock was stopped.

    Attributes
    ----------
    expires_ms : key -> milliseconds that it had left
    due_seconds : model -> seconds until its retraining could start
    """

    expires_ms: dict[str, int] = field(default_factory=dict)
    due_seconds: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def stop(client: redis.Redis) -> Stopped:
    """Let nothing run out any more, and return what would have, and when. Signs of life are removed."""
    expires_ms = {}
    for key in client.scan_iter(count=1000):
        left = int(client.pttl(key))
        if key.startswith(_SHORT_LIVED):
            client.delete(key)
        elif left > 0:
            expires_ms[key.decode()] = left
            client.persist(key)
    now = time.time()
    due = client.zrange(_DUE, 0, -1, withscores=True)
    return Stopped(expires_ms, {model.decode(): at - now for model, at in due})


def start(client: redis.Redis, stopped: Stopped) -> None:
    """Let every time go on from where it was stopped."""
    for key, left in stopped.expires_ms.items():
        client.pexpire(key, left)
    now = time.time()
    for model, seconds in stopped.due_seconds.items():
        client.zadd(_DUE, {model: now + seconds}, xx=True)
