"""A `sentinel.toml`, a Redis and a folder of footage, for tests of what beat hands in."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest

from common.ingest.accept import Ingestor
from common.settings import Settings
from common.store import Store, keys
from producers import schedule
from producers.camera_events import CameraEvents
from simulation.virtual_camera import record
from tests.footage import scene
from workers import context, scheduled

LONG_AGO = 60.0  # seconds since a file was written, so that it is not taken for one that is still being written


@pytest.fixture
def own(with_baseline: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings with a `sentinel.toml` and a Redis, as beat and the workers of this process see them."""
    own = with_baseline.model_copy(update={"config": tmp_path / "sentinel.toml", "allowed_roots": (tmp_path / "rec",)})
    configure_streams(own, "")
    monkeypatch.setattr(schedule, "get_settings", lambda: own)
    monkeypatch.setattr(scheduled, "get_settings", lambda: own)
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
    scheduled.hand_in_scheduled(stream)
    offered = int(bridge.store.client.xlen(keys.INGEST))
    while bridge.store.client.xlen(keys.INGEST):
        bridge.step()
    return offered


def batches(store: Store, stream: str) -> int:
    return len(list(store.client.scan_iter(keys.stream_key(stream, "batch", "*").replace("[", "\\["))))
