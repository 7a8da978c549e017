"""Finding the Redis that commands on this machine should speak to."""

from __future__ import annotations

from common.errors import BrokerUnavailable
from common.settings import Settings
from common.store import Store
from sentinel.stack.info import read_info, with_settings_of


def redis_url(settings: Settings) -> str:
    """Return the Redis that is set, else the embedded one of the stack that runs here."""
    if settings.redis_url:
        return settings.redis_url
    info = read_info(settings.state_dir)
    if info is None:
        raise BrokerUnavailable(
            f"no stack runs in {settings.state_dir} and SENTINEL_REDIS_URL is not set: "
            "start one with `sentinel up`, or name your Redis"
        )
    return info.redis_url


def settings_of_stack(settings: Settings) -> Settings:
    """Return `settings`, with values that are unset filled in from the running stack, if there is one."""
    info = read_info(settings.state_dir)
    return settings if info is None else with_settings_of(info, settings)


def open_store(settings: Settings) -> Store:
    """Connect to the Redis of `redis_url`."""
    return Store(redis_url(settings), settings)
