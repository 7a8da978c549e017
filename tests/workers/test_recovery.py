"""Workers and ingestor when things change underneath them, on a real Redis."""

from __future__ import annotations

import json

import pytest

from common import broker
from common.contracts.batches import Submission
from common.contracts.dead_letters import DeadLetterKind, RawTask
from common.contracts.events import EventType
from common.errors import BadMessage, SettingsError
from common.ingest.accept import Ingestor
from common.ingest.retry import retry
from common.sources.identity import describe_source
from common.store import Store, keys
from common.store.chunks import Finished
from common.store.ingest import offer
from producers.camera_events import CameraEvents
from tests.common.builders import batch, block
from tests.footage import scene, stills, write_clip
from tests.producers.events import EVENT
from workers import dead_letters, embedding, maintenance, reducer


def test_a_folder_that_waited_for_a_baseline_and_grew_is_counted_whole(ingestor: Ingestor, store: Store) -> None:
    folder = ingestor.settings.watch_dir / "cam" / "burst"
    stills(folder, ["a.png", "b.png"])
    ingestor.baselines.settings = ingestor.settings.model_copy(update={"baseline": None})
    with pytest.raises(SettingsError):
        ingestor.submit("cam", folder)
    stills(folder, ["c.png"], 5)
    ingestor.baselines.settings = ingestor.settings
    assert ingestor.submit("cam", folder) is Submission.ACCEPTED
    assert {ingestor.submit("cam", folder / name) for name in ("a.png", "b.png", "c.png")} == {Submission.DUPLICATE}
    (reports,) = store.client.keys("*batch:*")
    assert json.loads(store.client.hget(reports, "message") or b"{}")["expected_frames"] == 3


def test_an_event_that_names_a_folder_again_takes_in_what_is_new(ingestor: Ingestor, store: Store) -> None:
    bridge = CameraEvents(store, ingestor)
    folder = ingestor.settings.watch_dir / "burst"
    stills(folder, ["a.png"])
    offer(store.client, {**EVENT, "dataref": str(folder)})
    bridge.step()
    stills(folder, ["b.png"], 4)
    for _ in range(2):
        offer(store.client, {**EVENT, "id": "cam7-2", "dataref": str(folder)})
        bridge.step()
    assert store.streams.pending("cam7") == 2, "each image once"


def test_features_made_for_another_baseline_end_as_a_dead_letter_and_block_nothing(
    ingestor: Ingestor, store: Store
) -> None:
    baseline = ingestor.baselines.of_stream("dock").baseline
    work = batch(frames=60, chunk_frames=60)
    assert work.feature_spec != baseline.feature_spec
    store.batches.register(work)
    (chunk,) = work.chunks()
    store.chunks.finish(chunk, block(60, widths={**baseline.widths, "embedding": baseline.widths["embedding"] + 1}))
    reducer.reduce("dock")
    assert store.streams.pending("dock") == 0
    (letter,) = store.event_log.dead_letters()
    assert letter.kind is DeadLetterKind.CHUNK
    assert "another baseline" in letter.reason
    (event,) = store.event_log.events()
    assert event.type is EventType.BATCH_COMPLETE
    assert event.report.dead_chunks == 1


def test_a_chunk_that_kills_its_workers_ends_and_the_rest_of_its_batch_is_judged(
    ingestor: Ingestor, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding, "get_settings", lambda: ingestor.settings)
    baseline = ingestor.baselines.of_stream("dock").baseline
    work = batch(frames=100, chunk_frames=40).model_copy(update={"feature_spec": baseline.feature_spec})
    store.batches.register(work)
    deadly, *others = work.chunks()
    for _ in range(ingestor.settings.max_deliveries):
        store.chunks.count_delivery(deadly, "", 60.0)  # and the process was gone
    embedding.finish(embedding.embed, deadly)
    for chunk in others:
        count = (chunk.stop or 100) - chunk.start
        features = block(count, start=chunk.start, widths=baseline.widths)
        store.chunks.finish(chunk, features)
    reducer.reduce("dock")
    (letter,) = store.event_log.dead_letters()
    assert "workers died or hung on frames 0 to 40" in letter.reason
    reports = [event for event in store.event_log.events() if event.type is EventType.BATCH_COMPLETE]
    report = reports[0].report
    assert (report.frames, report.dead_chunks) == (60, 1)


