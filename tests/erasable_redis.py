"""The embedded Redis, where Sentinel's user may also fill, list, erase and restore any key, as tests do."""

from __future__ import annotations

from dataclasses import replace

from common.redis_users import CAMERA, TRUTH, sentinel_user
from sentinel.stack.redis_server import RedisServer


class ErasableRedis(RedisServer):
    """Apart from these keys and commands its users have the rights that they have everywhere."""

    users = (
        replace(sentinel_user(), rules=f"{sentinel_user().rules} ~* +keys +flushall +restore"),
        CAMERA,
        TRUTH,
    )
