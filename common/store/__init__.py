"""Every Redis key and every Lua script of Sentinel. No other room speaks to Redis about Sentinel's data."""

from __future__ import annotations

from common.settings import Settings
from common.store.client import connect
from common.store.logbook import Logbook
from common.store.registry import ChampionStore
from common.store.streams import StreamStore

_SECONDS_A_DAY = 86_400


class Store:
    """The three parts of what Sentinel keeps in Redis, over one connection pool."""

    def __init__(self, url: str, settings: Settings) -> None:
        self.client = connect(url)
        retention = settings.retention_days * _SECONDS_A_DAY
        self.streams = StreamStore(
            self.client,
            retention=retention,
            remember=settings.remember_days * 86_400,
            data_retention=settings.data_retention_seconds,
            max_events=settings.max_events,
        )
        self.logbook = Logbook(self.client, max_events=settings.max_events)
        self.champions = ChampionStore(self.client, cooldown=settings.cooldown_seconds, max_events=settings.max_events)
