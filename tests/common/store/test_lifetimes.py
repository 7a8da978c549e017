"""How long things are kept: what is not done never runs out, what is done takes little room."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest

from common.contracts.batches import SourceRequest
from common.contracts.dead_letters import DeadLetterKind
from common.contracts.events import WindowFailed
from common.errors import BadSource
from common.features import FeatureBlock
from common.settings import Settings
from common.store import Store, keys
from common.store.event_log import dead_letter
from common.store.models import Outcome
from common.store.streams import Committed, JudgedEvent
from sentinel.stack.redis_server import RedisServer
from tests.common.builders import batch, block, verdict
from tests.common.store.test_streams import chunk_features, commit


def short_lived(redis_server: RedisServer, settings: Settings) -> Store:
    """A store whose retention is one second."""
    store = Store(
        redis_server.url, settings.model_copy(update={"retention_days": 1 / 86_400, "remember_days": 1 / 86_400})
    )
    store.client.flushall()
    return store


def test_a_batch_that_is_not_done_outlives_retention(redis_server: RedisServer, settings: Settings) -> None:
    store = short_lived(redis_server, settings)
    work = batch()
    store.batches.register(work)
    store.batches.release("dock", 8)
    time.sleep(1.5)
    assert len(store.batches.overdue("dock", 1.0, 256)) == 3
    for chunk in work.chunks():
        store.chunks.finish(chunk, chunk_features(chunk))
    assert commit(store, "dock", store.streams.finished("dock", 10)) is Committed.DONE
    (event,) = store.event_log.events()
    assert event.report.frames > 0
    assert store.batches.known("dock", work.id)
    time.sleep(1.5)
    assert not store.batches.known("dock", work.id)


def test_a_file_is_known_longer_than_a_frame(store: Store, settings: Settings) -> None:
    left = {}
    for name, lasting in (("file", True), ("frame", False)):
        work = batch(name=name, frames=12)
        store.batches.register(work, lasting=lasting)
        (chunk,) = work.chunks()
        store.chunks.finish(chunk, chunk_features(chunk))
        commit(store, "dock", store.streams.finished("dock", 10))
        left[name] = store.client.ttl(keys.stream_key("dock", "batch", work.id))
    assert left["file"] == pytest.approx(settings.remember_days * 86_400, abs=60)
    assert left["frame"] == pytest.approx(settings.retention_days * 86_400, abs=60)


def test_a_folders_listing_is_known_exactly_when_its_batch_is(store: Store) -> None:
    work = batch(name="folder")
    assert store.batches.listing("dock", work.source.uri) == {}
    store.batches.register(work, listing={"a.png": "1", "b.png": "2"})
    assert store.batches.listing("dock", work.source.uri) == {"a.png": "1", "b.png": "2"}


def test_a_chunk_that_was_counted_leaves_nothing_behind(store: Store) -> None:
    work = batch()
    store.batches.register(work)
    for chunk in work.chunks():
        store.chunks.finish(chunk, chunk_features(chunk))
    late = work.chunks()[0]
    commit(store, "dock", store.streams.finished("dock", 10))
    store.chunks.mark_sent(late)
    assert store.chunks.count_delivery(late, "task", 60.0) == 0
    assert store.client.keys("*chunk:*") == []


def test_the_image_of_a_chunk_that_was_given_up_stays_for_a_retry(store: Store, settings: Settings) -> None:
    work = batch(frames=1)
    store.batches.keep_data("dock", work.id, b"an image")
    store.batches.register(work)
    store.batches.hold_data("dock", work.id)
    key = keys.stream_key("dock", "data", work.id)
    assert store.client.ttl(key) == -1, "as long as it is not done"
    (chunk,) = work.chunks()
    letter = dead_letter(DeadLetterKind.CHUNK, "dock", "image", BadSource("torn"), chunk)
    store.chunks.give_up(chunk, letter)
    commit(store, "dock", store.streams.finished("dock", 10))
    assert store.client.ttl(key) > settings.data_retention_seconds + 60


@pytest.mark.parametrize("given_up", [False, True])
def test_a_clip_stays_until_its_last_chunk_is_judged_and_longer_if_one_was_given_up(
    store: Store, settings: Settings, given_up: bool
) -> None:
    work = batch(frames=80)
    first, second = work.chunks()
    store.batches.keep_data("dock", work.id, b"clip.mp4")
    store.batches.register(work)
    store.batches.hold_data("dock", work.id)
    if given_up:
        letter = dead_letter(DeadLetterKind.CHUNK, "dock", "clip", BadSource("torn"), first)
        store.chunks.give_up(first, letter)
    else:
        store.chunks.finish(first, chunk_features(first))
    commit(store, "dock", store.streams.finished("dock", 10))
    assert store.batches.kept_seconds("dock", [work.id]) == [math.inf], "the second chunk waits"
    store.chunks.finish(second, chunk_features(second))
    commit(store, "dock", store.streams.finished("dock", 10))
    (left,) = store.batches.kept_seconds("dock", [work.id])
    kept = settings.retention_days * 86_400 if given_up else settings.data_retention_seconds
    assert left == pytest.approx(kept, abs=30)


def test_a_stream_that_fails_for_days_keeps_a_bounded_amount_of_evidence(store: Store) -> None:
    rng = np.random.default_rng(0)
    groups = {"embedding": rng.random((48, 64), np.float32), "quality": rng.random((48, 4), np.float32)}
    window = FeatureBlock(groups, np.arange(48.0), ("/a.mp4",), np.zeros(48, np.int32))
    last = ""
    for number in range(100):
        work = batch(name=f"b{number}", frames=12)
        store.batches.register(work)
        (chunk,) = work.chunks()
        store.chunks.finish(chunk, block(12))
        failed = verdict(stop=48 + 12 * number)
        event = WindowFailed.about(failed, model="m", stream="dock", key=failed.id)
        commit(store, "dock", store.streams.finished("dock", 10), judged=[JudgedEvent(event, window)])
        last = event.id
    assert 1 < len(store.client.keys("*evidence:*")) <= 64
    assert store.streams.evidence("dock", last) is not None, "the latest is kept"


def test_dead_letters_that_were_trimmed_away_are_forgotten_and_may_come_again(
    redis_server: RedisServer, settings: Settings
) -> None:
    store = Store(redis_server.url, settings.model_copy(update={"max_events": 100}))
    store.client.flushall()
    letters = [
        dead_letter(DeadLetterKind.SOURCE, "s", f"f{i}", BadSource("x"), SourceRequest(stream="s", uri=f"f{i}"))
        for i in range(600)
    ]
    assert all(store.event_log.bury(letter) for letter in letters)
    kept = sum(1 for _ in store.event_log.dead_letters())
    assert kept < 600
    assert not store.event_log.bury(letters[-1]), "one that is there is not written twice"
    assert store.event_log.bury(letters[0]), "one that was trimmed away is written again"
    store.event_log.forget_trimmed()
    assert store.client.hlen(keys.DEAD_IDS) == sum(1 for _ in store.event_log.dead_letters())


def test_retrainings_that_never_come_to_an_end_are_counted(store: Store) -> None:
    assert [store.champions.begin("vfi") for _ in range(3)] == [1, 2, 3]
    store.champions.settle("vfi", {"forgotten": "idle"}, ended=False)
    assert store.champions.begin("vfi") == 4, "a stream was forgotten: no retraining came to an end"


@pytest.mark.parametrize("outcome", ["promoted", "rejected", "idle"])
def test_a_retraining_that_came_to_an_end_counts_no_more(store: Store, outcome: Outcome) -> None:
    """One with nothing to do too: a stream that fails on and on, and was refused, calls for one again and again."""
    assert [store.champions.begin("vfi") for _ in range(2)] == [1, 2]
    store.champions.settle("vfi", {"dock": outcome})
    assert store.champions.begin("vfi") == 1
