"""Invalid tasks become dead letters: tasks with unknown names, in refused formats, or with invalid arguments.

Celery acknowledges such a task and drops it. Work that Sentinel has accepted is
recorded in Redis, and the sweep sends its task again; a task that somebody else
sent is recorded nowhere, so it is stored as a dead letter.
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

from common.broker import EMBED_TASK, LEARN_TASK, PREPARE_TASK, REDUCE_TASK, RETRAIN_TASK
from common.contracts.batches import Chunk
from common.contracts.dead_letters import DeadLetter, DeadLetterKind, RawTask
from common.errors import BadMessage
from common.store.client import is_unavailable
from common.store.event_log import dead_letter
from workers import context

log = logging.getLogger(__name__)

_OWN_TASKS = frozenset({REDUCE_TASK, RETRAIN_TASK, LEARN_TASK, PREPARE_TASK})
_MOST_CHARACTERS = 10_000  # kept of an untrusted message
_PAUSE_SECONDS = 1.0  # between attempts while Redis cannot store a dead letter


@task_failure.connect
def dead_letter_failed(
    sender: Task, exception: Exception, args: object = (), kwargs: object = None, **_: object
) -> None:
    """Write a dead letter for a failed task if its message is invalid.

    None is written for a task whose chunk is recorded in Redis: such a task fails
    when its worker is killed or exceeds a time limit, and the sweep sends it again.
    """
    named = kwargs if isinstance(kwargs, Mapping) else {}
    if sender.name == EMBED_TASK:
        bad = not is_on_record(named.get("chunk"))
    else:  # wrong arguments are a TypeError; any other error is temporary
        bad = sender.name in _OWN_TASKS and isinstance(exception, BadMessage | TypeError)
    if bad:
        queue = (sender.request.delivery_info or {}).get("routing_key", "")
        bury(RawTask(name=sender.name, queue=str(queue), args=as_json(args), kwargs=as_json(kwargs or {})), exception)


@task_unknown.connect
def dead_letter_unknown(message: Any, name: str, **_: object) -> None:
    bury(_raw(message, name), BadMessage(f"no task is called {name!r}: clients may send {EMBED_TASK} to queue embed"))


@task_rejected.connect
def dead_letter_rejected(message: Any, exc: Exception | None = None, **_: object) -> None:
    why = f" ({exc})" if exc else ""
    bury(_raw(message, "?"), BadMessage(f"a message on the queue is no Celery task{why}: see README, Ways in"))


def is_on_record(chunk: object) -> bool:
    """Return whether `chunk`, a `Chunk` as JSON, belongs to an accepted batch; True while Redis is unavailable."""
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
        return True  # recorded work must not become a dead letter because Redis is unavailable


def bury(task: RawTask, error: Exception) -> None:
    """Write the dead letter about `task`. While Redis cannot store it, retry, until the worker is stopped.

    The message is acknowledged only when this returns, so it is not lost before.
    A soft time limit does not end the retries.
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
    """Store `letter`; return False if Redis cannot store it for now. Any other error is logged, and returns True."""
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
    return RawTask(name=name, queue=queue, args=as_json(args), kwargs=as_json(kwargs))


def as_json(value: object) -> str:
    """Return an untrusted value as JSON, cut to what is kept of one; what JSON cannot hold is shown by its `repr`."""
    try:
        return json.dumps(value, default=repr)[:_MOST_CHARACTERS]
    except RecursionError:
        return json.dumps(reprlib.repr(value))
