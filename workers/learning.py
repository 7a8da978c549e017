"""The task that learns streams. It runs on queue `retrain`, whose worker may take its time."""

from __future__ import annotations

import logging

from common.baselines.learning.learner import Learner
from common.broker import LEARN_TASK, app
from common.contracts.ids import check_stream_name
from common.errors import BadMessage, NotLearned
from common.settings import get_settings
from workers import context

log = logging.getLogger(__name__)

_TASK_SECONDS = 600  # a week of bursts is fitted in seconds, but their frames are read from disk


@app.task(name=LEARN_TASK, soft_time_limit=_TASK_SECONDS, time_limit=_TASK_SECONDS + 60)
def learn(stream: str) -> int:
    """Learn the bursts of `stream` that wait; return how many were kept.

    One that is delivered again while it runs finds the lease held and ends. The sweep sends it again for bursts that
    are left.

    Raises
    ------
    BadMessage
        If there is no such stream, so that the task cannot be one of Sentinel's own.
    """
    store = context.store()
    if not isinstance(stream, str) or check_stream_name(stream) != stream:
        raise BadMessage(f"{stream!r:.300} is no stream's name: {LEARN_TASK} is for Sentinel's own workers")
    if not store.learning.waiting(stream):
        return 0
    with store.learning.lease(stream) as held:
        if not held:
            return 0
        try:
            count = Learner(store, get_settings(), stream).learn(context.baselines().find)
        except NotLearned as error:  # it was forgotten meanwhile
            log.warning("%s", error)
            return 0
    if count:
        log.info("stream %s: learned %d bursts", stream, count)
    return count
