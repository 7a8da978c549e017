"""Fixtures of the folder producer's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.producers.folder.watched_folder import Mode, Watched


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
