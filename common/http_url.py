"""Addresses of HTTP servers that people write into settings."""

from __future__ import annotations

import unicodedata
from urllib.parse import urlsplit


def check_base_url(url: str) -> str:
    """Return `url`, without a slash at its end, if paths can be added to it.

    Raises
    ------
    ValueError
        Which says what is wrong, and does not quote the URL: it may hold a password.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError("it is no URL: write http://HOST:PORT") from error
    if any(character.isspace() or unicodedata.category(character).startswith("C") for character in url):
        raise ValueError("it has a blank or a control character")
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise ValueError("it is no address that begins with http:// or https:// and names a host")
    if "@" in parts.netloc:
        raise ValueError("it has a user or a password, which are not sent: leave them out")
    if parts.query or parts.fragment:
        raise ValueError("it has a part behind ? or #: paths are added at its end")
    return url.rstrip("/")
