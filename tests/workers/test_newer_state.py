"""State that a newer version left behind never stalls a stream: it ends as a dead letter, and the stream goes on."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from safetensors.numpy import load, save

from common.baselines.binding import BaselineBinding
from common.contracts.dead_letters import DeadLetterKind
from common.contracts.events import BatchCompleted, WindowFailed, WindowPassed
from common.drift.windows import WindowState
from common.ingest.accept import Ingestor
from common.store import Store, keys
from tests.common.builders import batch, block
from workers import reducer


@pytest.fixture
def work(ingestor: Ingestor, store: Store) -> object:
    """Three finished chunks of a stream whose baseline is known, and a window each."""
    stored = ingestor.baselines.of_stream("dock")
    made = batch(frames=3 * stored.baseline.rule.frames, chunk_frames=stored.baseline.rule.frames)
    made = made.model_copy(update={"feature_spec": stored.baseline.feature_spec})
    store.batches.register(made)
    store.batches.release("dock", 8)
    for chunk in made.chunks():
        features = block(
            stored.baseline.rule.frames,
            start=chunk.start,
            widths=stored.baseline.widths,
        )
        store.chunks.finish(chunk, features)
    return made


def verdicts(store: Store) -> list[tuple[int, int]]:
    found = [e.verdict for e in store.event_log.events() if isinstance(e, WindowPassed | WindowFailed)]
    return [(verdict.start, verdict.stop) for verdict in found]


def test_a_window_of_a_newer_version_starts_anew_and_says_so(work: object, store: Store) -> None:
    later = bytes([9]) + WindowState(48, 0).to_bytes() + b"more"
    store.client.hset(keys.stream_key("dock", "window"), mapping={"version": 4, "state": later})
    reducer.reduce("dock")
    assert store.streams.pending("dock") == 0
    assert len(verdicts(store)) >= 3
    (letter,) = store.event_log.dead_letters()
    assert letter.kind is DeadLetterKind.STATE
    assert "upgrade this process" in letter.reason


def test_frames_of_a_newer_version_start_the_window_anew(work: object, store: Store, ingestor: Ingestor) -> None:
    arrays = load(block(3).to_bytes())
    later = save({**arrays, "format": np.array([9], np.uint8)})
    stored = ingestor.baselines.of_stream("dock").baseline
    state = WindowState(3, 0, 3, feature_spec=stored.feature_spec.digest(stored.rule.to_json()))
    store.client.hset(keys.stream_key("dock", "window"), mapping={"version": 1, "state": state.to_bytes()})
    store.client.rpush(keys.stream_key("dock", "frames"), later)
    reducer.reduce("dock")
    assert store.streams.pending("dock") == 0
    assert len(verdicts(store)) >= 3


@pytest.mark.parametrize("field", ["message", "features"])
def test_a_finished_chunk_of_a_newer_version_is_a_dead_letter_and_the_others_are_judged(
    work: object, store: Store, field: str
) -> None:
    first = store.client.zrange(keys.stream_key("dock", "pending"), 0, 0)[0].decode()
    key = keys.stream_key("dock", "chunk", first)
    if field == "message":
        later: str | bytes = json.dumps({**json.loads(store.client.hget(key, "message") or b""), "format": 9})
    else:
        later = save({"format": np.array([9], np.uint8)})
    store.client.hset(key, field, later)
    reducer.reduce("dock")
    assert store.streams.pending("dock") == 0
    (letter,) = store.event_log.dead_letters()
    assert letter.kind is DeadLetterKind.CHUNK
    assert "format 9" in letter.reason
    (report,) = [event.report for event in store.event_log.events() if isinstance(event, BatchCompleted)]
    assert report.dead_chunks == 1
    assert len(verdicts(store)) >= 2


def test_a_batch_of_a_newer_version_ends_as_dead_letters_and_blocks_nothing(ingestor: Ingestor, store: Store) -> None:
    stored = ingestor.baselines.of_stream("dock")
    later = batch(frames=60, chunk_frames=30).model_copy(update={"feature_spec": stored.baseline.feature_spec})
    store.batches.register(later)
    key = keys.stream_key("dock", "batch", later.id)
    store.client.hset(key, "message", json.dumps({**json.loads(later.to_json()), "format": 9}))
    assert store.batches.release("dock", 8) == []
    reducer.reduce("dock")
    assert store.streams.pending("dock") == 0
    assert all("format 9" in letter.reason for letter in store.event_log.dead_letters())
    assert len(list(store.event_log.dead_letters())) == 2


def test_a_baseline_of_a_newer_version_makes_the_stream_wait_and_says_so_once(
    work: object, store: Store, ingestor: Ingestor, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = ingestor.baselines.of_stream("dock").folder
    written = (folder / "baseline.json").read_text()
    (folder / "baseline.json").write_text(re.sub(r'"format": \d', '"format": 9', written))
    fresh = BaselineBinding(ingestor.settings, store)
    monkeypatch.setattr(reducer.context, "baselines", lambda: fresh)
    reducer.reduce("dock")
    reducer.reduce("dock")
    (letter,) = store.event_log.dead_letters()
    assert "format 9" in letter.reason
    assert "upgrade this process" in letter.reason
    assert store.streams.pending("dock") == 3
    (folder / "baseline.json").write_text(written)
    reducer.reduce("dock")
    assert store.streams.pending("dock") == 0
