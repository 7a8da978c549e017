"""The promises of the store, on a real Redis: accepted once, finished once, entered once, in order."""

from __future__ import annotations

from dataclasses import replace

import pytest

from common.contracts.batches import BatchReport, Chunk
from common.contracts.dead_letters import DeadLetterKind
from common.contracts.events import BatchCompleted, EventType, WindowFailed
from common.errors import BadSource
from common.features import FeatureBlock
from common.store import Store
from common.store.chunks import Finished
from common.store.event_log import dead_letter
from common.store.streams import Committed, FinishedChunk, JudgedEvent, WindowMoved
from tests.common.builders import batch, block, verdict


def chunk_features(chunk: Chunk) -> FeatureBlock:
    stop = chunk.stop if chunk.stop is not None else chunk.start + 7
    return block(stop - chunk.start, start=chunk.start, uri=chunk.source.uri)


def commit(
    store: Store,
    stream: str,
    ready: list[FinishedChunk],
    *,
    judged: list[JudgedEvent] | None = None,
    anew: FeatureBlock | None = None,
) -> Committed:
    """Commit `ready` as a reducer does. Nothing but `anew` replaces the frames that are kept: all that entered."""
    read = store.streams.window(stream)
    events = [
        BatchCompleted.about(
            BatchReport(
                batch_id=done.chunk.batch_id, stream=stream, uri=done.chunk.source.uri, frames=0, dead_chunks=0
            ),
            model="m",
            stream=stream,
            key=done.chunk.batch_id,
        )
        for done in ready
    ]
    return store.streams.commit(
        stream, read=read, state=b"state", frames=anew, chunks=ready, batch_events=events, judged=judged or []
    )


def kept(store: Store, stream: str) -> list[tuple[str, float]]:
    """Return source and time of each frame that the stream keeps."""
    blocks = store.streams.frames(stream, store.streams.window(stream))
    return [(part.source_of(i), float(part.times[i])) for part in blocks for i in range(len(part))]


def test_a_batch_is_accepted_once(store: Store) -> None:
    assert store.batches.register(batch())
    assert not store.batches.register(batch())
    assert store.streams.pending("dock") == 3


def test_only_the_first_chunk_in_order_asks_for_the_reducer(store: Store) -> None:
    work = batch()
    store.batches.register(work)
    first, second, last = work.chunks()
    assert store.chunks.finish(second, chunk_features(second)) is Finished.BLOCKED
    assert store.chunks.finish(first, chunk_features(first)) is Finished.READY
    assert [done.chunk.id for done in store.streams.finished("dock", 10)] == [first.id, second.id]
    assert store.chunks.finish(last, chunk_features(last)) is Finished.BLOCKED


def test_a_chunk_delivered_again_changes_nothing_and_still_asks_for_the_reducer(store: Store) -> None:
    work = batch()
    store.batches.register(work)
    first = work.chunks()[0]
    store.chunks.finish(first, chunk_features(first))
    assert store.chunks.finish(first, block(1)) is Finished.READY
    assert len(store.streams.finished("dock", 10)[0].features or ()) == 40


def test_a_chunk_that_was_reduced_is_unknown_afterwards(store: Store) -> None:
    work = batch(frames=5)
    store.batches.register(work)
    (only,) = work.chunks()
    store.chunks.finish(only, chunk_features(only))
    assert commit(store, "dock", store.streams.finished("dock", 10)) is Committed.DONE
    assert store.chunks.finish(only, chunk_features(only)) is Finished.UNKNOWN
    assert store.chunks.count_delivery(only, "task", 60.0) == 0


def test_copies_of_a_task_count_as_no_deliveries_while_another_one_may_have_the_chunk_in_hand(store: Store) -> None:
    work = batch()
    store.batches.register(work)
    chunk, other = work.chunks()[:2]
    assert store.chunks.count_delivery(chunk, "first", 60.0) == 1
    copies = [store.chunks.count_delivery(chunk, f"copy {number}", 60.0) for number in range(8)]
    assert copies == [0] * 8, "a network that was cut is no worker that died"
    assert store.chunks.count_delivery(chunk, "first", 60.0) == 2, "its process was killed, and it came again"
    assert store.chunks.count_delivery(chunk, "copy", 0.0) == 3, "the other one is over by now"
    assert store.chunks.count_delivery(chunk, "first", 60.0) == 0
    assert store.chunks.count_delivery(other, "copy", 60.0) == 1


def test_of_two_reducers_that_read_the_same_one_commits(store: Store) -> None:
    work = batch()
    store.batches.register(work)
    first = work.chunks()[0]
    store.chunks.finish(first, chunk_features(first))
    ready = store.streams.finished("dock", 10)
    read = store.streams.window("dock")
    assert commit(store, "dock", ready) is Committed.DONE
    again = store.streams.commit(
        "dock",
        read=read,
        state=b"",
        frames=None,
        chunks=ready,
        batch_events=[
            BatchCompleted.about(BatchReport(batch_id="b", stream="dock", uri="u", frames=0, dead_chunks=0), model="m")
        ],
        judged=[],
    )
    assert again is Committed.CONFLICT


