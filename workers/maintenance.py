"""What beat asks for now and then: mend what was lost, look at every stream, forget what is old."""

from __future__ import annotations

import json
import logging
import time
from datetime import UTC, datetime

import redis
from billiard.exceptions import SoftTimeLimitExceeded
from celery import Task

from common import broker
from common.broker import DAILY_TASK, EMBED_QUEUE, HAND_IN_TASK, REDUCE_QUEUE, RETENTION_TASK, SWEEP_TASK, app
from common.contracts.dead_letters import DeadLetterKind, RawTask
from common.contracts.events import EventType, StreamCheck
from common.errors import BadMessage, BadSource, BrokerUnavailable, Refused, SettingsError
from common.ingest.dispatch import dispatch_next
from common.ingest.scheduled import hand_in
from common.settings import get_settings
from common.store.event_log import dead_letter, event_of
from common.stream_config import stream_config
from workers import context

log = logging.getLogger(__name__)

_CHUNKS_PER_SWEEP = 256  # of one stream; the next sweep takes the next ones
_SECONDS_PER_HOUR = 3600.0
_SECONDS_PER_DAY = 86_400.0
_HAND_IN_RETRY_SECONDS = 30.0
_HAND_IN_RETRIES = 120  # an hour: then the next time of the schedule is soon enough


@app.task(name=SWEEP_TASK)
def sweep() -> int:
    """Send again what was registered and lost on the way; return how many tasks that were.

    While tasks still wait in the queue a late chunk is just late, and sending
    it again would only make the queue longer.
    """
    streams, settings = context.store().streams, get_settings()
    sent = 0
    idle = context.store().client.llen(EMBED_QUEUE) == 0
    for stream in streams.names():
        if streams.head_is_finished(stream):
            broker.send_reduce(stream)
            sent += 1
        # The first in order holds up all others of its stream, so it is sent again in any case.
        for chunk in streams.overdue(stream, settings.stuck_seconds, _CHUNKS_PER_SWEEP if idle else 1):
            broker.send_embed(chunk)
            streams.mark_sent(chunk)
            sent += 1
        sent += dispatch_next(context.store(), settings, stream)
    if sent:
        log.warning("the sweep sent %d tasks again", sent)
    return sent


@app.task(name=DAILY_TASK)
def daily_check() -> None:
    """Announce of every stream whether it lives, and what was last said of it."""
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
        store.event_log.announce(event_of(EventType.STREAM_CHECKED, model=model, message=check, stream=stream))


@app.task(name=RETENTION_TASK)
def retention() -> None:
    """Forget events older than `SENTINEL_RETENTION_DAYS`; features and batch records run out by themselves."""
    context.store().event_log.trim(get_settings().retention_days * _SECONDS_PER_DAY)
    context.store().event_log.forget_trimmed()


@app.task(name=HAND_IN_TASK, bind=True, max_retries=_HAND_IN_RETRIES)
def hand_in_scheduled(self: Task, stream: str) -> None:
    """Hand in what is new at the source that `sentinel.toml` names for `stream`.

    Trouble with the source is a dead letter, the same trouble one a day; a retry
    of it sends this task again.
    """
    store, settings = context.store(), get_settings()
    source = ""
    try:
        source = stream_config(settings).of(stream).source or ""
        if not source:
            raise BadMessage(f"stream {stream!r} has no source in sentinel.toml: give it a schedule and a source")
        hand_in(store, settings, stream, source)
        return
    except (redis.RedisError, BrokerUnavailable) as error:
        raise self.retry(exc=error, countdown=_HAND_IN_RETRY_SECONDS) from error
    except SoftTimeLimitExceeded:
        trouble: Exception = BadSource(f"listing {source} took longer than a task may: split the folder")
    except (Refused, SettingsError) as error:
        trouble = error
    said = str(trouble).encode(errors="backslashreplace").decode()  # a name on disk may be bytes that are no text
    reason = BadSource(f"scheduled source not handed in: {said}; then `sentinel dead retry`, or wait for its time")
    task = RawTask(name=HAND_IN_TASK, queue=REDUCE_QUEUE, args="[]", kwargs=json.dumps({"stream": stream}))
    day = datetime.now(UTC).date().isoformat()
    if store.event_log.bury(dead_letter(DeadLetterKind.TASK, stream, source, reason, task, version=day)):
        log.warning("stream %s: %s", stream, reason)
