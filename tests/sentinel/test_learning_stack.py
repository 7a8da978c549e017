"""Start the stack, drop footage: a stream without a baseline learns, whatever is killed. Days pass in seconds, for the
files' names say when they were taken."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from common.contracts.events import WindowFailed, WindowPassed
from common.contracts.learning import LearningProgress
from common.stream_learning import learning_progress
from simulation.virtual_camera import record
from tests.converted import share_backbones
from tests.sentinel.conftest import SIZE, Running, World, environment_in, start, wait_until

HALF_HOUR = 1800
FIRST = datetime(2026, 1, 1, 6, tzinfo=UTC).timestamp()


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A stack without a baseline."""
    folder = tmp_path_factory.mktemp("newcomer")
    share_backbones(tmp_path_factory, folder / "state")
    (folder / "sentinel.toml").touch()
    environment = {**environment_in(folder), "SENTINEL_WINDOW_FRAMES": "12", "SENTINEL_SETTLE_SECONDS": "0.2"}
    del environment["SENTINEL_BASELINE"]
    running = start(World(folder, environment))
    yield running
    running.interrupt()


def drop(running: Running, stream: str, numbers: range) -> None:
    """Put a recording of two seconds, for each half hour, into the folder of a stream."""
    folder = Path(running.world.environment["SENTINEL_WATCH_DIR"]) / stream
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        taken = datetime.fromtimestamp(FIRST + number * HALF_HOUR, UTC)
        staged = folder / f".{number}.mp4"
        record(staged, seconds=2, fps=10, seed=number, **SIZE)
        staged.rename(folder / f"cam_{taken:%Y%m%dT%H%M%SZ}.mp4")


def kill_learner_and_reducer(running: Running) -> None:
    """Send SIGKILL to the processes of two Celery workers, as an out-of-memory killer does."""
    for process in running.family():
        try:
            words = process.cmdline()
        except psutil.Error:
            continue
        if any(word in words for word in ("workers.retraining", "workers.reducer")):
            os.kill(process.pid, signal.SIGKILL)


def progress(running: Running, stream: str) -> LearningProgress | None:
    return learning_progress(running.store, stream, running.store.streams.window(stream))


def learned(running: Running, stream: str) -> int:
    found = progress(running, stream)
    return found.bursts if found else 0


def pictures(running: Running, stream: str) -> int:
    found = progress(running, stream)
    return found.pictures if found else 0


def test_two_streams_learn_by_themselves_from_what_is_dropped_and_a_kill_counts_nothing_twice(
    newcomer: Running,
) -> None:
    drop(newcomer, "gate", range(2))
    drop(newcomer, "yard", range(1))
    wait_until("the first bursts", lambda: learned(newcomer, "gate") >= 1)
    drop(newcomer, "gate", range(2, 4))
    kill_learner_and_reducer(newcomer)
    wait_until("four bursts", lambda: learned(newcomer, "gate") == 4)
    wait_until("the other stream", lambda: learned(newcomer, "yard") == 1)
    drop(newcomer, "gate", range(4, 5))
    store = newcomer.store
    wait_until("a verdict", lambda: any(isinstance(e, WindowPassed) for e in store.event_log.events()))
    wait_until("five bursts", lambda: learned(newcomer, "gate") == 5)
    verdicts = [e.verdict for e in store.event_log.events() if isinstance(e, WindowPassed | WindowFailed)]
    assert all(verdict.provisional for verdict in verdicts)
    report = json.loads(newcomer.world.run("status", "--json").stdout)
    row = next(row for row in report["streams"] if row["stream"] == "gate")
    assert row["learning"]["coverage"]["false_alarms_per_day"] == pytest.approx(28.8, abs=0.1)
    assert sum(bool(count) for count in row["learning"]["coverage"]["hours"]) == 3
    assert store.streams.window("gate").last_frame_at is not None
    assert store.event_log.dead_letter_count() == 0
    shown = newcomer.world.run("streams", "show", "gate")
    assert "learned" in shown.stdout
    assert "hours known, UTC" in shown.stdout
    wait_until("frames for healing", lambda: pictures(newcomer, "gate") >= 12)
