"""Connecting to Redis, and finding out whether it is one that Sentinel can run on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from typing import cast

import redis
from kombu.exceptions import OperationalError
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.commands.core import Script
from redis.retry import Retry

from common.errors import BrokerUnavailable

OLDEST_VERSION = (6, 2)  # XAUTOCLAIM and the GET options that the scripts use came with 6.2

# A short outage (a restart of Redis takes a second or two) is ridden out inside the call.
_RETRIES = 6
_LONGEST_PAUSE_SECONDS = 2.0
_SOCKET_TIMEOUT_SECONDS = 10.0
_PATH = re.compile(r"([^/?#]*)(.*)", re.DOTALL)  # of a URL: what names user and host, and the rest

# Error replies of a Redis that cannot work now, whatever it is asked: memory or disk is full, it is starting, a script
# runs too long, it is a replica. Inside a script they come as the text of a plain ResponseError.
_PASSING_REPLIES = ("OOM ", "MISCONF", "LOADING", "BUSY ", "READONLY", "NOREPLICAS", "CLUSTERDOWN", "MASTERDOWN")
_PASSING_ERRORS = (
    OperationalError,  # kombu's: the broker is away
    redis.exceptions.OutOfMemoryError,
    redis.exceptions.ReadOnlyError,
    redis.exceptions.NoPermissionError,
    redis.exceptions.ClusterDownError,
    redis.exceptions.TryAgainError,
)


def connect(url: str) -> redis.Redis:
    """Return a client for binary values that reconnects by itself; raise `BrokerUnavailable` if Redis is not there."""
    try:
        _require_admission(url)
        client = redis.Redis.from_url(
            url,
            encoding_errors="surrogatepass",  # bytes of a command line that are no text: no such name is known
            retry=Retry(ExponentialBackoff(cap=_LONGEST_PAUSE_SECONDS, base=0.1), _RETRIES),
            retry_on_error=[redis.ConnectionError, redis.TimeoutError, redis.BusyLoadingError],
            socket_timeout=_SOCKET_TIMEOUT_SECONDS,
            health_check_interval=15,
        )
        version = str(client.info("server")["redis_version"])
    except ValueError as error:
        # What Python says of a URL that it cannot read may quote the password.
        raise BrokerUnavailable(
            f"SENTINEL_REDIS_URL ({without_password(url)}) is not the URL of a Redis: write "
            "redis://user:password@host:port, with %40 for @, %2F for /, %3F for ? and %23 for # in the password"
        ) from error
    except (redis.RedisError, OSError) as error:
        raise BrokerUnavailable(
            f"Redis at {without_password(url)} does not answer ({error}): start it, or correct SENTINEL_REDIS_URL"
        ) from error
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_VERSION:
        raise BrokerUnavailable(f"Redis at {without_password(url)} is {version}, Sentinel needs 6.2 or newer")
    return client


def _require_admission(url: str) -> None:
    """Raise `BrokerUnavailable` at once where Redis refuses the user: to the client that is a lost connection like
    any other, to be tried again and again."""
    with redis.Redis.from_url(url, socket_timeout=_SOCKET_TIMEOUT_SECONDS, retry=Retry(NoBackoff(), 0)) as client:
        try:
            client.ping()
        except (redis.AuthenticationError, redis.exceptions.NoPermissionError) as error:
            raise BrokerUnavailable(
                f"Redis at {without_password(url)} refuses the user ({error}): correct user and password in "
                "SENTINEL_REDIS_URL, as redis://user:password@host"
            ) from error
        except redis.RedisError:
            return  # it may be on its way back: whoever asks next waits for it


def without_password(url: str) -> str:
    """Return `url` fit to be shown: scheme, host, port and database or path, and nothing that may be secret.

    Examples
    --------
    >>> without_password("redis://camera:secret@10.0.0.1:6379/0")
    'redis://10.0.0.1:6379/0'
    >>> without_password("redis://10.0.0.1?password=secret")
    'redis://10.0.0.1'
    """
    scheme, separator, rest = url.partition("://")
    login, path = _PATH.match(rest).groups()  # type: ignore[union-attr]  # it matches everything
    if not separator or "@" in path:
        return f"{scheme if separator else 'redis'}://…"  # a password with / ? or # in it: who can say where it ends
    return f"{scheme}://{login.rpartition('@')[2]}{path.partition('?')[0].partition('#')[0]}"


def load_script(client: redis.Redis, name: str) -> Script:
    """Return the Lua script `scripts/NAME.lua`, ready to be called."""
    text = resources.files("common.store").joinpath("scripts", f"{name}.lua").read_text(encoding="utf-8")
    return client.register_script(text)


def text(value: object) -> str:
    """Decode what Redis returned for a key that holds text."""
    return value.decode() if isinstance(value, bytes) else str(value)


def binary(value: object) -> bytes | None:
    """Return what Redis holds for a binary value; None where there is none."""
    return value if isinstance(value, bytes) else None


def fields_of(entry: object) -> dict[bytes, bytes]:
    """Return the fields of a Stream entry, names and values as the writer sent them: either may be any bytes."""
    return cast("dict[bytes, bytes]", entry)


def is_unavailable(error: BaseException) -> bool:
    """Return whether `error` says that Redis cannot work now, rather than that something is wrong with the request.

    Work that meets such an error must wait and be tried again; nothing about it may be acknowledged or given up.
    """
    if isinstance(error, _PASSING_ERRORS):
        return True
    if isinstance(error, redis.ResponseError):
        return any(reply in str(error) for reply in _PASSING_REPLIES)
    return isinstance(error, redis.ConnectionError | redis.TimeoutError)


@contextmanager
def unavailability() -> Iterator[None]:
    """Raise `BrokerUnavailable` in place of any error that says that Redis cannot work now."""
    try:
        yield
    except (redis.RedisError, OperationalError) as error:
        if not is_unavailable(error):
            raise
        raise BrokerUnavailable(
            f"Redis cannot take this now ({error}); it is tried again: see that Redis runs and has memory and disk left"
        ) from error