def test_a_given_up_chunk_leaves_a_dead_letter_and_its_batch_ends_in_part(store: Store) -> None:
    work = batch()
    store.batches.register(work)
    first, second, last = work.chunks()
    for chunk in (first, last):
        store.chunks.finish(chunk, chunk_features(chunk))
    error = BadSource("a.mp4 is broken: replace it")
    letter = dead_letter(DeadLetterKind.CHUNK, "dock", "/a.mp4", error, second)
    store.chunks.give_up(second, letter)
    store.chunks.give_up(second, letter)
    assert [row.reason for row in store.event_log.dead_letters()] == [str(error)]
    assert commit(store, "dock", store.streams.finished("dock", 10)) is Committed.DONE
    (event,) = store.event_log.events()
    report = event.report
    assert (report.frames, report.dead_chunks) == (40 + 7, 1)


def test_a_fail_keeps_its_evidence(store: Store) -> None:
    work = batch(frames=5)
    store.batches.register(work)
    (only,) = work.chunks()
    store.chunks.finish(only, chunk_features(only))
    fail = verdict()
    event = WindowFailed.about(fail, model="m", stream="dock", key=fail.id)
    commit(store, "dock", store.streams.finished("dock", 10), judged=[JudgedEvent(event, block(48))])
    evidence = store.streams.evidence("dock", event.id)
    assert evidence is not None
    assert len(evidence) == 48
    assert store.streams.window("dock").verdict == fail
    kinds = [row.type for row in store.event_log.events()]
    assert kinds == [EventType.VERDICT_FAIL, EventType.BATCH_COMPLETE]


def test_the_latest_frames_are_replaced_as_a_whole_or_added_to(store: Store) -> None:
    work = batch(frames=9, chunk_frames=3)
    store.batches.register(work)
    first, second, last = work.chunks()
    found = []
    for chunk, anew in ((first, None), (second, block(2, start=4)), (last, None)):
        store.chunks.finish(chunk, block(3, start=chunk.start))
        commit(store, "dock", store.streams.finished("dock", 1), anew=anew)
        found.append([time for _, time in kept(store, "dock")])
    assert found == [[0, 1, 2], [4, 5], [4, 5, 6, 7, 8]]


def test_frames_are_read_as_of_the_window_that_was_read_or_not_at_all(store: Store) -> None:
    work = batch()
    store.batches.register(work)
    first = work.chunks()[0]
    store.chunks.finish(first, chunk_features(first))
    read = store.streams.window("dock")
    assert store.streams.frames("dock", read) == []
    commit(store, "dock", store.streams.finished("dock", 1))
    with pytest.raises(WindowMoved):
        store.streams.frames("dock", read)


def test_a_given_up_chunk_adds_no_frames(store: Store) -> None:
    work = batch(frames=6, chunk_frames=3)
    store.batches.register(work)
    first, second = work.chunks()
    store.chunks.finish(first, block(3))
    ready = store.streams.finished("dock", 1)
    store.chunks.finish(second, block(3, start=3))
    commit(store, "dock", [replace(done, features=None) for done in ready])
    assert kept(store, "dock") == [], "its features are there, and the reducer does not take them"
    commit(store, "dock", store.streams.finished("dock", 1))
    assert [time for _, time in kept(store, "dock")] == [3, 4, 5]


def test_lost_chunks_are_found_again(store: Store) -> None:
    work = batch()
    store.batches.register(work)
    first, second, last = work.chunks()
    assert store.batches.overdue("dock", 0.0, 10) == [], "what was never sent is not late"
    assert store.batches.release("dock", 8) == [first, second, last]
    store.chunks.finish(second, chunk_features(second))
    assert store.batches.overdue("dock", 0.0, 10) == [first, last]
    assert store.batches.overdue("dock", 60.0, 10) == []


def test_a_long_batch_has_few_chunks_under_way_and_all_come_in_order(store: Store) -> None:
    work = batch(frames=100, chunk_frames=4)
    store.batches.register(work)
    sent = store.batches.release("dock", 3)
    assert store.batches.release("dock", 3) == [], "released once"
    for number in range(25):
        assert sent[number:] and len(sent) - number <= 3
        chunk = sent[number]
        store.chunks.finish(chunk, chunk_features(chunk))
        assert store.batches.release("dock", 3) == [], "finished is not yet in the window"
        commit(store, "dock", store.streams.finished("dock", 16))
        sent += store.batches.release("dock", 3)
    assert tuple(sent) == work.chunks()


def test_what_a_frame_cost_is_remembered_as_a_running_mean(store: Store) -> None:
    work = batch(frames=40, chunk_frames=10)
    store.batches.register(work)
    assert store.chunks.cost("dock") is None
    costs = []
    for chunk, seconds in zip(work.chunks(), (1.0, 1.0, 0.1, 0.1), strict=True):
        store.chunks.finish(chunk, block(10, start=chunk.start), seconds=seconds)
        costs.append(store.chunks.cost("dock"))
    assert costs[:2] == [0.1, 0.1]
    assert costs[3] is not None and 0.01 < costs[3] < costs[2] < 0.1
    assert store.chunks.cost("cam7") is None
