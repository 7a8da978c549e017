"""Redis URLs: their password, and the files that TLS needs.

A URL that `Settings` completed says all that a client needs: `with_tls` writes the files of TLS into its query, by the
names that redis-py reads there. Celery and Flower read them elsewhere: `without_tls_options` takes the two apart.
"""

from __future__ import annotations

import ipaddress
import ssl
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urlsplit, urlunsplit

_TLS_SCHEME = "rediss"
_SCHEMES = {"redis", _TLS_SCHEME, "unix"}
_PREFIX = "ssl_"

# kombu does not verify a certificate unless it is told to, and the Redis backend of Celery wants to be told something.
_VERIFIED = {"ssl_cert_reqs": "required", "ssl_check_hostname": "true"}
CA_FILE, CERT_FILE, KEY_FILE = "ssl_ca_certs", "ssl_certfile", "ssl_keyfile"
TLS_SETTINGS = {
    CA_FILE: "SENTINEL_REDIS_CA_FILE",
    CERT_FILE: "SENTINEL_REDIS_CERT_FILE",
    KEY_FILE: "SENTINEL_REDIS_KEY_FILE",
}
"""redis-py's option -> the setting that it comes from."""

TlsOptions = dict[str, object]
"""Keyword arguments of a connection of redis-py that speaks TLS."""


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


def with_tls(url: str, *, ca_file: Path | None, cert_file: Path | None, key_file: Path | None) -> str:
    """Return a `rediss://` URL whose options have certificate and name of the server verified, with these files.

    A URL that has such options already, as this function writes them, keeps those for which no file is given.

    Parameters
    ----------
    ca_file : certificates, as PEM, that vouch for the server besides those of the system
    cert_file, key_file : what this process shows to a server that asks for a certificate

    Raises
    ------
    ValueError
        The URL asks for no TLS, or for TLS without verification, or one of certificate and key is missing.

    Examples
    --------
    >>> with_tls("rediss://host", ca_file=Path("/etc/ca.pem"), cert_file=None, key_file=None)
    'rediss://host?ssl_cert_reqs=required&ssl_check_hostname=true&ssl_ca_certs=%2Fetc%2Fca.pem'
    """
    parts = urlsplit(url)
    files = {CA_FILE: ca_file, CERT_FILE: cert_file, KEY_FILE: key_file}
    given = {name: str(path.expanduser().absolute()) for name, path in files.items() if path is not None}
    others, written = _options(parts)
    if parts.scheme != _TLS_SCHEME:
        if given or written:
            named = " and ".join(TLS_SETTINGS[name] for name in given) or "an option of TLS"
            raise ValueError(
                f"{named} is set, but SENTINEL_REDIS_URL does not begin with rediss://, so that nothing would be "
                "encrypted: write rediss:// and the port on which Redis speaks TLS, or unset it"
            )
        return url
    for name, value in written.items():
        if value != _VERIFIED.get(name, value) or name not in _VERIFIED | TLS_SETTINGS:
            raise ValueError(
                f"SENTINEL_REDIS_URL has the option {name}: leave it out. Certificate and name of the server are "
                f"always verified; {', '.join(TLS_SETTINGS.values())} name the files for it"
            )
    used = {name: path for name in TLS_SETTINGS if (path := given.get(name) or written.get(name))}
    if (CERT_FILE in used) != (KEY_FILE in used):
        raise ValueError(f"set both {TLS_SETTINGS[CERT_FILE]} and {TLS_SETTINGS[KEY_FILE]}, or none of them")
    return urlunsplit(parts._replace(query=_query([*others, *(_VERIFIED | used).items()])))


def without_tls_options(url: str) -> tuple[str, TlsOptions | None]:
    """Return `url` without what `with_tls` wrote into it, and that as arguments of a connection; None without TLS."""
    parts = urlsplit(url)
    if parts.scheme != _TLS_SCHEME:
        return url, None
    others, written = _options(parts)
    files = {name: path for name, path in written.items() if name in TLS_SETTINGS}
    options: TlsOptions = {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True, **files}
    return urlunsplit(parts._replace(query=_query(others))), options


def stays_on_this_machine(url: str) -> bool:
    """Return whether the Redis at `url` is reached without a network: by loopback, or by a socket in a file."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return True
    host = parts.hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _options(parts: SplitResult) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """Return the options in a URL's query: those that are not of TLS, and those that are."""
    options = parse_qsl(parts.query, keep_blank_values=True)
    return (
        [(name, value) for name, value in options if not name.startswith(_PREFIX)],
        {name: value for name, value in options if name.startswith(_PREFIX)},
    )


def _query(options: list[tuple[str, str]]) -> str:
    return urlencode(options, quote_via=quote, safe="")


def _is_readable(parts: SplitResult) -> bool:
    """Return whether the parts are those of a Redis URL; a password with / # ? in it ends up in the wrong ones."""
    if parts.scheme == "unix":
        return bool(parts.path)
    try:
        parts.port  # noqa: B018, reading it checks it
    except ValueError:
        return False
    return parts.scheme in _SCHEMES and bool(parts.hostname) and "@" not in parts.path + parts.query + parts.fragment
