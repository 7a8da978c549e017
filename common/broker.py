"""The message queue: names of queues and tasks, and the Celery application that all processes share.

Producers and workers know each other only by the names in this module.
"""

from __future__ import annotations

import json
import logging

from celery import Celery
from celery.signals import (
    after_setup_logger,
    beat_init,
    celeryd_after_setup,
    heartbeat_sent,
    worker_init,
    worker_shutdown,
)
from celery.worker import WorkController
from kombu import Queue  # type: ignore[attr-defined]

from common.contracts.batches import Chunk
from common.errors import BadMessage, SentinelError
from common.processes import process_of_queues
from common.redis_url import without_tls_options
from common.settings import Settings, get_settings
from common.store.client import require_admission
from common.store.heartbeats import Heartbeat

log = logging.getLogger(__name__)

EMBED_QUEUE = "embed"
REDUCE_QUEUE = "reduce"
RETRAIN_QUEUE = "retrain"
INTERPOLATE_QUEUE = "interpolate"

EMBED_TASK = "sentinel.embed"
REDUCE_TASK = "sentinel.reduce"
RETRAIN_TASK = "sentinel.retrain"
SWEEP_TASK = "sentinel.sweep"
DAILY_TASK = "sentinel.daily_check"
RETENTION_TASK = "sentinel.retention"
PREPARE_TASK = "sentinel.prepare"
LEARN_TASK = "sentinel.learn"
HAND_IN_TASK = "sentinel.hand_in"
INTERPOLATE_TASK = "sentinel.interpolate"
REFER_TASK = "sentinel.refer"
CANARY_TASK = "sentinel.canary"

_QUEUE_OF = {
    EMBED_TASK: EMBED_QUEUE,
    REDUCE_TASK: REDUCE_QUEUE,
    SWEEP_TASK: REDUCE_QUEUE,
    DAILY_TASK: REDUCE_QUEUE,
    RETENTION_TASK: REDUCE_QUEUE,
    HAND_IN_TASK: REDUCE_QUEUE,
    PREPARE_TASK: EMBED_QUEUE,
    REFER_TASK: EMBED_QUEUE,
    LEARN_TASK: RETRAIN_QUEUE,
    RETRAIN_TASK: RETRAIN_QUEUE,
    CANARY_TASK: RETRAIN_QUEUE,
    INTERPOLATE_TASK: INTERPOLATE_QUEUE,
}

# Shares of the visibility timeout: a task is ended well before its message is delivered to another worker.
_SOFT_LIMIT_SHARE = 0.7
_HARD_LIMIT_SHARE = 0.85
_KEEPALIVE_SECONDS = 15
# Without it a process whose network was cut waits for TCP to send again what was lost: for as long as the cut lasted.
_SOCKET_TIMEOUT_SECONDS = 10.0
_RESULT_SECONDS = 86_400


def make_app(settings: Settings) -> Celery:
    """Return the Celery application, configured for at-least-once delivery: no task is lost, but one may run twice."""
    app = Celery("sentinel")
    app.conf.update(
        **address(settings.redis_url or "redis://127.0.0.1:6379/0"),
        task_queues=[Queue(name) for name in (EMBED_QUEUE, REDUCE_QUEUE, RETRAIN_QUEUE, INTERPOLATE_QUEUE)],  # type: ignore[no-untyped-call]
        task_routes={task: {"queue": queue} for task, queue in _QUEUE_OF.items()},
        # JSON only: a message in pickle is refused, and never deserialised.
        task_serializer="json",
        result_serializer="json",
        accept_content=["json"],
        # Acknowledge after the work, and return the task of a killed process to the queue.
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        task_soft_time_limit=int(settings.visibility_seconds * _SOFT_LIMIT_SHARE),
        task_time_limit=int(settings.visibility_seconds * _HARD_LIMIT_SHARE),
        broker_transport_options={
            "visibility_timeout": settings.visibility_seconds,
            # What a killed worker held is looked for every ten seconds, not at every tenth time that this is due.
            "unacked_restore_throttle": 1,
            "health_check_interval": _KEEPALIVE_SECONDS,
            "socket_keepalive": True,
            "socket_timeout": _SOCKET_TIMEOUT_SECONDS,
        },
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_soft_shutdown_timeout=_soft_shutdown(settings),
        # Only retrainings (progress) and tasks of Celery clients that submit a source keep a result.
        task_ignore_result=True,
        result_expires=_RESULT_SECONDS,
        # Flower shows these events.
        worker_send_task_events=True,
        task_send_sent_event=True,
        worker_hijack_root_logger=False,
        timezone="UTC",
        enable_utc=True,
    )
    return app


