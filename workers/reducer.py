"""The worker of queue `reduce`: finished chunks enter their stream's window, in order, and windows are judged.

celery -A workers.reducer worker -Q reduce
"""

from __future__ import annotations

import logging
from dataclasses import replace

from common.baselines.storage import StoredBaseline
from common.broker import REDUCE_TASK, app
from common.contracts.batches import BatchReport
from common.contracts.dead_letters import DeadLetterKind
from common.contracts.events import Event, EventType
from common.contracts.verdicts import Status
from common.drift.frame_buffer import FrameBuffer
from common.drift.windows import WindowState
from common.errors import BadMessage, BaselineMismatch
from common.features import FeatureBlock
from common.ingest.dispatch import dispatch_next
from common.judging import JudgedWindow, Thresholds, judge_block
from common.settings import get_settings
from common.store.event_log import dead_letter, event_of
from common.store.streams import Committed, FinishedChunk, Judged, WindowMoved
from workers import (
    context,
    dead_letters,  # noqa: F401, it listens to Celery's signals
    maintenance,  # noqa: F401, its tasks run on this queue
)

log = logging.getLogger(__name__)

_CHUNKS_PER_COMMIT = 16  # bounds what one commit moves, and with it how long Redis is busy


@app.task(name=REDUCE_TASK)
def reduce(stream: str) -> None:
    """Move `stream` on as far as its finished chunks reach, and send what there is room for now.

    Raises
    ------
    BadMessage
        If there is no such stream: nothing was ever accepted of it, so nobody of ours has sent this.
    """
    if not (isinstance(stream, str) and context.store().streams.is_known(stream)):
        raise BadMessage(f"there is no stream {stream!r}: sentinel.reduce is sent by embedding workers only")
    moved = Committed.MORE
    while moved is not Committed.DONE:
        moved = move_on(stream)
        dispatch_next(context.store(), get_settings(), stream)


def move_on(stream: str) -> Committed:
    """Read, judge, commit: one step. A conflict means that another reducer was quicker; look again."""
    streams = context.store().streams
    read = streams.window(stream)
    ready = streams.finished(stream, _CHUNKS_PER_COMMIT)
    if not ready:
        return Committed.DONE
    stored = context.baselines().of_stream(stream)
    ready = [admit(done, stored) for done in ready]
    before = WindowState.from_bytes(read.state) if read.state else WindowState()
    frames_so_far = FrameBuffer(before.position, lambda: streams.frames(stream, read))
    try:
        state, judged = fold(stored, stream, before, frames_so_far, ready)
        latest = state.latest(stored.baseline.rule)
        # Between verdicts frames are only added: a whole window written for each would cost more than all else.
        anew = bool(judged) or state.opened != before.opened
        frames = (frames_so_far.cut(latest) if latest else empty_like(stored)) if anew else None
    except WindowMoved:
        return Committed.CONFLICT
    committed = streams.commit(
        stream,
        read=read,
        state=state.to_bytes(),
        frames=frames,
        chunks=ready,
        batch_events=[batch_event(done, stored.baseline.name) for done in ready],
        judged=[Judged(row.verdict, row.features, verdict_event(row, stored)) for row in judged],
    )
    if committed is not Committed.CONFLICT:
        for row in judged:
            say(row)
    return committed


def admit(done: FinishedChunk, stored: StoredBaseline) -> FinishedChunk:
    """Return the chunk, without its features if they were made by another feature spec than the baseline's: it
    was changed while the chunk was on its way. The chunk ends as a dead letter, and a retry makes its features anew."""
    if done.features is None or done.chunk.feature_spec == stored.baseline.feature_spec:
        return done
    error = BaselineMismatch(
        f"{done.chunk.source.uri}: frames {done.chunk.start} to {done.chunk.stop or 'the end'} were embedded for "
        f"another baseline than {stored.baseline.name!r} is now: retry them with `sentinel dead retry`"
    )
    letter = dead_letter(
        DeadLetterKind.CHUNK, done.chunk.stream, done.chunk.source.uri, error, done.chunk, version=done.chunk.id
    )
    context.store().event_log.bury(letter)
    return replace(done, features=None)


def fold(
    stored: StoredBaseline, stream: str, state: WindowState, frames_so_far: FrameBuffer, ready: list[FinishedChunk]
) -> tuple[WindowState, list[JudgedWindow]]:
    """Let the features of `ready` into the window and judge what falls due. Given-up chunks bring no frames."""
    settings = get_settings()
    judged: list[JudgedWindow] = []
    for done in ready:
        features = done.features if done.features is not None else empty_like(stored)
        state, fresh = judge_block(
            state,
            frames_so_far,
            features,
            stored=stored,
            thresholds=Thresholds.of(settings),
            stream=stream,
            batch_frames=done.chunk.batch_frames,
            opens_batch=done.chunk.opens_batch,
            closes_batch=done.chunk.closes_batch,
        )
        judged += fresh
    return state, judged


def empty_like(stored: StoredBaseline) -> FeatureBlock:
    """No frames, of the widths that the baseline has."""
    return FeatureBlock.empty(stored.baseline.embedding_size, stored.baseline.quality_size)


def batch_event(done: FinishedChunk, model: str) -> Event:
    """The event that is announced if `done` is the last chunk of its batch; the counts are filled in by the commit."""
    chunk = done.chunk
    report = BatchReport(batch_id=chunk.batch_id, stream=chunk.stream, uri=chunk.source.uri, frames=0, dead_chunks=0)
    return event_of(EventType.BATCH_COMPLETE, model=model, message=report, stream=chunk.stream, key=chunk.batch_id)


def verdict_event(row: JudgedWindow, stored: StoredBaseline) -> Event:
    kind = EventType.VERDICT_FAIL if row.verdict.status is Status.FAIL else EventType.VERDICT_PASS
    return event_of(
        kind, model=stored.baseline.name, message=row.verdict, stream=row.verdict.stream, key=row.verdict.id
    )


def say(row: JudgedWindow) -> None:
    verdict = row.verdict
    log.info(
        "stream %s: frames %d to %d %s, score %.2f, p %.3g%s",
        verdict.stream,
        verdict.start,
        verdict.stop,
        verdict.status,
        verdict.drift_score,
        verdict.p_value,
        f", {verdict.cause}" if verdict.cause else "",
    )
