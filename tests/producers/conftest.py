"""Fixtures of the producers' tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest

from common.ingest.accept import Ingestor
from common.settings import Settings
from common.store import Store
from producers.camera_events import CameraEvents
from tests.footage import scene
from tests.mosquitto import Broker
from tests.producers.folder.watched_folder import Mode, Watched
from tests.producers.subscribing import Camera


@pytest.fixture(params=["events", "polling"])
def mode(request: pytest.FixtureRequest) -> Mode:
    return "events" if request.param == "events" else "polling"


@pytest.fixture
def watched(tmp_path: Path, mode: Mode) -> Iterator[Watched]:
    watched = Watched(tmp_path / "incoming", mode)
    watched.start()
    yield watched
    watched.stop()


@pytest.fixture
def polled(tmp_path: Path) -> Iterator[Watched]:
    """For what does not depend on how changes become known."""
    watched = Watched(tmp_path / "incoming", "polling")
    watched.start()
    yield watched
    watched.stop()


@pytest.fixture
def bridge(store: Store, ingestor: Ingestor) -> CameraEvents:
    return CameraEvents(store, ingestor)


@pytest.fixture
def still(settings: Settings) -> Path:
    path = settings.watch_dir / "still frame.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    (frame,) = scene(1)
    assert cv2.imwrite(str(path), frame)
    return path


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Broker]:
    found = Broker(tmp_path / "mosquitto", keeps=True)
    found.start()
    yield found
    found.stop()


@pytest.fixture
def camera(mosquitto: Broker) -> Iterator[Camera]:
    found = Camera(mosquitto)
    yield found
    found.stop()