@after_setup_logger.connect  # type: ignore[untyped-decorator]
def say_less(**_: object) -> None:
    """Suppress what Celery logs per task, per scheduled message and per connection; tasks log their own results."""
    for name in ("celery.app.trace", "celery.beat", "celery.worker.consumer.connection", "celery.worker.strategy"):
        logging.getLogger(name).setLevel(logging.WARNING)


@celeryd_after_setup.connect  # type: ignore[untyped-decorator]
@beat_init.connect  # type: ignore[untyped-decorator]
def say_why_redis_refuses(**_: object) -> None:
    """Log why Redis admits this process not, and what to do: Celery itself goes on trying, and logs OpenSSL's words."""
    url = get_settings().redis_url
    try:
        if url is not None:
            require_admission(url)
    except SentinelError as error:
        log.error("%s", error)


@worker_init.connect  # type: ignore[untyped-decorator]
def start_heartbeat(sender: WorkController, **_: object) -> None:
    """Make a Celery worker send heartbeats, driven by the timer of its own event loop."""
    settings = get_settings()
    name = process_of_queues(set(sender.app.amqp.queues.consume_from))
    if name is None or settings.redis_url is None:
        return
    heartbeat = Heartbeat(settings.redis_url, name, settings.heartbeat_file)
    heartbeat.beat()

    def beat(**_: object) -> None:
        heartbeat.beat()

    def end(sender: WorkController, **_: object) -> None:
        if sender.exitcode:
            heartbeat.fail(f"the worker stopped with exit code {sender.exitcode}: see its log")
        else:
            heartbeat.end()

    heartbeat_sent.connect(beat, weak=False)
    worker_shutdown.connect(end, weak=False)


def _soft_shutdown(settings: Settings) -> float:
    """Return how many seconds a stopping worker waits for its running tasks: the soft time limit of a task."""
    return float(int(settings.visibility_seconds * _SOFT_LIMIT_SHARE))


def address(url: str) -> dict[str, object]:
    """Return the part of Celery's configuration that says where Redis is, and how its certificate is verified.

    Parameters
    ----------
    url : as `Settings.redis_url` has it
    """
    plain, tls = without_tls_options(url)
    return {
        "broker_url": plain,
        "result_backend": plain,
        "broker_use_ssl": tls or False,
        "redis_backend_use_ssl": tls or False,
    }


app = make_app(get_settings())


def connect_to(url: str) -> None:
    """Make this process send its tasks to the Redis at `url`. Call it before the first task is sent."""
    app.conf.update(**address(url))


def send_embed(chunk: Chunk) -> None:
    """Send a task to the embedding workers: compute the features of `chunk`."""
    app.send_task(EMBED_TASK, kwargs={"chunk": chunk.to_json()}, queue=EMBED_QUEUE, ignore_result=True)


def send_reduce(stream: str) -> None:
    """Send a task to the reducers: process the finished chunks of `stream`."""
    app.send_task(REDUCE_TASK, kwargs={"stream": stream}, queue=REDUCE_QUEUE)


def send_retrain(model: str) -> None:
    """Send a task to the retrain worker: process the FAILs that wait for `model`."""
    app.send_task(RETRAIN_TASK, kwargs={"model": model}, queue=RETRAIN_QUEUE)


def send_canary(model: str) -> None:
    """Send a task to the retrain worker: roll the champion of `model` back if it turned out worse."""
    app.send_task(CANARY_TASK, kwargs={"model": model}, queue=RETRAIN_QUEUE, ignore_result=True)


def send_prepare(modality: str) -> None:
    """Send a task to the embedding workers: say which features of `modality` they make."""
    app.send_task(PREPARE_TASK, kwargs={"modality": modality}, queue=EMBED_QUEUE, ignore_result=True)


def send_learn(stream: str) -> None:
    """Send a task to the retrain worker, which may take its time: learn the bursts of `stream` that wait."""
    app.send_task(LEARN_TASK, kwargs={"stream": stream}, queue=RETRAIN_QUEUE, ignore_result=True)


def send_refer(stream: str) -> None:
    """Send a task to the embedding workers: score the champion of `stream` on its golden footage."""
    app.send_task(REFER_TASK, kwargs={"stream": stream}, queue=EMBED_QUEUE, ignore_result=True)


def resend(name: str, queue: str, args: str, kwargs: str) -> str:
    """Send a task again; return a sentence that describes what was done.

    Parameters
    ----------
    queue : where it was sent; empty: queue `embed`
    args, kwargs : its arguments as JSON

    Raises
    ------
    BadMessage
        If the arguments were cut off when the task was stored.
    """
    try:
        positional, named = json.loads(args), json.loads(kwargs)
    except ValueError as error:
        raise BadMessage(f"task {name} was too long to be kept whole: send it again from where it came") from error
    app.send_task(name, args=positional, kwargs=named, queue=queue or EMBED_QUEUE)
    return f"sent to queue {queue or EMBED_QUEUE} again"
