"""Periodic tasks sent by beat: resend lost work, ask about silence, check every stream, delete old data."""

from __future__ import annotations

import logging
import time

from common import broker
from common.baselines.accepted_baseline import remove_unaccepted
from common.broker import DAILY_TASK, EMBED_QUEUE, RETENTION_TASK, RETRAIN_QUEUE, SWEEP_TASK, app
from common.contracts.events import StreamCheck, StreamChecked
from common.errors import BadMessage, SettingsError
from common.ingest.dispatch import dispatch_next
from common.models.condition_records import end_conditions, forget_ended
from common.models.folders import remove_orphans
from common.settings import get_settings
from common.silence import ask_about_silence
from workers import context

log = logging.getLogger(__name__)

_CHUNKS_PER_SWEEP = 256  # of one stream; the next sweep continues
_SECONDS_PER_HOUR = 3600.0
_SECONDS_PER_DAY = 86_400.0


@app.task(name=SWEEP_TASK)
def sweep() -> int:
    """Send tasks again that were lost, and chunks that there is room for; return the number of tasks sent.

    It also asks about silence: a stream that is silent has a note in its inbox then, so that a reducer has work.

    While tasks wait in queue `embed`, an overdue chunk is probably among them, so
    only the first chunk of each stream is sent again.
    """
    store, settings = context.store(), get_settings()
    streams = store.streams
    sent = 0
    try:
        ask_about_silence(store, settings, time.time())
    except SettingsError as error:  # what was accepted is worked off all the same
        log.error("nobody asks about silence: %s", error)
    idle = store.client.llen(EMBED_QUEUE) == 0
    may_learn = store.client.llen(RETRAIN_QUEUE) == 0  # else the task is probably among those
    for stream in streams.names():
        if streams.waits_for_reducer(stream):
            broker.send_reduce(stream)
            sent += 1
        if may_learn and store.learning.waiting(stream) and not store.learning.is_leased(stream):
            broker.send_learn(stream)
            sent += 1
        # The first chunk in order blocks all others of its stream, so it is sent again in any case.
        for chunk in store.batches.overdue(stream, settings.stuck_seconds, _CHUNKS_PER_SWEEP if idle else 1):
            broker.send_embed(chunk)
            store.chunks.mark_sent(chunk)
            sent += 1
        sent += dispatch_next(context.store(), settings, stream)
    if sent:
        log.warning("the sweep sent %d tasks again", sent)
    return sent


@app.task(name=DAILY_TASK)
def daily_check() -> None:
    """Write one event per stream: SILENT if it had no frame for `SENTINEL_SILENT_HOURS`, else its latest status."""
    store, settings = context.store(), get_settings()
    for stream in store.streams.names():
        window = store.streams.window(stream)
        hours = (time.time() - window.last_frame_at) / _SECONDS_PER_HOUR if window.last_frame_at else float("inf")
        last = window.verdict.status if window.verdict else "NO_WINDOW"
        state = "SILENT" if hours > settings.silent_hours else last
        check = StreamCheck(
            stream=stream,
            state=state,
            hours_since_last_frame=min(hours, settings.retention_days * 24),
            pending_chunks=store.streams.pending(stream),
            drift_score=window.verdict.drift_score if window.verdict else None,
        )
        model = window.verdict.baseline if window.verdict else ""
        store.event_log.announce(StreamChecked.about(check, model=model, stream=stream))


@app.task(name=RETENTION_TASK)
def retention() -> None:
    """Delete events older than `SENTINEL_RETENTION_DAYS`, expired conditions, and folders that nothing names.

    Features and batch records expire in Redis.
    """
    store, settings = context.store(), get_settings()
    taken = store.streams.latest_capture_times()
    store.event_log.trim(settings.retention_days * _SECONDS_PER_DAY, taken)
    store.event_log.forget_trimmed()
    now = time.time()
    for model in store.champions.models():
        try:
            for row in end_conditions(store, model, lambda row: not row.is_live(taken.get(row.stream, now))):
                log.warning("%s of stream %s: the condition has expired", row.cause, row.stream)
            forget_ended(store, model, lambda row: row.is_forgotten(taken.get(row.stream, now)))
        except BadMessage as error:
            log.error("the champion of model %s cannot be read: %s", model, error)
    remove_orphans(store.champions, settings.state_dir)
    remove_unaccepted(store, settings.state_dir)
