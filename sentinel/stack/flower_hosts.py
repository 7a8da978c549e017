"""Under which names Flower answers, and to whom."""

from __future__ import annotations

from common.errors import SettingsError
from common.settings import Settings

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


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


def known_hosts(settings: Settings) -> frozenset[str]:
    """Return the names under which Flower answers."""
    return _LOOPBACK | {host_name(name) for name in (settings.flower_host, *settings.flower_hosts)}


def require_closed_to_strangers(settings: Settings) -> None:
    """Raise `SettingsError` if Flower would be open to other machines without a password."""
    if settings.flower_host not in _LOOPBACK and not settings.flower_password:
        raise SettingsError(
            f"SENTINEL_FLOWER_HOST is {settings.flower_host}, which others can reach: set SENTINEL_FLOWER_PASSWORD too"
        )
