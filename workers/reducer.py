"""The worker of queue `reduce`: finished chunks enter their stream's window, in order, windows are judged, and the
stream's incidents move with the verdicts and with the notes in its inbox.

celery -A workers.reducer worker -Q reduce
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import replace

from common import broker
from common.baselines.golden import Golden
from common.baselines.learning.choosing import chosen_bursts, remember
from common.baselines.learning.planning import replanned
from common.broker import REDUCE_QUEUE, REDUCE_TASK, app
from common.contracts.batches import BatchReport
from common.contracts.dead_letters import DeadLetterKind, RawTask
from common.contracts.events import BatchCompleted, ResolutionChanged, WindowFailed, WindowPassed
from common.contracts.ids import check_stream_name
from common.contracts.incidents import IncidentLog
from common.contracts.learning import LearningPlan
from common.contracts.verdicts import Status, Verdict
from common.drift.frame_buffer import FrameBuffer
from common.drift.windows import WindowState
from common.errors import BadBaseline, BadMessage, BadModality, BaselineMismatch, SentinelError, SettingsError
from common.incidents import move_incidents
from common.ingest.dispatch import dispatch_next
from common.judging import JudgedWindow
from common.modalities.registry import load_modality
from common.settings import get_settings
from common.store.event_log import dead_letter
from common.store.incidents import NO_INCIDENTS
from common.store.streams import Committed, FinishedChunk, JudgedEvent, Window, WindowEvent, WindowMoved
from common.store.unreadable import unreadable_chunk, unreadable_window
from common.stream_config import model_of
from workers import (
    context,
    dead_letters,  # noqa: F401, it listens to Celery's signals
    maintenance,  # noqa: F401, its tasks run on this queue
    pictures,
    scheduled,  # noqa: F401, its task too
)
from workers.windows import empty_like, fold

log = logging.getLogger(__name__)

_CHUNKS_PER_COMMIT = 16  # bounds the size of one commit, and thus how long it blocks Redis


@app.task(name=REDUCE_TASK)
def reduce(stream: str) -> None:
    """Process the finished chunks and the notes of `stream` in order, and send the next chunks to be embedded.

    Raises
    ------
    BadMessage
        If no batch of this stream was ever accepted, so that the task cannot be one of Sentinel's own.
    """
    if not is_known(stream):
        return
    moved = Committed.MORE
    while moved is not Committed.DONE:
        moved = move_on(stream)
        dispatch_next(context.store(), get_settings(), stream)


def is_known(stream: object) -> bool:
    """Return whether a batch of `stream` was accepted; False if the stream was forgotten since.

    Raises
    ------
    BadMessage
        If there never was such a stream.
    """
    try:
        if not isinstance(stream, str) or check_stream_name(stream) != stream:
            raise ValueError(f"{stream!r:.300} is no stream's name")
    except ValueError as error:
        raise BadMessage(f"{REDUCE_TASK} is for Sentinel's own workers: {error}") from error
    if context.store().streams.is_known(stream):
        return True
    if context.store().forgetting.was_forgotten(stream):
        return False
    raise BadMessage(
        f"there is no stream {stream!r}: {REDUCE_TASK} is for Sentinel's own workers, hand sources in instead"
    )


def move_on(stream: str) -> Committed:
    """Read the window, judge up to `_CHUNKS_PER_COMMIT` finished chunks, apply the notes in the inbox, and commit.

    After CONFLICT (another reducer committed first) or MORE, the caller calls again.
    """
    streams = context.store().streams
    read = streams.window(stream)
    ready = streams.finished(stream, _CHUNKS_PER_COMMIT)
    golden = golden_of(stream) if ready else None
    if golden is None:
        return commit_notes(stream, read)
    ready = [admit(done, golden) for done in ready]
    try:
        before = WindowState.from_bytes(read.state) if read.state else WindowState()
        if read.verdict is not None and read.verdict.baseline_id != golden.id:
            before = before.without_evidence()
        frames = FrameBuffer(before.position, lambda: streams.frames(stream, read))
        return commit(stream, golden, read, before, frames, ready)
    except WindowMoved:
        return Committed.CONFLICT
    except BadMessage as error:
        # State written by a newer version must not block the stream: it continues with an empty window.
        context.store().event_log.bury(unreadable_window(stream, error, time.time()))
        log.warning("stream %s: its window starts anew: %s", stream, error)
        return commit(stream, golden, read, restarted(read), FrameBuffer(restarted(read).position), ready)


def golden_of(stream: str) -> Golden | None:
    """Return by what `stream` is judged, or what it learns; None if it waits for a baseline, or for the package of its
    modality, which a dead letter says."""
    try:
        golden = context.baselines().current(stream)
        load_modality(golden.feature_spec.modality)
        return golden
    except (BadBaseline, SettingsError, BadModality) as error:
        report_waiting(stream, error)
        return None


def commit_notes(stream: str, read: Window) -> Committed:
    """Apply the notes in the inbox where there are no frames to judge."""
    _, incidents = move_incidents(
        context.store(), stream, read, [], model="", close_windows=get_settings().close_windows
    )
    if incidents is NO_INCIDENTS:
        return Committed.DONE
    return context.store().streams.commit(
        stream, read=read, state=None, frames=None, chunks=(), batch_events=(), judged=(), incidents=incidents
    )


def report_waiting(stream: str, error: SentinelError) -> None:
    """Write one dead letter: `stream` waits because its baseline cannot be loaded. The sweep resumes it later."""
    task = RawTask(name=REDUCE_TASK, queue=REDUCE_QUEUE, args="[]", kwargs=json.dumps({"stream": stream}))
    reason = BadMessage(f"stream {stream!r} waits, its finished frames are kept: {error}")
    letter = dead_letter(DeadLetterKind.TASK, stream, f"baseline of {stream}", reason, task)
    if context.store().event_log.bury(letter):
        log.error("%s", reason)


def restarted(read: Window) -> WindowState:
    """Return the state of an empty window, positioned at the end of the latest verdict."""
    position = read.verdict.stop if read.verdict else 0
    return WindowState(position=position, opened=position)


def commit(
    stream: str,
    golden: Golden,
    read: Window,
    before: WindowState,
    frames: FrameBuffer,
    ready: list[FinishedChunk],
) -> Committed:
    """Append the features of `ready`, judge the windows that become complete, and commit it all with the new state."""
    state, judged, clear = fold(golden, stream, before, frames, ready, latest=read.taken_to, settings=get_settings())
    model = model_of(get_settings(), stream)
    rows, incidents = move_incidents(
        context.store(),
        stream,
        read,
        judged_events(judged, read, model),
        model=model,
        close_windows=get_settings().close_windows,
        frames=sum(len(done.features or ()) for done in ready),
    )
    bursts = chosen_bursts(context.store(), get_settings(), golden, clear, read, incidents)
    latest = state.latest(golden.rule)
    plan = plan_for_stills(golden, frames, latest)
    # Between verdicts frames are only appended: writing the whole window each time would dominate the cost.
    rewrite = bool(judged) or state.opened != before.opened
    committed = context.store().streams.commit(
        stream,
        read=read,
        state=state.to_bytes(),
        frames=(frames.slice(latest) if latest else empty_like(golden)) if rewrite else None,
        chunks=ready,
        batch_events=[batch_event(done, model) for done in ready],
        judged=rows,
        incidents=incidents,
        bursts=bursts,
    )
    if committed is not Committed.CONFLICT:
        for row in judged:
            log_verdict(row.verdict)
        if judged:
            pictures.pin(context.store(), stream, judged, rows, incidents.log or IncidentLog())
        if bursts:
            remember(bursts)
            broker.send_learn(stream)
        if plan is not None:
            context.store().learning.amend(plan)
            log.info("stream %s: its stills come slowly, so windows have %d of them", stream, plan.window_frames)
    return committed


def plan_for_stills(golden: Golden, frames: FrameBuffer, latest: range) -> LearningPlan | None:
    """Return the plan, with a shorter window, of a stream that begins to learn and sends stills slowly; else None."""
    if golden.stored is not None or golden.learning is None or not latest:
        return None
    return replanned(golden.learning.plan, frames.slice(latest), get_settings())


def admit(done: FinishedChunk, golden: Golden) -> FinishedChunk:
    """Return the chunk, without its features if they cannot be used; a dead letter then gives the reason.

    Features cannot be used if they are unreadable, or if the stream's baseline was
    changed to one with another feature spec after the chunk was sent. In that case
    a retry of the dead letter computes them again.
    """
    event_log = context.store().event_log
    if done.unreadable is not None:
        error, found = done.unreadable
        event_log.bury(unreadable_chunk(done.chunk.stream, done.chunk.id, error, found, time.time()))
        return done
    if done.features is None or done.chunk.feature_spec == golden.feature_spec:
        return done
    mismatch = BaselineMismatch(
        f"{done.chunk.source.uri}: frames {done.chunk.start} to {done.chunk.stop or 'the end'} were embedded for "
        f"another baseline than {golden.name!r} is now: retry them with `sentinel dead retry`"
    )
    letter = dead_letter(
        DeadLetterKind.CHUNK, done.chunk.stream, done.chunk.source.uri, mismatch, done.chunk, version=done.chunk.id
    )
    event_log.bury(letter)
    return replace(done, features=None)


def batch_event(done: FinishedChunk, model: str) -> BatchCompleted:
    """Return the event that is written if `done` is the last chunk of its batch; the commit fills in the counts."""
    chunk = done.chunk
    report = BatchReport(batch_id=chunk.batch_id, stream=chunk.stream, uri=chunk.source.uri, frames=0, dead_chunks=0)
    return BatchCompleted.about(report, model=model, stream=chunk.stream, key=chunk.batch_id)


def judged_events(judged: Sequence[JudgedWindow], read: Window, model: str) -> list[JudgedEvent]:
    """Return the events that announce verdicts, each with that about pictures of another size than before."""
    said = [read.verdict, *(row.verdict for row in judged)]
    return [
        JudgedEvent(
            verdict_event(row.verdict, model),
            row.features,
            resolution=ResolutionChanged.between(before.resolution if before else None, row.verdict, model),
        )
        for before, row in zip(said, judged, strict=False)
    ]


def verdict_event(verdict: Verdict, model: str) -> WindowEvent:
    """Return the event that announces `verdict`."""
    event = WindowFailed if verdict.status is Status.FAIL else WindowPassed
    return event.about(verdict, model=model, stream=verdict.stream, key=verdict.id)


def log_verdict(verdict: Verdict) -> None:
    log.info(
        "stream %s: frames %d to %d %s, score %.2f, p %.3g%s%s",
        verdict.stream,
        verdict.start,
        verdict.stop,
        verdict.status,
        verdict.drift_score,
        verdict.p_value,
        f", {verdict.cause}" if verdict.cause else f", matches {verdict.condition.cause}" if verdict.condition else "",
        f", samples {verdict.spacing.window:.2g} s apart" if verdict.spacing else "",
    )
