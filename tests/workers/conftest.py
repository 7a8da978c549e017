"""Fixtures of the workers' tests."""

from __future__ import annotations

import pytest

from common import broker
from common.baselines.binding import BaselineBinding
from common.ingest.accept import Ingestor
from common.settings import Settings
from common.store import Store
from sentinel.stack.redis_server import RedisServer
from workers import context, learning, reducer


@pytest.fixture
def ingestor(store: Store, ingestor: Ingestor, monkeypatch: pytest.MonkeyPatch) -> Ingestor:
    """The same, in a process whose workers have its store and baselines."""
    monkeypatch.setattr(context, "store", lambda: store)
    monkeypatch.setattr(context, "baselines", lambda: ingestor.baselines)
    return ingestor


@pytest.fixture
def own(store: Store, settings: Settings, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings without a baseline, in a process whose workers have the test's store."""
    own = settings.model_copy(update={"redis_url": redis_server.url, "keep_pictures": "off"})
    binding = BaselineBinding(own, store)
    monkeypatch.setattr(broker, "app", broker.make_app(own))
    monkeypatch.setattr(context, "store", lambda: store)
    monkeypatch.setattr(context, "baselines", lambda: binding)
    for module in (reducer, learning):
        monkeypatch.setattr(module, "get_settings", lambda: own)
    return own
