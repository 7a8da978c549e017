"""Beat: its fixed schedule, and the sources that streams hand in at their times."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from celery import Celery
from celery.beat import Scheduler

from common import broker
from common.broker import DAILY_TASK, HAND_IN_TASK, RETENTION_TASK, SWEEP_TASK
from common.errors import SettingsError
from common.settings import Settings, get_settings
from common.store import Store
from producers import schedule
from producers.camera_events import CameraEvents
from producers.schedule import StreamScheduler, configure
from tests.producers.scheduled_streams import batches, bridge, configure_streams, own, video

__all__ = ["bridge", "own"]  # fixtures

FIXED = {"sweep", "daily-check", "retention"}


# --- the fixed schedule


def test_the_schedule_follows_the_settings(settings: Settings) -> None:
    app = Celery("x")
    configure(app, settings.model_copy(update={"sweep_seconds": 7.0, "daily_check": "30 4 * * *"}))
    entries = {entry["task"]: entry["schedule"] for entry in app.conf.beat_schedule.values()}
    assert set(entries) == {SWEEP_TASK, DAILY_TASK, RETENTION_TASK}
    assert entries[SWEEP_TASK].run_every.total_seconds() == 7.0
    assert (entries[DAILY_TASK].hour, entries[DAILY_TASK].minute) == ({4}, {30})


@pytest.mark.parametrize("line", ["daily", "61 * * * *", "* * * *", "0 6 31 2 *"])
def test_a_line_that_is_no_cron_line_names_the_setting(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENTINEL_DAILY_CHECK", line)
    get_settings.cache_clear()
    with pytest.raises(SettingsError, match=r"SENTINEL_DAILY_CHECK.*five fields"):
        get_settings()
    get_settings.cache_clear()


# --- beat and sentinel.toml


def beat(own: Settings) -> Scheduler:
    app = broker.make_app(own)
    configure(app, own)
    return StreamScheduler(app)


def test_beat_follows_the_file_while_it_runs_and_keeps_what_did_not_change(own: Settings) -> None:
    configure_streams(own, "[streams.a]\nsource = 'rec/a'\nschedule = '0 6 * * *'\n")
    scheduler = beat(own)
    assert scheduler.schedule.keys() == {*FIXED, "hand in a"}
    entry = scheduler.schedule["hand in a"]
    assert (entry.task, entry.kwargs) == (HAND_IN_TASK, {"stream": "a"})
    assert (entry.schedule.hour, entry.schedule.minute) == ({6}, {0})
    assert str(entry.schedule.tz) == "UTC"
    swept = scheduler.schedule["sweep"]
    configure_streams(
        own,
        "[streams.a]\nsource = 'rec/a'\nschedule = '0 6 * * *'\n[streams.b]\nsource = 'b'\nschedule = '5 * * * *'\n",
        age=30.0,
    )
    scheduler.tick()
    assert scheduler.schedule.keys() == {*FIXED, "hand in a", "hand in b"}
    assert scheduler.schedule["hand in a"] is entry
    configure_streams(own, "[streams.b]\nsource = 'b'\nschedule = '6 * * * *'\n", age=20.0)
    scheduler.tick()
    assert scheduler.schedule.keys() == {*FIXED, "hand in b"}
    assert scheduler.schedule["hand in b"].schedule.minute == {6}
    assert scheduler.schedule["sweep"] is swept


def test_beat_notices_within_seconds_though_nothing_is_due_for_hours(own: Settings) -> None:
    scheduler = beat(own.model_copy(update={"sweep_seconds": 3600.0}))
    assert scheduler.tick() <= 5.0


def test_a_typo_while_beat_runs_changes_nothing_and_one_at_its_start_does_not_stop_the_sweep(
    own: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    configure_streams(own, "[streams.a]\nsource = 'rec/a'\nschedule = '0 6 * * *'\n")
    scheduler = beat(own)
    configure_streams(own, "[streams.a]\nsource = 'rec/a'\nschedule = '0 99 * * *'\n", age=30.0)
    scheduler.tick()
    assert scheduler.schedule.keys() == {*FIXED, "hand in a"}
    other = own.model_copy(update={"config": own.watch_dir / "other.toml"})
    own.watch_dir.mkdir()
    configure_streams(other, "[streams.a]\nsorce = 'rec/a'\n")
    with pytest.MonkeyPatch.context() as patch, caplog.at_level(logging.ERROR):
        patch.setattr(schedule, "get_settings", lambda: other)
        caplog.clear()
        started = beat(other)
        for _ in range(3):
            started.tick()
        assert started.schedule.keys() == FIXED
        assert len(caplog.records) == 1
        assert "is 'source' meant?" in caplog.text
        configure_streams(other, "[streams.a]\nsource = 'rec/a'\nschedule = '0 6 * * *'\n", age=30.0)
        started.tick()
        assert started.schedule.keys() == {*FIXED, "hand in a"}


# --- all of it, with real processes


@contextmanager
def process(own: Settings, *command: str) -> Iterator[None]:
    """Run a Celery process with `own` settings."""
    environment = {
        **os.environ,
        "SENTINEL_REDIS_URL": str(own.redis_url),
        "SENTINEL_CONFIG": str(own.config),
        "SENTINEL_BASELINE": "test",
        "SENTINEL_BASELINES_DIR": str(own.baselines_dir),
        "SENTINEL_WATCH_DIR": str(own.watch_dir),
        "SENTINEL_STATE_DIR": str(own.state_dir),
        "SENTINEL_ALLOWED_ROOTS": str(own.allowed_roots[0]),
        "SENTINEL_WEIGHTS": "random:0",
        "SENTINEL_SWEEP_SECONDS": "3600",
    }
    log = (own.state_dir / f"{command[1]}.log").open("wb")
    running = subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", *command], env=environment, stdout=log, stderr=log
    )
    log.close()
    try:
        yield
    finally:
        running.terminate()
        running.wait(30)


def wait_for_batches(bridge: CameraEvents, stream: str, count: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while batches(bridge.store, stream) < count and time.monotonic() < deadline:
        bridge.step()
    assert batches(bridge.store, stream) == count


def test_with_real_beat_worker_and_redis_a_scheduled_folder_is_counted_once_a_content(
    own: Settings, store: Store, bridge: CameraEvents, tmp_path: Path
) -> None:
    own.state_dir.mkdir(parents=True)
    own.watch_dir.mkdir(parents=True, exist_ok=True)
    video(tmp_path / "rec" / "a.mp4", 1)
    video(tmp_path / "rec" / "b.mp4", 2)
    with (
        process(own, "workers.reducer", "worker", "-Q", "reduce", "-c", "1", "--without-mingle", "--without-gossip"),
        process(own, "producers.schedule", "beat"),
    ):
        time.sleep(5)  # beat is up before the stream is configured: it has to notice
        configure_streams(own, "[streams.dock]\nsource = 'rec'\nschedule = '* * * * *'\n")
        wait_for_batches(bridge, "dock", 2, seconds=150)  # the next full minute, on a busy machine
        video(tmp_path / "rec" / "a.mp4", 3)
        broker.app.send_task(HAND_IN_TASK, kwargs={"stream": "dock"}, queue="reduce")
        broker.app.send_task(HAND_IN_TASK, kwargs={"stream": "dock"}, queue="reduce")
        wait_for_batches(bridge, "dock", 3, seconds=90)
        for _ in range(4):
            bridge.step()
    assert batches(store, "dock") == 3
    assert list(store.event_log.dead_letters()) == []
