"""Under which names what listens for browsers answers, and to whom: Flower and the page.

A web page that somebody opens can let its own name point to this machine (DNS
rebinding), and would then read what listens here through that browser. Such requests
carry the page's name in their Host header, so a name that is not known is refused.
"""

from __future__ import annotations

from collections.abc import Iterable

from common.errors import SettingsError
from common.settings import Settings

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
MISDIRECTED = 421
"""HTTP: this server does not answer for that name."""


def host_name(host: str) -> str:
    """Return the name in a Host header: without port, brackets, final dot and capitals.

    Examples
    --------
    >>> host_name("Monitor.Example.:5555"), host_name("[::1]:5555"), host_name("::1")
    ('monitor.example', '::1', '::1')
    """
    name = host.strip().lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    if name.count(":") == 1:
        name = name.partition(":")[0]
    return name.rstrip(".")


def known_hosts(address: str, names: Iterable[str]) -> frozenset[str]:
    """Return the names under which what listens on `address` answers: `names`, its own, and those of loopback."""
    return LOOPBACK | {host_name(name) for name in (address, *names)}


def require_flower_closed(settings: Settings) -> None:
    """Raise `SettingsError` if Flower would be open to other machines without a password."""
    _require_secret(settings.flower_host, settings.flower_password, "SENTINEL_FLOWER_HOST", "SENTINEL_FLOWER_PASSWORD")


def require_page_closed(settings: Settings) -> None:
    """Raise `SettingsError` if the page would be open to other machines without a token."""
    _require_secret(settings.page_host, settings.page_token, "SENTINEL_PAGE_HOST", "SENTINEL_PAGE_TOKEN")


def _require_secret(address: str, secret: str | None, setting: str, secret_setting: str) -> None:
    if address not in LOOPBACK and not secret:
        raise SettingsError(f"{setting} is {address}, which others can reach: set {secret_setting} too")
