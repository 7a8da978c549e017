"""Streams share the queue, chunks follow their cost, and producers wait while Redis is full; on a real Redis."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections import Counter

import pytest

from common import broker
from common.contracts.batches import Chunk, Submission
from common.errors import Backlogged
from common.features import FeatureBlock
from common.ingest.accept import Ingestor
from common.store import Store, keys
from common.store.ingest import offer
from producers.camera_events import CameraEvents
from tests.common.builders import block
from tests.footage import scene, stills, write_clip
from tests.producers.events import EVENT
from workers import maintenance, reducer


def queued(store: Store) -> list[Chunk]:
    """Chunks in the queue, the one that a worker takes next first."""
    messages = [json.loads(raw) for raw in store.client.lrange(broker.EMBED_QUEUE, 0, -1)]
    bodies = [json.loads(base64.b64decode(message["body"])) for message in reversed(messages)]
    return [Chunk.from_json(kwargs["chunk"]) for _, kwargs, _ in bodies]


def take(store: Store) -> Chunk:
    """Take the next chunk off the queue, as a worker does."""
    chunk = queued(store)[0]
    store.client.rpop(broker.EMBED_QUEUE)
    return chunk


def drop(ingestor: Ingestor, stream: str, frames: int) -> None:
    path = write_clip(ingestor.settings.watch_dir / f"{stream}.mp4", scene(frames), gop=5)
    assert ingestor.submit(stream, path) is Submission.ACCEPTED


def features(ingestor: Ingestor, chunk: Chunk) -> FeatureBlock:
    baseline = ingestor.baselines.of_stream(chunk.stream).baseline
    count = (chunk.stop or chunk.batch_frames) - chunk.start
    return block(count, start=chunk.start, widths=baseline.widths)


def with_settings(ingestor: Ingestor, monkeypatch: pytest.MonkeyPatch, **update: object) -> None:
    ingestor.settings = ingestor.settings.model_copy(update=update)
    for module in (reducer, maintenance):
        monkeypatch.setattr(module, "get_settings", lambda: ingestor.settings)


def test_a_long_file_leaves_room_for_a_live_camera(
    ingestor: Ingestor, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_settings(ingestor, monkeypatch, chunk_frames=5, stream_chunks=4)
    drop(ingestor, "archive", 400)
    drop(ingestor, "live", 5)
    assert store.streams.pending("archive") == 80
    assert [chunk.stream for chunk in queued(store)] == ["archive"] * 4 + ["live"]
    done: Counter[str] = Counter()
    while store.client.llen(broker.EMBED_QUEUE):
        chunk = take(store)
        store.chunks.finish(chunk, features(ingestor, chunk))
        reducer.reduce(chunk.stream)
        done[chunk.stream] += 1
        if chunk.stream == "live":
            assert done["archive"] == 4
        assert len(queued(store)) <= 5
    assert done == {"archive": 80, "live": 1}
    assert store.streams.pending("archive") == 0, "and all of the long file was judged"


def test_the_sweep_sends_what_a_crash_left_unsent(
    ingestor: Ingestor, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_settings(ingestor, monkeypatch, chunk_frames=5, stream_chunks=2, stuck_seconds=0.2)
    drop(ingestor, "dock", 20)
    for _ in range(2):
        chunk = take(store)
        store.chunks.finish(chunk, features(ingestor, chunk))
    monkeypatch.setattr(reducer, "dispatch_next", lambda *_: 0)  # killed between the commit and the send
    reducer.reduce("dock")
    assert queued(store) == []
    assert maintenance.sweep() == 2
    assert len(queued(store)) == 2
    store.client.delete(broker.EMBED_QUEUE)  # and Redis lost them
    time.sleep(0.3)
    assert maintenance.sweep() == 2
    assert [chunk.start for chunk in queued(store)] == [10, 15]


def test_chunks_become_as_long_as_their_work_allows(ingestor: Ingestor, store: Store) -> None:
    ingestor.settings = ingestor.settings.model_copy(update={"chunk_seconds": 0.5})
    drop(ingestor, "dock", 120)
    first = take(store)
    store.chunks.finish(first, features(ingestor, first), seconds=0.05 * len(features(ingestor, first)))
    path = write_clip(ingestor.settings.watch_dir / "later.mp4", scene(100, seed=2), gop=5)
    ingestor.submit("dock", path)
    sent = queued(store) + store.batches.release("dock", 100)
    later = [chunk for chunk in sent if chunk.source.uri == str(path)]
    assert [chunk.start for chunk in later] == list(range(0, 100, 10)), "half a second of 0.05 s a frame"


def test_while_redis_is_full_sources_wait_and_then_all_are_taken(
    ingestor: Ingestor, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = ingestor.settings.watch_dir / "burst"
    stills(folder, ["a.png", "b.png"])
    monkeypatch.setattr(store, "settings", store.settings.model_copy(update={"backlog_mb": 1e-6}))
    with pytest.raises(Backlogged, match="SENTINEL_BACKLOG_MB"):
        ingestor.submit("dock", folder / "a.png")
    assert store.streams.names() == [] and list(store.event_log.dead_letters()) == [], "it is not refused, it waits"
    bridge = CameraEvents(store, ingestor)
    for name in ("a", "b"):
        offer(store.client, {**EVENT, "id": name, "dataref": str(folder / f"{name}.png")})
    stop = threading.Event()
    at_work = threading.Thread(target=bridge.run, args=(stop,))
    at_work.start()
    time.sleep(1.0)
    assert store.client.xlen(keys.INGEST) == 2, "events stay where cameras put them"
    monkeypatch.setattr(store, "settings", store.settings.model_copy(update={"backlog_mb": 10**6}))
    deadline = time.monotonic() + 30
    while store.streams.pending("cam7") < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    stop.set()
    at_work.join(30)
    assert [chunk.source.uri for chunk in queued(store)] == [str(folder / "a.png"), str(folder / "b.png")]
    assert store.client.xlen(keys.INGEST) == 0


def test_the_bound_follows_redis_own_where_none_is_set(store: Store) -> None:
    store.require_room()
    bound = int(store.client.info("memory")["maxmemory"])
    assert bound > 0, "the embedded Redis has one"
    piece = bytes(bound // 100)
    for number in range(80):
        store.client.set(f"filler:{number}", piece)
    with pytest.raises(Backlogged, match="MB"):
        store.require_room()
    store.client.flushall()
    store.require_room()
