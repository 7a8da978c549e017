"""Tasks that make no sense end as dead letters: unknown names, foreign formats, arguments that fit nothing.

Celery acknowledges such a task and forgets it. Work that Sentinel has accepted
is on record in Redis and comes again by itself; what somebody else sends is on
record nowhere, so it is kept here.
"""

from __future__ import annotations

import json
import logging
from typing import Any

from celery import Task
from celery.signals import task_failure, task_rejected, task_unknown

from common.broker import EMBED_TASK
from common.contracts.dead_letters import DeadLetterKind, RawTask
from common.errors import BadMessage
from common.store.event_log import dead_letter
from workers import context

log = logging.getLogger(__name__)

_MOST_CHARACTERS = 10_000  # of a foreign message are kept


@task_failure.connect
def dead_letter_failed(
    sender: Task, exception: Exception, args: object = (), kwargs: object = None, **_: object
) -> None:
    """Keep an `embed` task that failed: what is wrong with a chunk is dealt with inside, so this is a bad message."""
    if sender.name == EMBED_TASK:
        queue = (sender.request.delivery_info or {}).get("routing_key", "")
        bury(RawTask(name=EMBED_TASK, queue=str(queue), args=_json(args), kwargs=_json(kwargs or {})), exception)


@task_unknown.connect
def dead_letter_unknown(message: Any, name: str, **_: object) -> None:
    bury(_raw(message, name), BadMessage(f"no task is called {name!r}: clients may send {EMBED_TASK} to queue embed"))


@task_rejected.connect
def dead_letter_rejected(message: Any, exc: Exception | None = None, **_: object) -> None:
    why = f" ({exc})" if exc else ""
    bury(_raw(message, "?"), BadMessage(f"a message on the queue is no Celery task{why}: see README, Ways in"))


def bury(task: RawTask, error: Exception) -> None:
    """Write the letter; a worker must not fail for it."""
    try:
        letter = dead_letter(DeadLetterKind.TASK, "", f"task {task.name}", error, task, version=task.to_json())
        context.store().event_log.bury(letter)
    except Exception:
        log.exception("a task that failed could not be written to the dead letters: %s", task)


def _raw(message: Any, name: str) -> RawTask:
    try:
        body = message.decode()
        args, kwargs = (body[0], body[1]) if isinstance(body, list | tuple) and len(body) >= 2 else ([], {"body": body})
    except Exception:
        args, kwargs = [], {"body": repr(message.body)[:_MOST_CHARACTERS]}
    queue = str((message.delivery_info or {}).get("routing_key", ""))
    return RawTask(name=name, queue=queue, args=_json(args), kwargs=_json(kwargs))


def _json(value: object) -> str:
    return json.dumps(value, default=repr)[:_MOST_CHARACTERS]
