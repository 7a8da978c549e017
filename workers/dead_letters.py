"""Tasks that make no sense end as dead letters: unknown names, untrusted formats, arguments that fit nothing.

Celery acknowledges such a task and forgets it. Work that Sentinel has accepted
is on record in Redis and comes again by itself (the sweep sends it, whatever
became of its task); what somebody else sends is on record nowhere, so it is kept here.
"""

from __future__ import annotations

import json
import logging
import reprlib
import time
from collections.abc import Mapping
from typing import Any

from billiard.exceptions import SoftTimeLimitExceeded
from celery import Task
from celery.signals import task_failure, task_rejected, task_unknown
from celery.worker import state

from common.broker import EMBED_TASK, REDUCE_TASK, RETRAIN_TASK
from common.contracts.batches import Chunk
from common.contracts.dead_letters import DeadLetter, DeadLetterKind, RawTask
from common.errors import BadMessage
from common.store.client import is_unavailable
from common.store.event_log import dead_letter
from workers import context

log = logging.getLogger(__name__)

_MOST_CHARACTERS = 10_000  # of an untrusted message are kept
_PAUSE_SECONDS = 1.0  # between attempts while Redis cannot store a dead letter


@task_failure.connect
def dead_letter_failed(
    sender: Task, exception: Exception, args: object = (), kwargs: object = None, **_: object
) -> None:
    """Keep a task that failed because its message is bad.

    A task about work that is on record is not: its worker was killed, by a time
    limit perhaps, and the work comes again by itself or was done by another.
    """
    named = kwargs if isinstance(kwargs, Mapping) else {}
    if sender.name == EMBED_TASK:
        bad = not is_on_record(named.get("chunk"))
    else:  # a wrong set of arguments is a TypeError; anything else is a passing trouble
        bad = sender.name in {REDUCE_TASK, RETRAIN_TASK} and isinstance(exception, BadMessage | TypeError)
    if bad:
        queue = (sender.request.delivery_info or {}).get("routing_key", "")
        bury(RawTask(name=sender.name, queue=str(queue), args=_json(args), kwargs=_json(kwargs or {})), exception)


@task_unknown.connect
def dead_letter_unknown(message: Any, name: str, **_: object) -> None:
    bury(_raw(message, name), BadMessage(f"no task is called {name!r}: clients may send {EMBED_TASK} to queue embed"))


@task_rejected.connect
def dead_letter_rejected(message: Any, exc: Exception | None = None, **_: object) -> None:
    why = f" ({exc})" if exc else ""
    bury(_raw(message, "?"), BadMessage(f"a message on the queue is no Celery task{why}: see README, Ways in"))


def is_on_record(chunk: object) -> bool:
    """Return whether `chunk`, JSON of a `Chunk`, belongs to a batch that was accepted."""
    if not isinstance(chunk, str | bytes):
        return False
    try:
        work = Chunk.from_json(chunk)
    except BadMessage:
        return False
    try:
        return context.store().batches.known(work.stream, work.batch_id)
    except Exception as error:
        if not is_unavailable(error):
            raise
        return True  # only work that is on record gets as far as failing for another reason than its message


def bury(task: RawTask, error: Exception) -> None:
    """Write the dead letter; while Redis cannot store it, wait, unless the worker is to stop.

    The message is acknowledged once this returns, so until then it is not lost.
    A time limit must not cut the waiting short either.
    """
    letter = dead_letter(DeadLetterKind.TASK, "", f"task {task.name}", error, task, version=task.to_json())
    said = False
    while not (state.should_stop or state.should_terminate):
        try:
            if _stored(letter, task):
                return
            if not said:
                log.warning("a bad task waits until Redis can store it as a dead letter: %s", task)
            said = True
            time.sleep(_PAUSE_SECONDS)
        except SoftTimeLimitExceeded:
            continue
    log.error("a bad task could not be written to the dead letters before the worker stopped: %s", task)


def _stored(letter: DeadLetter, task: RawTask) -> bool:
    """Store `letter` and return True; False if Redis cannot do it now. Any other trouble is only logged."""
    try:
        context.store().event_log.bury(letter)
    except Exception as error:
        if is_unavailable(error):
            return False
        log.exception("a bad task cannot be written to the dead letters: %s", task)
    return True


def _raw(message: Any, name: str) -> RawTask:
    try:
        body = message.decode()
        args, kwargs = (body[0], body[1]) if isinstance(body, list | tuple) and len(body) >= 2 else ([], {"body": body})
    except Exception:
        args, kwargs = [], {"body": repr(message.body)[:_MOST_CHARACTERS]}
    queue = str((message.delivery_info or {}).get("routing_key", ""))
    return RawTask(name=name, queue=queue, args=_json(args), kwargs=_json(kwargs))


def _json(value: object) -> str:
    try:
        return json.dumps(value, default=repr)[:_MOST_CHARACTERS]
    except RecursionError:
        return json.dumps(reprlib.repr(value))
