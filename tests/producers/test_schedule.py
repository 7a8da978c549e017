"""Beat: its fixed schedule, and the sources that streams hand in at their times."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import cv2
import pytest
from celery import Celery
from celery.beat import Scheduler

from common import broker
from common.broker import DAILY_TASK, HAND_IN_TASK, RETENTION_TASK, SWEEP_TASK
from common.contracts.dead_letters import DeadLetterKind, RawTask
from common.errors import SettingsError
from common.ingest.accept import Ingestor
from common.settings import Settings, get_settings
from common.store import Store, keys
from producers import schedule
from producers.camera_events import CameraEvents
from producers.schedule import StreamScheduler, configure
from sentinel.cli import streams
from sentinel.stack.redis_server import RedisServer
from simulation.virtual_camera import record
from tests.common.baselines.small import small_baseline
from tests.footage import scene
from workers import context, maintenance

FIXED = {"sweep", "daily-check", "retention"}
LONG_AGO = 60.0  # seconds since a file was written, so that it is not taken for one that is still being written


@pytest.fixture
def own(settings: Settings, tmp_path: Path, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings with a `sentinel.toml` and a Redis, as beat and the workers of this process see them."""
    small_baseline(settings.baselines_dir / "test")
    own = settings.model_copy(
        update={
            "baseline": "test",
            "redis_url": redis_server.url,
            "config": tmp_path / "sentinel.toml",
            "allowed_roots": (tmp_path / "rec",),
        }
    )
    configure_streams(own, "")
    monkeypatch.setattr(schedule, "get_settings", lambda: own)
    monkeypatch.setattr(maintenance, "get_settings", lambda: own)
    monkeypatch.setattr(broker, "app", broker.make_app(own))
    return own


@pytest.fixture
def bridge(own: Settings, store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[CameraEvents]:
    monkeypatch.setattr(context, "store", lambda: store)
    ingestor = Ingestor(own, store)
    yield CameraEvents(store, ingestor)
    ingestor.close()


def configure_streams(own: Settings, text: str, *, age: float = LONG_AGO) -> None:
    assert own.config is not None
    own.config.write_text(text, encoding="utf-8")
    os.utime(own.config, (time.time() - age,) * 2)


def still(path: Path, frame: int, *, age: float = LONG_AGO) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), scene(12)[frame])
    os.utime(path, (time.time() - age,) * 2)


