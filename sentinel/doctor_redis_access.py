"""What `sentinel doctor` finds of who gets at Redis: whether the way there is encrypted, and what its users may do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast
from urllib.parse import urlsplit, urlunsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from common.errors import SentinelError
from common.redis_url import CA_FILE, CERT_FILE, stays_on_this_machine, without_tls_options
from common.redis_users import CAMERA, TRUTH, sentinel_user
from common.store import keys
from common.store.client import text

_STRANGER_SECONDS = 5.0  # that somebody without a password gets for an answer
_OF_PATTERNS = frozenset("*?[\\")  # what stands for more than one key

Rights = Mapping[str, list[str]]
"""What `ACL GETUSER` answers."""


def connection(url: str) -> str:
    """Say whether what goes to Redis and back is encrypted, and by whom its certificate is vouched for."""
    options = without_tls_options(url)[1]
    if options is not None:
        by = options.get(CA_FILE, "this system's authorities")
        shown = ", shows a certificate itself" if CERT_FILE in options else ""
        return f"TLS, certificate and name verified by {by}{shown}"
    if stays_on_this_machine(url):
        return "without TLS, and never leaves this machine"
    return (
        "WITHOUT TLS: whoever is on the network between reads the password and all that is sent, and can change it: "
        "write rediss:// (docs/several-hosts.md), or keep that network to these machines"
    )


def users(client: redis.Redis, url: str) -> str:
    """Look at who may do what in Redis, as far as this user may see it."""
    stranger_enters = _lets_strangers_in(url)
    if stranger_enters and not stays_on_this_machine(url):
        raise SentinelError(
            "Redis lets in whoever reaches it, without a password: give it the users that `sentinel redis acl` prints "
            "(docs/several-hosts.md)"
        )
    open_here = ", lets in whoever is on this machine WITHOUT a password" if stranger_enters else ""
    me = urlsplit(url).username or "default"
    try:
        names = {text(name) for name in client.acl_users()}
    except redis.exceptions.NoPermissionError:
        return f"{me} may not administer Redis{open_here}"
    writers = {CAMERA.name: keys.INGEST, TRUTH.name: keys.TRUTH}
    for name in sorted(names):
        root = writers.get(name) or (keys.INGEST if name.startswith(f"{CAMERA.name}-") else None)
        if root is not None and not _only_writes(cast("Rights", client.acl_getuser(name)), root):
            raise SentinelError(
                f"user {name!r} may do more in Redis than write to {root}: `sentinel redis acl` prints the rights that "
                "it needs"
            )
    return (
        f"{me} may administer Redis, which Sentinel need not: name user {sentinel_user().name} in SENTINEL_REDIS_URL, "
        f"with the rights that `sentinel redis acl` prints{open_here}"
    )


def _lets_strangers_in(url: str) -> bool:
    """Return whether Redis answers to somebody who names no user and no password."""
    parts = urlsplit(url)
    anonymous = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    with redis.Redis.from_url(anonymous, socket_timeout=_STRANGER_SECONDS, retry=Retry(NoBackoff(), 0)) as stranger:
        try:
            return bool(stranger.ping())
        except redis.RedisError:
            return False


def _only_writes(user: Rights, root: str) -> bool:
    """Return whether the rights of a user are XADD on the Stream `root`, or on one below it."""
    patterns = [text(pattern).removeprefix("~") for pattern in user["keys"]]  # Redis 6 answers with bytes
    return (
        user["commands"] == ["+xadd"]
        and user["categories"] == ["-@all"]
        and all(pattern == root or pattern.startswith(f"{root}:") for pattern in patterns)
        and not any(_OF_PATTERNS & set(pattern) for pattern in patterns)
        and not user.get("selectors")
    )
