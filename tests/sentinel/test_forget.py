"""A stream that is forgotten is gone whole, and nothing of it comes back through a worker that is late."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from common.baselines.acceptance import accept, propose
from common.baselines.accepted_baseline import folder_of
from common.contracts.batches import Chunk
from common.contracts.conditions import ConditionRecord
from common.contracts.dead_letters import DeadLetterKind
from common.contracts.events import ChampionPromoted, source_offer
from common.contracts.golden import Mute
from common.contracts.models import ChampionRecord
from common.contracts.verdicts import Cause
from common.drift.fitting import fit_segment
from common.errors import BadMessage, BadSource, UnknownStream
from common.ingest.accept import Ingestor
from common.models.conditions import save_condition
from common.models.folders import condition_folder
from common.settings import Settings
from common.store import Store, keys
from common.store.event_log import dead_letter
from common.store.streams import Committed, FinishedChunk, Window
from producers.spool import Spool
from sentinel.forget import forget, require_any
from tests.common.builders import batch
from tests.common.drift.footage import GROUPS, footage
from tests.feeding import feed, normal, re_aimed
from workers import context, reducer

NAME = "site [1]/dock*?"


@pytest.fixture
def ingestor(store: Store, ingestor: Ingestor, monkeypatch: pytest.MonkeyPatch) -> Ingestor:
    monkeypatch.setattr(context, "store", lambda: store)
    monkeypatch.setattr(context, "baselines", lambda: ingestor.baselines)
    return ingestor


def everything(store: Store) -> str:
    """Return all that Redis holds, as one text."""
    found = []
    for key in store.client.scan_iter():
        found.append(repr(key))
        kind = store.client.type(key)
        if kind == b"stream":
            found.append(repr(store.client.xrange(key)))
        elif kind == b"hash":
            found.append(repr(store.client.hgetall(key)))
        elif kind == b"zset":
            found.append(repr(store.client.zrange(key, 0, -1)))
        elif kind == b"list":
            found.append(repr(store.client.lrange(key, 0, -1)))
        elif kind == b"string":
            found.append(repr(store.client.get(key)))
    return "\n".join(found)


def live(store: Store, ingestor: Ingestor, settings: Settings, stream: str) -> Path:
    """Let `stream` have all that a stream can have; return the folder of a condition of it."""
    feed(store, ingestor.baselines, stream, normal(72, seed=2))
    feed(store, ingestor.baselines, stream, re_aimed(160, seed=3))
    accept(store, settings, propose(store, ingestor.baselines, stream), by="ada", why=stream)
    store.batches.register(batch(stream, name="waits"))
    store.batches.keep_data(stream, "b", b"picture")
    store.golden.mute(stream, Mute(until=2e9, by="ada", at=0.0))
    store.event_log.bury(dead_letter(DeadLetterKind.SOURCE, stream, "/x", BadSource("x"), batch(stream)))
    store.client.xadd(keys.INGEST, source_offer(stream, "1", "io.sentinel.frame.v1", "/x.jpg"))
    store.client.xadd(keys.INGEST, source_offer(f"{stream}2", "1", "io.sentinel.frame.v1", "/kept.jpg"))
    store.champions.note_waiting("vfi", stream)
    store.champions.settle("vfi", {stream: "rejected"})
    store.champions.note_waiting("vfi", stream)
    folder = condition_folder(settings.state_dir, "vfi", f"{len(stream):032x}")
    segment = fit_segment(f"{stream}@0", footage(160, seed=1), window=24, groups=GROUPS)
    digest = save_condition(folder, segment, np.zeros((2, 3, 4, 4, 3), np.uint8))
    champion = store.champions.champion("vfi")
    condition = ConditionRecord(
        id=folder.name, stream=stream, cause=Cause.NOISE, incident="i", golden_id="g", path=str(folder),
        digest=digest, gain_db=1.0, proved=0.0, expires=1e12,
    )  # fmt: skip
    version = champion.version if champion else 0
    record = ChampionRecord(
        model="vfi", version=version + 1, model_path=None, model_digest=None, parent=None, reason="r", gain_db=None,
        loss_db=None, created_at=0.0, conditions=(*(champion.conditions if champion else ()), condition),
    )  # fmt: skip
    store.champions.promote(record, over=version, announce=[ChampionPromoted.about(record, model="vfi")])
    return folder


def test_nothing_is_left_of_a_stream_that_is_forgotten_and_all_of_the_others(
    store: Store, with_baseline: Settings, ingestor: Ingestor
) -> None:
    folders = [live(store, ingestor, with_baseline, stream) for stream in ("other", NAME)]
    others = {key for key in store.client.scan_iter() if b"{other}" in key}
    verdicts = sum(event.stream == "other" for event in store.event_log.events())
    gone = forget(store, with_baseline, NAME)
    assert not gone.came_back
    assert (gone.dead_letters, gone.conditions, gone.baselines, gone.camera_events) == (1, 1, 1, 1)
    history = store.champions.history("vfi")
    assert [row.stream for row in history[-1].conditions] == ["other"]
    assert NAME not in everything(store)
    assert store.champions.waiting("vfi") == ["other"]
    assert store.client.hgetall(keys.model_key("vfi", "rejected")) == {b"other": b"1"}
    assert NAME.replace("/", "\\/") not in everything(store), "as Lua writes it"
    assert {key for key in store.client.scan_iter() if b"{other}" in key} == others
    assert sum(event.stream == "other" for event in store.event_log.events()) == verdicts
    assert b"/kept.jpg" in {fields[b"dataref"] for _, fields in store.client.xrange(keys.INGEST)}
    assert [folder.exists() for folder in folders] == [True, False]
    assert folder_of(with_baseline.state_dir, "other").exists()
    assert not folder_of(with_baseline.state_dir, NAME).exists()


def test_a_worker_that_is_late_brings_nothing_back(store: Store, with_baseline: Settings, ingestor: Ingestor) -> None:
    feed(store, ingestor.baselines, "dock", normal(72, seed=2))
    late = batch("dock", name="late").model_copy(
        update={"feature_spec": ingestor.baselines.of_stream("dock").baseline.feature_spec}
    )
    store.batches.register(late)
    chunks = store.batches.release("dock", 8)
    store.chunks.finish(chunks[0], normal(40, seed=3))
    read, ready = store.streams.window("dock"), store.streams.finished("dock", 8)
    forget(store, with_baseline, "dock")
    before = everything(store)
    for chunk in chunks:
        embed_late(store, chunk)
    assert commit_late(store, read, ready) is Committed.CONFLICT
    reducer.reduce("dock")
    assert store.batches.release("dock", 8) == []
    assert store.golden.mute("dock", Mute(until=2e9, by="ada", at=0.0)) == -1
    assert everything(store) == before
    with pytest.raises(BadMessage, match="there is no stream"):
        reducer.reduce("never-there")


def posted(store: Store, settings: Settings, stream: str, name: str, *, registered: bool = True) -> Path:
    """Put a file that was posted to `stream` into the spool."""
    spool = Spool(settings.posted_dir, most_bytes=10_000, data_retention=900)
    work = batch(stream, name=name)
    path = spool.new_file(stream, work.id, ".png")
    spool.store(path, b"picture")
    if registered:
        store.batches.keep_data(stream, work.id, path.name.encode())
        store.batches.register(work)
        store.batches.hold_data(stream, work.id)
    return path


def test_what_was_posted_goes_with_its_stream(store: Store, with_baseline: Settings) -> None:
    gone = [posted(store, with_baseline, NAME, "a"), posted(store, with_baseline, NAME, "b", registered=False)]
    kept = posted(store, with_baseline, "other", "a")
    assert forget(store, with_baseline, NAME).posted == 2
    assert [path.exists() for path in (*gone, kept)] == [False, False, True]
    assert not gone[0].parent.exists()
    with pytest.raises(UnknownStream):
        require_any(store, with_baseline, NAME)
    left = posted(store, with_baseline, NAME, "c", registered=False)
    require_any(store, with_baseline, NAME)
    forget(store, with_baseline, NAME)
    assert not left.exists(), "as of a command that was interrupted"


def test_what_is_posted_meanwhile_is_of_the_stream_that_begins_anew(
    store: Store, with_baseline: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = posted(store, with_baseline, NAME, "a")
    being_accepted = posted(store, with_baseline, NAME, "b", registered=False)
    take_out, came = store.forgetting.forget, list[Path]()

    def while_a_camera_posts(stream: str) -> tuple[int, bool]:
        done = take_out(stream)
        work = batch(stream, name="b")
        store.batches.keep_data(stream, work.id, being_accepted.name.encode())
        store.batches.register(work)
        came.append(posted(store, with_baseline, stream, "c"))
        came.append(posted(store, with_baseline, stream, "d", registered=False))
        return done

    monkeypatch.setattr(store.forgetting, "forget", while_a_camera_posts)
    assert forget(store, with_baseline, NAME).posted == 1
    assert [path.exists() for path in (before, being_accepted, *came)] == [False, True, True, True]


def embed_late(store: Store, chunk: Chunk) -> None:
    store.chunks.count_delivery(chunk, "task", 60.0)
    store.chunks.finish(chunk, normal(40, seed=3), seconds=1.0)
    letter = dead_letter(DeadLetterKind.CHUNK, "dock", "/x", BadSource("x"), chunk)
    store.chunks.give_up(chunk, letter)


def commit_late(store: Store, read: Window, ready: list[FinishedChunk]) -> Committed:
    events = [reducer.batch_event(done, "test") for done in ready]
    return store.streams.commit(
        "dock", read=read, state=b"s", frames=None, chunks=ready, batch_events=events, judged=[]
    )


def test_footage_that_comes_afterwards_begins_the_stream_anew(
    store: Store, with_baseline: Settings, ingestor: Ingestor
) -> None:
    feed(store, ingestor.baselines, "dock", normal(72, seed=2))
    forget(store, with_baseline, "dock")
    (first, *_) = feed(store, ingestor.baselines, "dock", normal(72, seed=2))
    assert (first.start, first.stop) == (0, 24)


@pytest.mark.parametrize("times", [2, 100])
def test_footage_that_comes_meanwhile_is_whole_or_gone(
    store: Store, with_baseline: Settings, ingestor: Ingestor, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    feed(store, ingestor.baselines, "dock", normal(72, seed=2))
    keys_of, sent = store.forgetting.keys_of, list[str]()

    def while_a_camera_sends(stream: str) -> list[bytes]:
        found = keys_of(stream)
        if len(sent) < times:
            sent.append(f"meanwhile {len(sent)}")
            assert store.batches.register(batch("dock", name=sent[-1]))
        return found

    monkeypatch.setattr(store.forgetting, "keys_of", while_a_camera_sends)
    gone = forget(store, with_baseline, "dock")
    monkeypatch.undo()
    assert gone.came_back == (times > 2)
    chunks = store.batches.release("dock", 8)
    assert {chunk.source.uri for chunk in chunks} == ({f"/{sent[-1]}.mp4"} if gone.came_back else set())
    assert len(chunks) == (3 if gone.came_back else 0), "what came last is whole"
    again = forget(store, with_baseline, "dock")
    assert (again.came_back, keys_of("dock")) == (False, [])


def test_a_forgetting_that_was_interrupted_can_be_called_again(store: Store, with_baseline: Settings) -> None:
    store.client.set(keys.stream_key("dock", "data", "b"), b"picture")
    require_any(store, with_baseline, "dock")
    assert forget(store, with_baseline, "dock").keys == 1
    with pytest.raises(UnknownStream, match="nothing to forget"):
        require_any(store, with_baseline, "dock")
