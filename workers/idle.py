"""Ends a worker that has had nothing to do for a while, where something else starts it when there is work.

KEDA starts a Job of Kubernetes once there is something in queue `retrain`; a Job
has to end. This worker takes what is there, and what comes meanwhile, and ends
with exit code 0 after `SENTINEL_RETRAIN_IDLE_SECONDS` without a task. It ends as on
SIGTERM, so what arrives while it stops goes back to the queue.
"""

from __future__ import annotations

import logging
import time

from celery.signals import heartbeat_sent, worker_init
from celery.worker import WorkController, state

from common.processes import PROCESSES, Worker
from common.settings import Settings, get_settings

log = logging.getLogger(__name__)

_AWAY_SECONDS = 10.0  # Celery's loop turns every two seconds; after a longer pause it has had no connection to Redis


class IdleWatch:
    """Notices, turn by turn of the worker's loop, that there has been no task for `seconds`.

    Time without Redis does not count: nobody knows what waits there.

    Parameters
    ----------
    now : when it begins; seconds of a clock that never goes back, as all its times
    """

    def __init__(self, seconds: float, now: float) -> None:
        self._seconds = seconds
        self._idle_since = self._turned_at = now
        self._taken = 0

    def is_over(self, now: float, *, holds: int, taken: int) -> bool:
        """Return whether the worker has been idle for long enough.

        Parameters
        ----------
        holds : tasks that the worker has at present
        taken : tasks that it has taken since it began
        """
        if holds or taken != self._taken or now - self._turned_at > _AWAY_SECONDS:
            self._idle_since = now
        self._turned_at, self._taken = now, taken
        return now - self._idle_since >= self._seconds


def idle_seconds(queues: set[str], settings: Settings) -> float:
    """Return after how many idle seconds the worker of `queues` ends; 0: never."""
    for process in PROCESSES:
        if isinstance(process.start, Worker) and process.start.queue in queues and process.start.idle_seconds:
            return float(getattr(settings, process.start.idle_seconds))
    return 0.0


@worker_init.connect
def end_when_idle(sender: WorkController, **_: object) -> None:
    """Make a worker end after its idle seconds, if it has a number of them."""
    seconds = idle_seconds(set(sender.app.amqp.queues.consume_from), get_settings())
    if not seconds:
        return
    watch = IdleWatch(seconds, time.monotonic())

    def turn(**_: object) -> None:
        taken = state.all_total_count[0]
        if watch.is_over(time.monotonic(), holds=len(state.reserved_requests), taken=taken):
            log.info("nothing to do for %.0f s: the worker ends", seconds)
            state.should_stop = 0

    heartbeat_sent.connect(turn, weak=False)
