"""Canary worker: rolls back a champion that turned out worse on live footage than the version before it.

It runs where retrainings do, so that it never changes a champion that one is trained from.
"""

from __future__ import annotations

import logging

from common.broker import CANARY_TASK, app, send_reduce
from common.errors import SentinelError
from common.models.canary import Canary
from common.models.proving import proved_conditions
from common.settings import get_settings
from workers import context

log = logging.getLogger(__name__)

_TASK_SECONDS = 900  # the conditions are proved again on the version that comes back, a few seconds each


@app.task(name=CANARY_TASK, soft_time_limit=_TASK_SECONDS, time_limit=_TASK_SECONDS + 60)
def settle(model: str) -> None:
    """Roll the champion of `model` back if it turned out worse.

    Any client of the queue can send this task: what decides is what live footage has shown.
    """
    champions = context.store().champions
    if not isinstance(model, str):
        return
    with champions.lease(model) as held:
        if held:  # else a retraining runs, which looks itself before it begins, or the next footage asks again
            roll_back(model)


def roll_back(model: str) -> bool:
    """Roll the champion of `model` back if it turned out worse; return whether it did. Its lease is held."""
    try:
        settled = Canary(context.store(), get_settings()).settle(model, proved_conditions)
    except SentinelError as error:
        log.error("model %s: its champion cannot be rolled back: %s", model, error)
        return False
    if settled is None:
        return False
    record, dropped = settled
    log.error("model %s: %s; `sentinel champions release %s` lets it be trained again", model, record.reason, model)
    for condition in dropped:
        send_reduce(condition.stream)
    return True
