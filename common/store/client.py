"""Connecting to Redis, telling its errors apart, and decoding its replies."""

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
from common.store.tls import require_tls

OLDEST_VERSION = (6, 2)  # XAUTOCLAIM and the GET options that the scripts use came with 6.2

# The client retries during a short outage: a restart of Redis takes a second or two.
_RETRIES = 6
_LONGEST_PAUSE_SECONDS = 2.0
_SOCKET_TIMEOUT_SECONDS = 10.0
_PATH = re.compile(r"([^/?#]*)(.*)", re.DOTALL)  # after the scheme: user, password, host and port; then the rest

# Error replies of a Redis that cannot work for now, whatever the command: memory or disk is full, it is starting, a
# script runs too long, it is a replica. Inside a script they are the text of a plain ResponseError.
_PASSING_REPLIES = ("OOM ", "MISCONF", "LOADING", "BUSY ", "READONLY", "NOREPLICAS", "CLUSTERDOWN", "MASTERDOWN")
_PASSING_ERRORS = (
    OperationalError,  # kombu's: the broker is unavailable
    redis.exceptions.OutOfMemoryError,
    redis.exceptions.ReadOnlyError,
    redis.exceptions.NoPermissionError,
    redis.exceptions.ClusterDownError,
    redis.exceptions.TryAgainError,
)


def connect(url: str) -> redis.Redis:
    """Return a client that returns bytes and reconnects automatically.

    Raises
    ------
    BrokerUnavailable
        If the URL is invalid, Redis does not answer, shows a certificate that cannot be verified or refuses the user,
        or its version is too old.
    SettingsError
        If a file of TLS cannot be used.
    """
    try:
        require_admission(url)
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
        # Python's message about an invalid URL may quote the password.
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


def require_admission(url: str) -> None:
    """Raise at once what waiting does not mend: Redis refuses the user, or no TLS can be spoken with it. Clients, and
    Celery, treat both as a lost connection and retry. Nothing is raised if Redis is away.

    Raises
    ------
    BrokerUnavailable
        If Redis shows a certificate that cannot be verified, asks for one, speaks no TLS, or refuses the user.
    SettingsError
        If a file of TLS cannot be used.
    """
    try:
        require_tls(url)
    except BrokerUnavailable as error:
        raise BrokerUnavailable(f"Redis at {without_password(url)} {error}") from error
    with redis.Redis.from_url(url, socket_timeout=_SOCKET_TIMEOUT_SECONDS, retry=Retry(NoBackoff(), 0)) as client:
        try:
            client.ping()
        except (redis.AuthenticationError, redis.exceptions.NoPermissionError) as error:
            raise BrokerUnavailable(
                f"Redis at {without_password(url)} refuses the user ({error}): correct user and password in "
                "SENTINEL_REDIS_URL, as redis://user:password@host"
            ) from error
        except redis.RedisError:
            return  # it may be restarting: the next command waits for it


def without_password(url: str) -> str:
    """Return `url` for display: scheme, host, port and database or path, without user, password and options.

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
        return f"{scheme if separator else 'redis'}://…"  # a password with / ? or # in it: its end cannot be told
    return f"{scheme}://{login.rpartition('@')[2]}{path.partition('?')[0].partition('#')[0]}"


def load_script(client: redis.Redis, name: str) -> Script:
    """Return the Lua script `scripts/<name>.lua` as a callable."""
    text = resources.files("common.store").joinpath("scripts", f"{name}.lua").read_text(encoding="utf-8")
    return client.register_script(text)


def text(value: object) -> str:
    """Decode a reply of Redis that is text."""
    return value.decode() if isinstance(value, bytes) else str(value)


def entry_position(entry_id: str) -> tuple[int, int]:
    """Return the milliseconds and the number in the id of a Stream's entry, which order entries."""
    milliseconds, _, number = entry_id.partition("-")
    return int(milliseconds), int(number or 0)


def binary(value: object) -> bytes | None:
    """Return a reply of Redis that is binary; None if the value does not exist."""
    return value if isinstance(value, bytes) else None


def fields_of(entry: object) -> dict[bytes, bytes]:
    """Return the fields of a Stream entry. Names and values are the writer's bytes and may be anything."""
    return cast("dict[bytes, bytes]", entry)


def is_unavailable(error: BaseException) -> bool:
    """Return whether `error` means that Redis cannot work for now, not that the request is wrong.

    Work that fails with such an error must be tried again later; it must not be acknowledged or given up.
    """
    if isinstance(error, _PASSING_ERRORS):
        return True
    if isinstance(error, redis.ResponseError):
        return any(reply in str(error) for reply in _PASSING_REPLIES)
    return isinstance(error, redis.ConnectionError | redis.TimeoutError)


@contextmanager
def unavailability() -> Iterator[None]:
    """Raise `BrokerUnavailable` in place of every error for which `is_unavailable` holds."""
    try:
        yield
    except (redis.RedisError, OperationalError) as error:
        if not is_unavailable(error):
            raise
        raise BrokerUnavailable(
            f"Redis cannot take this now ({error}); it is tried again: see that Redis runs and has memory and disk left"
        ) from error