def test_copies_of_a_task_that_waited_for_a_network_give_up_no_chunk_that_another_worker_has_in_hand(
    ingestor: Ingestor, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding, "get_settings", lambda: ingestor.settings)
    work = batch()
    store.batches.register(work)
    chunk = work.chunks()[0]
    store.chunks.count_delivery(chunk, "of another worker", 60.0)
    for _ in range(ingestor.settings.max_deliveries + 1):
        assert embedding.finish(embedding.embed, chunk) is Finished.UNKNOWN
    assert not list(store.event_log.dead_letters())
    assert store.chunks.finish(chunk, block(40)) is Finished.READY


def test_the_first_chunk_of_a_stream_is_sent_again_behind_a_backlog(
    ingestor: Ingestor, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient = ingestor.settings.model_copy(update={"stuck_seconds": -1.0})
    monkeypatch.setattr(maintenance, "get_settings", lambda: impatient)
    store.batches.register(batch())
    store.batches.release("dock", 8)
    store.client.lpush("embed", "another stream's backlog")
    assert maintenance.sweep() == 1
    store.client.delete("embed")
    assert maintenance.sweep() == 3


def test_a_retried_task_that_fails_at_once_is_a_dead_letter_again(
    ingestor: Ingestor, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = RawTask(name="sentinel.embed", queue="embed", args="[]", kwargs=json.dumps({"chunk": "x"}))
    dead_letters.bury(task, BadMessage("bad chunk"))
    (letter,) = store.event_log.dead_letters()
    monkeypatch.setattr(broker, "resend", lambda *_: dead_letters.bury(task, BadMessage("bad chunk")) or "sent")
    retry(letter, store, ingestor)
    assert [row.id for row in store.event_log.dead_letters()] == [letter.id]


def test_a_task_too_long_to_be_kept_whole_is_not_sent_again(ingestor: Ingestor, store: Store) -> None:
    dead_letters.bury(
        RawTask(name="sentinel.embed", queue="embed", args="[]", kwargs='{"chunk": "xxx'), BadMessage("too long")
    )
    (letter,) = store.event_log.dead_letters()
    with pytest.raises(BadMessage, match="too long to be kept"):
        retry(letter, store, ingestor)
    assert len(list(store.event_log.dead_letters())) == 1


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_celery_clients_file_counts_again_once_its_content_is_another(
    ingestor: Ingestor, store: Store, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setattr(embedding, "get_settings", lambda: ingestor.settings)
    bridge = CameraEvents(store, ingestor)
    path = ingestor.settings.watch_dir / "shot.png"
    for frame in (0, 0, 4):
        stills(path.parent, [path.name], frame)
        embedding.offer_source("cameras/cam9", f"{scheme}{path}")
        bridge.step()
    assert store.streams.names() == ["cameras/cam9"]
    assert int(store.client.get(keys.stream_key("cameras/cam9", "counter")) or 0) >= 2


def test_one_dead_letter_is_retried_once_however_often_it_is_asked(ingestor: Ingestor, store: Store) -> None:
    clip = write_clip(ingestor.settings.watch_dir / "clip.mp4", scene(12))
    source = describe_source(clip, ingestor.limits)
    work = batch().model_copy(update={"source": source})
    store.batches.register(work)
    chunk = work.chunks()[0]
    assert ingestor.retry_chunk(chunk, "1-0") is Submission.ACCEPTED
    assert ingestor.retry_chunk(chunk, "1-0") is Submission.DUPLICATE
    assert ingestor.retry_chunk(chunk, "2-0") is Submission.ACCEPTED
    assert store.streams.pending("dock") == 5
