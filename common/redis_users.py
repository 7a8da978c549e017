"""Who may do what in Redis: its users, each with the rights that it needs and no others.

The embedded Redis and the file that `sentinel redis acl` prints follow this one list. Messages on Celery's lists are
not signed: whoever may write to one gives workers something to do. So nobody may but Sentinel's own processes and the
Celery clients that are given their password.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from common.errors import SettingsError
from common.processes import QUEUES
from common.store import keys

NOBODY = "user default reset ~* &* +@all"
"""A line by which Redis knows nobody who gives no name: this user has no password and is off. It has every right:
Redis reads its append-only file as this user, and drops transactions that it may not run."""

_CAMERA_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")  # nothing that means something in a pattern of keys, or ends a word

# kombu keeps messages of priority 3, 6 and 9 of a list in one of its own, with two control characters before the digit.
_OF_PRIORITY = "??[369]"

# What kombu and Celery's result backend keep beside the queues: which lists are bound, what is not acknowledged yet,
# answers to `inspect` and `ping` and to programs that read events, results of tasks. Flower asks how long Celery's
# default list is, which nobody here uses.
_CELERY_KEYS = (
    "_kombu.binding*", "unacked", "unacked_index", "unacked_mutex",
    "*.celery.pidbox", f"*.celery.pidbox{_OF_PRIORITY}", "celeryev.*", "celery-task-meta-*",
    "celery", f"celery{_OF_PRIORITY}",
)  # fmt: skip

# Every command that reads or writes data, without those that look at or erase all keys, or administer the server.
_COMMANDS = (
    "-@all +@connection +@keyspace +@string +@hash +@list +@set +@sortedset +@stream +@transaction -@dangerous -@admin "
    "+eval +evalsha +script|load +script|exists +publish +subscribe +psubscribe +unsubscribe +punsubscribe "
    "+info +time +client|setname"
)


@dataclass(frozen=True)
class RedisUser:
    """A user of Redis.

    Attributes
    ----------
    rules : patterns of keys and channels, and commands, as Redis' access control lists write them
    """

    name: str
    rules: str

    def line(self, password: str) -> str:
        """Return the user as a line of a configuration or of an ACL file, which holds a digest of the password."""
        return f"user {self.name} reset resetchannels on #{hashlib.sha256(password.encode()).hexdigest()} {self.rules}"

    def arguments(self, password: str) -> list[str]:
        """Return the user as arguments of redis-server; whoever sees the command line sees `password`."""
        return ["--user", self.name, "reset", "resetchannels", "on", f">{password}", *self.rules.split()]


def sentinel_user(database: int = 0) -> RedisUser:
    """Return the user as whom Sentinel's own processes, and Celery clients, come.

    Parameters
    ----------
    database : number of the Redis database that they use; kombu's channels are named after it
    """
    lists = [pattern for queue in QUEUES for pattern in (queue, f"{queue}{_OF_PRIORITY}")]
    # A subscription to a pattern is allowed only where that pattern stands here, letter by letter: `worker.*` is what a
    # worker subscribes to that was started without --without-gossip.
    events = f"/{database}.celeryev/"
    channels = (f"/{database}.celery.pidbox", f"{events}*", f"{events}worker.*", "celery-task-meta-*")
    patterns = [f"~{key}" for key in ("sentinel:*", *lists, *_CELERY_KEYS)] + [f"&{name}" for name in channels]
    return RedisUser("sentinel", f"{' '.join(patterns)} {_COMMANDS}")


CAMERA = RedisUser("camera", f"~{keys.INGEST} -@all +xadd")
"""Writes events of any camera, and nothing else."""

TRUTH = RedisUser("truth", f"~{keys.TRUTH} -@all +xadd")
"""A program that knows labels: writes what is true of frames, and nothing else."""


def camera_user(name: str) -> RedisUser:
    """Return the user of a camera with a Stream of its own, `sentinel:ingest:NAME`; raise `SettingsError` for a name
    that would be read as a pattern."""
    if not _CAMERA_NAME.fullmatch(name):
        raise SettingsError(f"{name!r} cannot name a camera's Stream: write 1 to 64 letters, digits, - and _")
    return RedisUser(f"camera-{name}", f"~{keys.INGEST}:{name} -@all +xadd")