def video(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    record(path, seconds=1, fps=10, seed=seed)
    os.utime(path, (time.time() - LONG_AGO,) * 2)


def run_schedule(stream: str, bridge: CameraEvents) -> int:
    """Run the task that beat sends, let the bridge accept what it offers; return how many events that were."""
    maintenance.hand_in_scheduled(stream)
    offered = int(bridge.store.client.xlen(keys.INGEST))
    while bridge.store.client.xlen(keys.INGEST):
        bridge.step()
    return offered


def batches(store: Store, stream: str) -> int:
    return len(list(store.client.scan_iter(keys.stream_key(stream, "batch", "*").replace("[", "\\["))))


# --- the fixed schedule


def test_the_schedule_follows_the_settings(settings: Settings) -> None:
    app = Celery("x")
    configure(app, settings.model_copy(update={"sweep_seconds": 7.0, "daily_check": "30 4 * * *"}))
    entries = {entry["task"]: entry["schedule"] for entry in app.conf.beat_schedule.values()}
    assert set(entries) == {SWEEP_TASK, DAILY_TASK, RETENTION_TASK}
    assert entries[SWEEP_TASK].run_every.total_seconds() == 7.0
    assert (entries[DAILY_TASK].hour, entries[DAILY_TASK].minute) == ({4}, {30})


@pytest.mark.parametrize("line", ["", "daily", "61 * * * *", "* * * *", "0 6 31 2 *"])
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


# --- what is handed in


def test_every_source_in_the_folder_is_counted_once_and_new_content_once_more(
    own: Settings, store: Store, bridge: CameraEvents, tmp_path: Path
) -> None:
    folder = tmp_path / "rec" / "dock"
    configure_streams(own, "[streams.\"site/dock 3\"]\nsource = 'rec/dock'\nschedule = '0 6 * * *'\n")
    video(folder / "mon.mp4", 1)
    video(folder / "deep" / "tue.mp4", 2)
    still(folder / "burst" / "1.png", 0)
    still(folder / "burst" / "2.png", 1)
    still(folder / "poster.png", 2)  # beside videos: no footage
    assert run_schedule("site/dock 3", bridge) == 3
    assert batches(store, "site/dock 3") == 3
    assert run_schedule("site/dock 3", bridge) == 0, "unchanged files are not even offered"
    os.utime(folder / "mon.mp4", (time.time() - 99,) * 2)
    assert run_schedule("site/dock 3", bridge) == 1
    assert batches(store, "site/dock 3") == 3, "a touched file is the same content"
    store.client.delete(keys.stream_key("site/dock 3", "handed-in"))
    assert run_schedule("site/dock 3", bridge) == 3
    assert batches(store, "site/dock 3") == 3, "offered again, as after a crash, nothing counts twice"
    video(folder / "mon.mp4", 3)
    still(folder / "burst" / "3.png", 3)
    assert run_schedule("site/dock 3", bridge) == 2
    assert batches(store, "site/dock 3") == 5, "the rewritten video, and the image that is new"
    assert list(store.event_log.dead_letters()) == []


def test_a_file_that_is_still_being_written_waits_for_the_next_time(
    own: Settings, store: Store, bridge: CameraEvents, tmp_path: Path
) -> None:
    configure_streams(own, "[streams.a]\nsource = 'rec'\nschedule = '0 6 * * *'\n")
    still(tmp_path / "rec" / "x" / "1.png", 0)
    still(tmp_path / "rec" / "y" / "1.png", 5, age=0.0)
    assert run_schedule("a", bridge) == 1
    still(tmp_path / "rec" / "y" / "1.png", 5)
    assert run_schedule("a", bridge) == 1
    assert batches(store, "a") == 2


@pytest.mark.parametrize("trouble", ["missing", "empty", "outside"])
def test_a_source_that_is_not_there_is_one_dead_letter_a_day_that_a_retry_hands_in(
    own: Settings, store: Store, bridge: CameraEvents, tmp_path: Path, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / ("rec/dock" if trouble != "outside" else "elsewhere")
    configure_streams(own, f"[streams.dock]\nsource = '{source}'\nschedule = '0 * * * *'\n")
    if trouble != "missing":
        source.mkdir(parents=True)
    for _ in range(3):
        maintenance.hand_in_scheduled("dock")
    (letter,) = store.event_log.dead_letters()
    assert (letter.kind, letter.stream, letter.subject) == (DeadLetterKind.TASK, "dock", str(source))
    assert "scheduled source not handed in" in letter.reason
    assert str(source) in letter.reason
    monkeypatch.setattr(maintenance, "datetime", Tomorrow)
    maintenance.hand_in_scheduled("dock")
    assert len(list(store.event_log.dead_letters())) == 2

    streams.retry(letter, store, bridge.ingestor)
    sent = json.loads(store.client.lindex("reduce", 0) or b"{}")
    assert sent["headers"]["task"] == HAND_IN_TASK
    configure_streams(own, "[streams.dock]\nsource = 'rec/dock'\nschedule = '0 * * * *'\n", age=30.0)
    still(tmp_path / "rec" / "dock" / "1.png", 0)
    assert run_schedule(json.loads(RawTask.from_json(letter.original).kwargs)["stream"], bridge) == 1
    assert batches(store, "dock") == 1


class Tomorrow(datetime):
    @classmethod
    def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
        return datetime.fromtimestamp(time.time() + 86_400, tz)  # type: ignore[arg-type]


def test_a_missing_source_does_not_make_known_files_new(
    own: Settings, store: Store, bridge: CameraEvents, tmp_path: Path
) -> None:
    configure_streams(own, "[streams.a]\nsource = 'rec'\nschedule = '0 6 * * *'\n")
    still(tmp_path / "rec" / "1.png", 0)
    assert run_schedule("a", bridge) == 1
    (tmp_path / "rec").rename(tmp_path / "unmounted")
    assert run_schedule("a", bridge) == 0
    (tmp_path / "unmounted").rename(tmp_path / "rec")
    assert run_schedule("a", bridge) == 0


def test_a_name_that_is_no_text_is_a_dead_letter_and_the_others_count(
    own: Settings, store: Store, bridge: CameraEvents, tmp_path: Path
) -> None:
    configure_streams(own, "[streams.a]\nsource = 'rec'\nschedule = '0 6 * * *'\n")
    video(tmp_path / "rec" / "good.mp4", 1)
    shutil.copy2(tmp_path / "rec" / "good.mp4", os.fsencode(tmp_path / "rec") + b"/bad\xff.mp4")
    assert run_schedule("a", bridge) == 2
    assert batches(store, "a") == 1
    (letter,) = store.event_log.dead_letters()
    assert letter.kind is DeadLetterKind.EVENT


def test_a_stream_that_is_not_configured_is_a_dead_letter(own: Settings, store: Store, bridge: CameraEvents) -> None:
    maintenance.hand_in_scheduled("forged\x1b[31m{stream}")
    (letter,) = store.event_log.dead_letters()
    assert "has no source in sentinel.toml" in letter.reason
    assert "\x1b" not in letter.reason
    assert store.client.keys("sentinel:{*") == []


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
