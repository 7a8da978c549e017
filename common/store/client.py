"""Connecting to Redis, and finding out whether it is one that Sentinel can run on."""

from __future__ import annotations

import re
from importlib import resources
from typing import cast

import redis
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


def connect(url: str) -> redis.Redis:
    """Return a client for binary values that reconnects by itself; raise `BrokerUnavailable` if Redis is not there."""
    try:
        _require_admission(url)
        client = redis.Redis.from_url(
            url,
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


def fields_of(entry: object) -> dict[str, bytes]:
    """Return the fields of a Stream entry by name, values as the writer sent them."""
    return {text(name): value for name, value in cast("dict[bytes, bytes]", entry).items()}
