"""A watched prefix in a real storage, and what was handed in from there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from common.ingest.accept import Ingestor
from common.sandbox import Sandbox
from common.settings import Settings
from common.store import Store
from producers.objects import ObjectWatcher
from tests.footage import scene, write_clip
from tests.objects import ObjectServer, reaching

PREFIX = "s3://site/cameras"


@pytest.fixture
def own(objects: ObjectServer, with_baseline: Settings) -> Settings:
    return reaching(objects, with_baseline, object_roots=(), watch_objects=(PREFIX,))


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """One for all tests: starting one takes longer than any of them."""
    with Sandbox(timeout=20.0) as sandbox:
        yield sandbox


@pytest.fixture
def watcher(own: Settings, store: Store, sandbox: Sandbox) -> ObjectWatcher:
    ingestor = Ingestor(own, store)
    ingestor.sandbox = ingestor.features._sandbox = sandbox
    return ObjectWatcher(own, store, ingestor)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("clips")
    return [write_clip(folder / f"{n}.mp4", scene(12, seed=n), fps=10.0).read_bytes() for n in range(3)]


def handed_in(store: Store) -> Counter[tuple[str, str]]:
    """Return how many batches there are of each stream and source."""
    return Counter(
        (stream, batch.uri) for stream in store.streams.names() for batch in store.batches.unfinished(stream, 100)
    )


def letters(store: Store) -> list[tuple[str, str]]:
    return [(letter.stream, letter.reason) for letter in store.event_log.dead_letters()]
