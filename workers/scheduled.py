"""The task that beat sends at the times of a stream's schedule: submit the stream's source."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

import redis
from billiard.exceptions import SoftTimeLimitExceeded
from celery import Task

from common.broker import HAND_IN_TASK, REDUCE_QUEUE, app
from common.contracts.dead_letters import DeadLetterKind, RawTask
from common.errors import (
    BadMessage,
    BadSource,
    BrokerUnavailable,
    Refused,
    SettingsError,
    StillPreparing,
    StorageUnavailable,
)
from common.ingest.scheduled import hand_in
from common.settings import get_settings
from common.store import Store
from common.store.event_log import dead_letter
from common.stream_config import stream_config
from workers import context

log = logging.getLogger(__name__)

_RETRY_SECONDS = 30.0
_RETRIES = 120  # one hour in all; after that the next scheduled time comes


@app.task(name=HAND_IN_TASK, bind=True, max_retries=_RETRIES)
def hand_in_scheduled(self: Task, stream: str) -> None:
    """Submit the new files at the source that `sentinel.toml` names for `stream`.

    An error with the source becomes a dead letter, the same error once per day. A
    retry of the dead letter sends this task again.
    """
    store, settings = context.store(), get_settings()
    source = ""
    try:
        source = stream_config(settings).of(stream).source or ""
        if not source:
            raise BadMessage(f"stream {stream!r} has no source in sentinel.toml: give it a schedule and a source")
        hand_in(store, settings, stream, source)
    except (redis.RedisError, BrokerUnavailable, StillPreparing, StorageUnavailable) as error:
        raise self.retry(exc=error, countdown=_RETRY_SECONDS) from error
    except SoftTimeLimitExceeded:
        bury(store, stream, source, BadSource(f"listing {source} took longer than a task may: split the folder"))
    except (Refused, SettingsError) as error:
        bury(store, stream, source, error)


def bury(store: Store, stream: str, source: str, trouble: Exception) -> None:
    """Write a dead letter about a source that could not be submitted, unless one with the same error exists today."""
    said = str(trouble).encode(errors="backslashreplace").decode()  # a file name may not be valid UTF-8
    reason = BadSource(f"scheduled source not handed in: {said}; then `sentinel dead retry`, or wait for its time")
    task = RawTask(name=HAND_IN_TASK, queue=REDUCE_QUEUE, args="[]", kwargs=json.dumps({"stream": stream}))
    day = datetime.now(UTC).date().isoformat()
    if store.event_log.bury(dead_letter(DeadLetterKind.TASK, stream, source, reason, task, version=day)):
        log.warning("stream %s: %s", stream, reason)
