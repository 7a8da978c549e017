"""Passwords in Redis URLs."""

from __future__ import annotations

from urllib.parse import SplitResult, quote, urlsplit, urlunsplit

_SCHEMES = {"redis", "rediss", "unix"}


def with_password(url: str, password: str | None) -> str:
    """Return a Redis URL with `password`, percent-encoded, unless it names one itself.

    Raises
    ------
    ValueError
        The URL cannot be read. The message does not quote it: it may hold a password.

    Examples
    --------
    >>> with_password("redis://host:6379/0", "a/b+c=")
    'redis://:a%2Fb%2Bc%3D@host:6379/0'
    """
    parts = urlsplit(url)
    if not _is_readable(parts):
        raise ValueError(
            "SENTINEL_REDIS_URL is no Redis URL like redis://:PASSWORD@host:6379/0: characters such as / + = # ? @ in "
            "a password must be percent-encoded there; or set SENTINEL_REDIS_PASSWORD, where nothing is encoded"
        )
    if password is None or parts.password is not None:
        return url
    address = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username or ''}:{quote(password, safe='')}@{address}"))


def _is_readable(parts: SplitResult) -> bool:
    """Return whether the parts are those of a Redis URL; a password with / # ? in it ends up in the wrong ones."""
    if parts.scheme == "unix":
        return bool(parts.path)
    try:
        parts.port  # noqa: B018, reading it checks it
    except ValueError:
        return False
    return parts.scheme in _SCHEMES and bool(parts.hostname) and "@" not in parts.path + parts.query + parts.fragment
