"""What many tests need: a real Redis on a free loopback port, one a session, emptied for each test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from xdist.scheduler import LoadFileScheduling

from common import broker
from common import settings as settings_module
from common.ingest.accept import Ingestor
from common.settings import Settings, get_settings
from common.store import Store
from sentinel.stack.redis_server import RedisServer
from tests.common.baselines.small import small_baseline
from tests.erasable_redis import ErasableRedis

# A busy machine is no failure: there is no deadline. `make test` tries the same examples each time; `make slow` others,
# and many more.
hypothesis.settings.register_profile("quick", deadline=None, max_examples=30, derandomize=True)
hypothesis.settings.register_profile("deep", deadline=None, max_examples=300)
hypothesis.settings.load_profile("quick")


_SHARING = (
    ("tests/common/backbones/test_precision.py", "tests/common/backbones/test_untrusted_backbones.py"),
    ("tests/common/models/test_",),
    ("tests/workers/test_canary.py", "tests/workers/test_decay.py"),
    (
        "tests/sentinel/test_careless_clients.py",
        "tests/sentinel/test_end_to_end.py",
        "tests/sentinel/test_page.py",
        "tests/sentinel/test_stack.py",
        "tests/sentinel/test_truth_end_to_end.py",
        "tests/sentinel/cli/test_command_line.py",
        "tests/sentinel/cli/test_hostile_names.py",
        "tests/sentinel/cli/test_results.py",
    ),
)
"""Beginnings of the names of files that share a session's fixture which takes long to make: `keras_models` (15 s),
`camera` (15 s), `champion` (45 s), `world` (15 s). One process runs all of a line."""
_LONGEST_FIRST = (
    "tests/sentinel/test_healing_end_to_end.py",
    "tests/common/models/test_",
    "tests/workers/test_decay.py",
    "tests/sentinel/test_chaos.py",
    "tests/upgrade/test_stored_state.py",
    "tests/sentinel/test_stack.py",
    "tests/sentinel/test_end_to_end.py",
    "tests/sentinel/test_truth_end_to_end.py",
    "tests/producers/test_schedule.py",
    "tests/common/models/vfi/test_trainer.py",
    "tests/sentinel/test_learning_stack.py",
    "tests/common/backbones/",
    "tests/common/models/vfi/",
)
"""What takes more than half a minute by itself. A process that has few tests left takes the next line, so whole stacks
that follow each other here seldom run at once."""


class _BySharing(LoadFileScheduling):  # type: ignore[misc]
    """A process takes whole files, and all of those that share what takes long to make."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return next((line[0] for line in _SHARING if file.startswith(line)), file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _BySharing:
    return _BySharing(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take long, so that no process is left with one at the end."""
    last = len(_LONGEST_FIRST)
    items.sort(
        key=lambda item: next((n for n, name in enumerate(_LONGEST_FIRST) if item.nodeid.startswith(name)), last)
    )


@pytest.fixture(autouse=True)
def no_settings_of_the_developer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A test sees the defaults, whatever the shell it was started from has set."""
    for name in [name for name in os.environ if name.startswith("SENTINEL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(settings_module, "DEFAULT_CONFIG", tmp_path / "sentinel.toml")
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = ErasableRedis(tmp_path_factory.mktemp("redis"), max_mb=256)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that no other test has written to, for one that stops it or looks for everything in it."""
    server = ErasableRedis(tmp_path / "redis", max_mb=64)
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
