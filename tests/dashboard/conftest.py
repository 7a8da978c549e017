"""The real page, `sentinel page` in a process of its own, over the test's Redis; footage goes through the reducer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import pytest

from common import broker
from common.contracts.batches import FrameBatch
from common.contracts.pictures import Picture, PictureNote
from common.features import TimeSource, time_source_code
from common.ingest.accept import Ingestor
from common.settings import Settings
from common.store import Store
from dashboard.access import ACTION_HEADER
from sentinel.stack.redis_server import RedisServer, free_port
from tests.common.builders import batch
from tests.common.drift.footage import footage
from tests.served import Answer, Served, serving, settings_in
from workers import context, pictures, reducer

FRAMES = 48  # of one feed: windows of 24 frames, one each 6
FIRST = 1_730_419_200.0  # 2024-11-01, capture time


@dataclass
class Page(Served):
    """A page that runs."""

    def get(self, path: str, **query: str | int) -> Answer:
        return self.request("GET", f"{path}?{urlencode(query)}" if query else path)

    def act(self, action: str, headers: dict[str, str] | None = None, **body: object) -> Answer:
        own = {ACTION_HEADER: "1", "Content-Type": "application/json", **(headers or {})}
        return self.request("POST", f"/api/actions/{action}", json.dumps(body).encode(), own)


@contextmanager
def running_page(settings: Settings, folder: Path, **environment: str) -> Iterator[Page]:
    """Run `sentinel page` over the Redis of `settings` until the context ends."""
    page = Page(free_port(), folder / "page.log")
    with serving(page, "page", settings, {"SENTINEL_PAGE_PORT": str(page.port), **environment}, ends={0}):
        yield page


@pytest.fixture
def ingestor(store: Store, ingestor: Ingestor, monkeypatch: pytest.MonkeyPatch) -> Ingestor:
    """The same, in a process whose reducer has its store and baselines."""
    own = ingestor.settings.model_copy(update={"close_windows": 2})
    monkeypatch.setattr(context, "store", lambda: store)
    monkeypatch.setattr(context, "baselines", lambda: ingestor.baselines)
    monkeypatch.setattr(reducer, "get_settings", lambda: own)
    pictures._pinned_at.clear()
    return ingestor


@pytest.fixture(scope="module")
def page_settings(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    settings = settings_in(tmp_path_factory.mktemp("page"), redis_server)
    store = Store(redis_server.url, settings)
    store.client.flushall()  # a page reads the events of the last day, of an earlier module's test too
    store.client.close()
    return settings


@pytest.fixture
def with_baseline(page_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of the page; tasks of this process go to the queues of its Redis, where nobody takes them."""
    monkeypatch.setattr(broker, "app", broker.make_app(page_settings))
    return page_settings


@pytest.fixture(scope="module")
def page(page_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """One for all tests of a module: it keeps verdicts of earlier tests' streams, and nothing else."""
    with running_page(page_settings, tmp_path_factory.mktemp("log")) as running:
        yield running


def feed(ingestor: Ingestor, store: Store, stream: str, hour: int, *, noisy: bool, frames: int = FRAMES) -> None:
    """Let footage that was taken at `hour` enter `stream`, as an embedding worker leaves it, and be reduced."""
    work: FrameBatch = batch(stream, name=f"{stream}-{hour}", frames=frames, chunk_frames=frames)
    work = work.model_copy(update={"feature_spec": ingestor.baselines.of_stream(stream).baseline.feature_spec})
    store.batches.register(work)
    store.batches.release(stream, 8)
    features = replace(
        footage(frames, seed=2 + hour, noise=2.0 if noisy else 0.0, name=f"/{stream}-{hour}.mp4"),
        taken_at=FIRST + 3600.0 * hour + np.arange(frames) / 10,
        time_source=np.full(frames, time_source_code(TimeSource.NAME), np.uint8),
    )
    taken = [
        Picture(
            PictureNote(
                id=f"{work.id}-{row}", source=features.sources[0], time=float(features.times[row]),
                taken_at=features.capture_time(row), width=8, height=8,
            ),
            b"\xff\xd8" + bytes([row]),
        )
        for row in range(0, frames, 12)
    ]  # fmt: skip
    store.pictures.keep(work.chunks()[0], taken)
    store.chunks.finish(work.chunks()[0], features)
    reducer.reduce(stream)
