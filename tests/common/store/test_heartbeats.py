"""Heartbeats on a real Redis: what they leave, for how long, and that no clock but Redis' own matters."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from common.contracts.processes import ProcessState
from common.process_health import health_of, process_health
from common.processes import PROCESSES, Process, wanted_processes
from common.store import Store, heartbeats
from common.store.heartbeats import Heartbeat, new_start_id, note_exit, note_start
from sentinel.stack.redis_server import RedisServer

WATCH = next(process for process in PROCESSES if process.name == "watch")
HOUR = 3600.0


@pytest.fixture
def heartbeat(store: Store, redis_server: RedisServer) -> Iterator[Heartbeat]:
    heartbeat = Heartbeat(redis_server.url, "watch")
    yield heartbeat
    heartbeat.end()


def state_of(store: Store, process: Process = WATCH) -> ProcessState:
    return health_of(process, store.heartbeats.signs(process.name)).state


def keys_of(store: Store) -> list[bytes]:
    return sorted(store.client.scan_iter("sentinel:process:*"))


def test_a_process_is_missing_until_its_first_heartbeat_and_after_an_orderly_end(
    store: Store, heartbeat: Heartbeat
) -> None:
    assert state_of(store) is ProcessState.MISSING
    heartbeat.beat()
    found = health_of(WATCH, store.heartbeats.signs("watch"))
    assert (found.state, found.pid, found.instances, found.why) == (ProcessState.ALIVE, os.getpid(), 1, "")
    heartbeat.end()
    assert state_of(store) is ProcessState.MISSING
    assert keys_of(store) == []


def test_a_process_that_left_no_heartbeat_lately_is_late_since_its_last(store: Store, heartbeat: Heartbeat) -> None:
    heartbeat.beat()
    beat_at = store.heartbeats.signs("watch").instances[0].beat_at
    time.sleep(0.3)
    found = health_of(Process("watch", "", WATCH.start, late_after=0.2), store.heartbeats.signs("watch"))
    assert found.state is ProcessState.LATE
    assert found.since == pytest.approx(beat_at, abs=0.1)
    assert str(os.getpid()) in found.why


def test_a_heartbeat_touches_its_file_once_redis_took_it(redis_server: RedisServer, tmp_path: Path) -> None:
    taken, refused = tmp_path / "taken", tmp_path / "refused"
    with Heartbeat(redis_server.url, "watch", taken):
        assert taken.exists()
    with Heartbeat("redis://127.0.0.1:1/0", "watch", refused):
        assert not refused.exists()
    with Heartbeat(redis_server.url, "watch", tmp_path / "no folder" / "file"):
        pass  # a file that cannot be written ends no process


@pytest.mark.parametrize("off", [HOUR, -HOUR, 10 * 365 * 24 * HOUR])
def test_a_clock_an_hour_off_makes_nobody_late_and_is_reported(
    store: Store, heartbeat: Heartbeat, monkeypatch: pytest.MonkeyPatch, off: float
) -> None:
    now = time.time
    monkeypatch.setattr(heartbeats.time, "time", lambda: now() + off)
    heartbeat.beat()
    monkeypatch.undo()
    found = health_of(WATCH, store.heartbeats.signs("watch"))
    assert found.state is ProcessState.ALIVE
    assert found.clock_offset == pytest.approx(off, abs=1)
    assert found.since == pytest.approx(time.time(), abs=5)


def test_a_clock_that_is_set_while_the_process_runs_is_reported_anew(
    store: Store, heartbeat: Heartbeat, monkeypatch: pytest.MonkeyPatch
) -> None:
    heartbeat.beat()
    now = time.time
    monkeypatch.setattr(heartbeats.time, "time", lambda: now() + HOUR)
    heartbeat._write()
    assert store.heartbeats.signs("watch").instances[0].clock_offset == pytest.approx(HOUR, abs=1)


def test_beats_in_between_cost_nothing_and_one_that_is_due_costs_one_round_trip(
    store: Store, heartbeat: Heartbeat
) -> None:
    def commands() -> int:
        return int(store.client.info("stats")["total_commands_processed"])

    heartbeat.beat()
    before = commands()
    for _ in range(1000):
        heartbeat.beat()
    assert commands() - before <= 2  # INFO itself
    before = commands()
    heartbeat._write()
    assert commands() - before <= 4  # TIME, EXPIRE, INFO


def test_a_full_redis_does_not_make_those_late_that_wait_for_room(store: Store, heartbeat: Heartbeat) -> None:
    heartbeat.beat()
    key = next(iter(store.client.scan_iter("sentinel:process:watch:instance:*")))
    filler = "x" * 10_000_000
    with pytest.raises(redis.exceptions.OutOfMemoryError):
        for number in range(100):
            store.client.set(f"filler:{number}", filler)
    store.client.pexpire(key, 1000)  # as if the last heartbeat had been a day ago
    heartbeat._write()
    assert store.client.pttl(key) > 86_000_000


def test_what_a_process_leaves_expires_within_a_day_of_its_last_heartbeat(store: Store, heartbeat: Heartbeat) -> None:
    heartbeat.beat()
    note_exit(store.client, "watch", new_start_id(), pid=1, code=1, reason="x")
    assert len(keys_of(store)) == 3
    assert all(0 < store.client.ttl(key) <= 86_400 for key in keys_of(store))


def test_starts_of_a_process_that_is_restarted_for_ever_are_bounded(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeats, "_MOST_STARTS", 5)
    for _ in range(20):
        note_start(store.client, "watch", new_start_id())
    assert sum(len(times) for times in store.heartbeats.signs("watch").starts.values()) == 5
    monkeypatch.setattr(heartbeats, "_COUNT_SECONDS", -1.0)  # all of them are old now, and nothing is left of them
    note_start(store.client, "watch", new_start_id())
    assert store.heartbeats.signs("watch").starts == {}


def test_a_process_that_lives_for_days_is_still_known(
    store: Store, heartbeat: Heartbeat, monkeypatch: pytest.MonkeyPatch
) -> None:
    heartbeat.beat()
    monkeypatch.setattr(heartbeats, "_COUNT_SECONDS", -1.0)
    note_start(store.client, "watch", new_start_id())  # another starts, and clears up
    assert len(store.heartbeats.signs("watch").instances) == 1


def test_supervisor_and_process_record_the_same_start_once(
    store: Store, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_id = new_start_id()
    note_start(store.client, "watch", start_id)
    assert state_of(store) is ProcessState.STARTING
    monkeypatch.setenv(heartbeats.START_ID_VARIABLE, start_id)
    Heartbeat(redis_server.url, "watch").beat()
    assert sum(len(times) for times in store.heartbeats.signs("watch").starts.values()) == 1
    note_exit(store.client, "watch", start_id, pid=7, code=-9, reason="its last words")
    found = health_of(WATCH, store.heartbeats.signs("watch"))
    assert found.state is ProcessState.MISSING
    assert "-9: its last words" in found.why


def test_an_error_that_ends_a_process_is_its_reason(store: Store, redis_server: RedisServer) -> None:
    with pytest.raises(ValueError, match="no such"), Heartbeat(redis_server.url, "watch"):
        raise ValueError("no such folder")
    found = health_of(WATCH, store.heartbeats.signs("watch"))
    assert (found.state, found.starts) == (ProcessState.MISSING, 1)
    assert "ValueError: no such folder" in found.why


def test_three_starts_in_five_minutes_are_a_crash_loop_and_say_why(store: Store, redis_server: RedisServer) -> None:
    for number in range(3):
        with pytest.raises(ValueError, match="wrong"), Heartbeat(redis_server.url, "watch"):
            raise ValueError(f"wrong {number}")
    found = health_of(WATCH, store.heartbeats.signs("watch"))
    assert found.state is ProcessState.CRASH_LOOPING
    assert "started 3 times" in found.why
    assert "wrong 2" in found.why


def test_an_exit_record_of_another_version_is_passed_over(store: Store) -> None:
    store.client.set("sentinel:process:watch:exit", b'{"from": "the future"}')
    assert state_of(store) is ProcessState.MISSING


def test_a_redis_that_is_gone_stops_no_loop() -> None:
    with Heartbeat("redis://127.0.0.1:1/0", "watch") as heartbeat:
        heartbeat.beat()


def test_every_process_of_the_list_has_a_state(store: Store, heartbeat: Heartbeat) -> None:
    heartbeat.beat()
    found = {one.process: one.state for one in process_health(store)}
    assert list(found) == [process.name for process in wanted_processes(store.settings)]
    assert {name for name, state in found.items() if state is ProcessState.ALIVE} == {"watch"}
