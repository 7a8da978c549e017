"""What many tests need: a real Redis on a free loopback port, one a session, emptied for each test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from xdist.scheduler import LoadFileScheduling

from common import broker, stream_config
from common.ingest.accept import Ingestor
from common.settings import Settings, get_settings
from common.store import Store
from sentinel.stack.redis_server import RedisServer
from tests.common.baselines.small import small_baseline

hypothesis.settings.register_profile("sentinel", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("sentinel")


_SHARING_FOOTAGE = ("tests/common/models",)
_LONGEST_FIRST = (
    "test_chaos.py",
    "test_stored_state.py",
    "test_schedule.py",
    "test_healing_end_to_end.py",
    "test_stack.py",
    "test_truth_end_to_end.py",
)


class _ByFootage(LoadFileScheduling):  # type: ignore[misc]
    """A process takes whole files, and all of those that share footage which takes long to make."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        folder = file.rpartition("/")[0]
        return folder if folder in _SHARING_FOOTAGE else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _ByFootage:
    return _ByFootage(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take minutes, so that no process is left with one at the end.

    They are in an order in which two processes seldom run two whole stacks at once.
    """
    order = {name: place for place, name in enumerate(_LONGEST_FIRST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


@pytest.fixture(autouse=True)
def no_settings_of_the_developer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A test sees the defaults, whatever the shell it was started from has set."""
    for name in [name for name in os.environ if name.startswith("SENTINEL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(stream_config, "DEFAULT_FILE", tmp_path / "sentinel.toml")
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"), max_mb=256)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that no other test has written to, for one that stops it or looks for everything in it."""
    server = RedisServer(tmp_path / "redis", max_mb=64)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        _env_file=None,  # type: ignore[call-arg]
        state_dir=tmp_path / "state",
        watch_dir=tmp_path / "incoming",
        baselines_dir=tmp_path / "baselines",
        weights="random:0",
        cooldown_seconds=0.2,
    )


@pytest.fixture
def with_baseline(settings: Settings, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings with a baseline; tasks go to the queues of the test's own Redis, where nobody takes them."""
    small_baseline(settings.baselines_dir / "test")
    own = settings.model_copy(update={"baseline": "test", "redis_url": redis_server.url})
    monkeypatch.setattr(broker, "app", broker.make_app(own))
    return own


@pytest.fixture
def store(redis_server: RedisServer, settings: Settings) -> Iterator[Store]:
    store = Store(redis_server.url, settings)
    store.client.flushall()
    yield store
    store.client.close()


@pytest.fixture
def ingestor(store: Store, with_baseline: Settings) -> Iterator[Ingestor]:
    with_baseline.watch_dir.mkdir(parents=True, exist_ok=True)
    ingestor = Ingestor(with_baseline, store)
    yield ingestor
    ingestor.close()
