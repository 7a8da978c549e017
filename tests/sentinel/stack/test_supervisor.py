"""What dies is started again, and why it died is written down where `status` and `doctor` find it."""

from __future__ import annotations

import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from common.contracts.processes import ProcessHealth, ProcessState
from common.process_health import process_health
from common.settings import Settings
from common.store import Store
from sentinel.stack.exit_records import ExitRecords
from sentinel.stack.redis_server import RedisServer
from sentinel.stack.supervisor import ProcessSpec, Supervisor, last_line

FAILS = "import sys; print('reading'); print('no such folder: /nowhere'); print(); sys.exit(7)"
BEATS = """
import os, sys, time
from common.store.heartbeats import Heartbeat
with Heartbeat(sys.argv[1], "watch") as heartbeat:
    while True:
        heartbeat.beat()
        time.sleep(0.1)
"""


@contextmanager
def supervised(folder: Path, url: str, *arguments: str) -> Iterator[Supervisor]:
    spec = ProcessSpec("watch", [sys.executable, "-c", *arguments], stop_rank=0, patience=5)
    supervisor = Supervisor([spec], folder / "logs", lambda line: None, ExitRecords(url), longest_pause=0.1)
    supervisor.start()
    try:
        yield supervisor
    finally:
        supervisor.stop()


def watch_of(store: Store) -> ProcessHealth:
    return next(one for one in process_health(store) if one.process == "watch")


def until(supervisor: Supervisor, true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        supervisor.restart_dead()
        time.sleep(0.05)


def test_a_process_that_keeps_ending_is_crash_looping_with_its_code_and_last_words(
    store: Store, redis_server: RedisServer, tmp_path: Path
) -> None:
    with supervised(tmp_path, redis_server.url, FAILS) as supervisor:
        until(supervisor, lambda: watch_of(store).starts >= 3)
        until(supervisor, lambda: watch_of(store).last_exit is not None)
    found = watch_of(store)
    assert found.state is ProcessState.CRASH_LOOPING
    assert found.last_exit is not None
    assert (found.last_exit.code, found.last_exit.reason) == (7, "no such folder: /nowhere")
    assert "exit code 7: no such folder: /nowhere" in found.why


def test_a_killed_process_comes_back_alive_and_its_death_is_known(
    store: Store, redis_server: RedisServer, tmp_path: Path
) -> None:
    with supervised(tmp_path, redis_server.url, BEATS, redis_server.url) as supervisor:
        until(supervisor, lambda: watch_of(store).state is ProcessState.ALIVE)
        first = supervisor.pids()["watch"]
        supervisor._running[0].process.kill()  # type: ignore[union-attr]
        until(supervisor, lambda: watch_of(store).instances == 1 and watch_of(store).pid != first)
        found = watch_of(store)
        assert (found.state, found.starts) == (ProcessState.ALIVE, 2)
        assert found.last_exit is not None
        assert (found.last_exit.pid, found.last_exit.code) == (first, -9)


def test_what_gets_work_while_the_stack_runs_is_started_once(
    store: Store, redis_server: RedisServer, tmp_path: Path
) -> None:
    with supervised(tmp_path, redis_server.url, BEATS, redis_server.url) as supervisor:
        first = supervisor.pids()
        more = ProcessSpec("rtsp", [sys.executable, "-c", BEATS, redis_server.url], stop_rank=0, patience=5)
        for _ in range(2):
            supervisor.start_more([more])
        pids = supervisor.pids()
        assert pids.keys() == {"watch", "rtsp"} and pids["watch"] == first["watch"]
        until(supervisor, lambda: len(store.heartbeats.signs("rtsp").starts) == 1)
    assert supervisor.pids() == {}


def test_an_exit_while_redis_is_away_is_recorded_once_it_is_back(
    settings: Settings, tmp_path: Path, own_redis: RedisServer
) -> None:
    with supervised(tmp_path, own_redis.url, FAILS) as supervisor:
        own_redis.stop()
        until(supervisor, lambda: len(supervisor._records._waiting) >= 3)
        own_redis.start()
        away = Store(own_redis.url, settings)
        until(supervisor, lambda: watch_of(away).state is ProcessState.CRASH_LOOPING)
        assert watch_of(away).last_exit is not None


def test_what_processes_write_is_readable_by_this_user_alone(
    store: Store, redis_server: RedisServer, tmp_path: Path
) -> None:
    made = tmp_path / "made"
    with supervised(tmp_path, redis_server.url, f"open({str(made)!r}, 'w').close(); import time; time.sleep(60)") as it:
        until(it, made.exists)
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "logs").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "logs" / "watch.log").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("written", "start", "last"),
    [
        (b"", 0, ""),
        (b"\n \n", 0, ""),
        (b"a\nb\n\n", 0, "b"),
        (b"of an earlier run\n", 18, ""),
        (b"x\xff\n", 0, "x\ufffd"),
    ],
)
def test_the_last_line_is_that_of_this_run(tmp_path: Path, written: bytes, start: int, last: str) -> None:
    (tmp_path / "a.log").write_bytes(written)
    assert last_line(tmp_path / "a.log", start) == last
    assert last_line(tmp_path / "none.log", 0) == ""
