"""Real processes: a heartbeat comes from the loop that does the work, and stops with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from common.broker import make_app
from common.contracts.processes import ProcessState
from common.process_health import process_health
from common.processes import HEARTBEAT_SECONDS, PROCESSES
from common.settings import Settings
from common.store import Store
from sentinel.stack.redis_server import RedisServer

# `embed` and `retrain` are workers as `reduce` is, and take longer to start; test_flower.py starts `flower`.
NAMES = [process.name for process in PROCESSES if process.name not in {"embed", "retrain", "flower"}]
HANG_SECONDS = 4 * HEARTBEAT_SECONDS


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    """Settings under which every process of the list has work, so that each is missed where it does not run."""
    config = tmp_path / "live.toml"
    config.write_text('[streams.dock]\nurl = "rtsp://127.0.0.1:9/cam"\n')
    own = {
        "mqtt_url": "mqtt://127.0.0.1",
        "mqtt_in_topics": ("cameras/{stream}",),
        "alert_webhooks": ("http://127.0.0.1",),
        "http_tokens": Path("tokens"),
        "watch_objects": ("s3://site/cameras",),
        "config": config,
    }
    return settings.model_copy(update=own)


def until(true: Callable[[], object], seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@contextmanager
def running(url: str, folder: Path, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    own = {
        "SENTINEL_REDIS_URL": url, "SENTINEL_STATE_DIR": str(folder / "state"),
        "SENTINEL_WATCH_DIR": str(folder / "incoming"), "SENTINEL_WEIGHTS": "random:0",
    }  # fmt: skip
    with (folder / "process.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *command], env={**os.environ, **own}, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def state_of(store: Store, name: str) -> ProcessState:
    return next(one.state for one in process_health(store) if one.process == name)


@pytest.mark.parametrize("name", NAMES)
def test_a_process_of_the_list_is_alive_while_it_runs_and_missing_once_it_ended_in_order(
    store: Store, redis_server: RedisServer, tmp_path: Path, settings: Settings, name: str
) -> None:
    command = next(process for process in PROCESSES if process.name == name).command(settings)
    with running(redis_server.url, tmp_path, *command) as process:
        until(lambda: state_of(store, name) is ProcessState.ALIVE)
        found = next(one for one in process_health(store) if one.process == name)
        assert (found.pid, found.instances, found.starts) == (process.pid, 1, 1)
        first = store.heartbeats.signs(name).instances[0].beat_at
        until(lambda: store.heartbeats.signs(name).instances[0].beat_at > first + 1)
    assert state_of(store, name) is ProcessState.MISSING, (tmp_path / "process.log").read_text()


def test_a_worker_whose_loop_hangs_leaves_no_heartbeats_though_its_process_lives(
    store: Store, redis_server: RedisServer, tmp_path: Path
) -> None:
    module = "tests.sentinel.stack.hanging_worker"
    command = ["celery", "-A", module, "worker", "-Q", "reduce", "-c", "1"]
    with running(redis_server.url, tmp_path, *command) as process:
        until(lambda: state_of(store, "reduce") is ProcessState.ALIVE)
        app = make_app(Settings(_env_file=None, redis_url=redis_server.url))  # type: ignore[call-arg]
        until(lambda: app.control.ping(timeout=1.0))
        app.control.broadcast("hang", arguments={"seconds": HANG_SECONDS})

        def silence() -> float:
            signs = store.heartbeats.signs("reduce")
            return signs.now - signs.instances[0].beat_at

        until(lambda: silence() > 2.5 * HEARTBEAT_SECONDS)
        assert process.poll() is None
        until(lambda: silence() < HEARTBEAT_SECONDS)  # it goes on, and is alive again


def test_a_worker_that_dies_of_a_foreign_message_is_no_orderly_end(
    store: Store, redis_server: RedisServer, tmp_path: Path, settings: Settings
) -> None:
    command = next(process for process in PROCESSES if process.name == "reduce").command(settings)
    with running(redis_server.url, tmp_path, *command) as process:
        until(lambda: state_of(store, "reduce") is ProcessState.ALIVE)
        store.client.lpush("reduce", b"not json")
        process.wait(60)
    found = next(one for one in process_health(store) if one.process == "reduce")
    assert (found.state, found.starts) == (ProcessState.MISSING, 1)
    assert "exit code" in found.why
