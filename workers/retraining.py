"""The worker of queue `retrain`: heals the incidents of the streams that wait for a model.

    celery -A workers.retraining worker -Q retrain -c 1

Every client of the queue can send a task, so a task alone starts no retraining:
the retrain trigger decides when a model is due, and marks it in Redis. A lease,
renewed while a retraining runs, keeps it to one per model; a task that is
delivered again meanwhile finds the lease held and ends.
"""

from __future__ import annotations

import logging
import reprlib
import time
from collections.abc import Mapping, Sequence

import redis
from billiard.exceptions import SoftTimeLimitExceeded
from celery import Task
from celery.exceptions import Ignore

from common.broker import RETRAIN_QUEUE, RETRAIN_TASK, app, send_reduce
from common.contracts.dead_letters import RawTask
from common.contracts.events import ChallengerRejected, RetrainProgressed, RetrainStarted
from common.contracts.incidents import ActionKind, IncidentNote
from common.contracts.models import RetrainReport
from common.errors import BadMessage, BadModel, NotPromoted, SentinelError
from common.models.broken_off import failing_incidents
from common.models.healing import Healer
from common.models.incident_actions import BROKE_OFF, action_of, end, why_broken
from common.models.kinds import load_kind
from common.models.protocols import TrainingProgress
from common.settings import get_settings
from common.store.models import Outcome
from workers import (
    canary,
    context,
    dead_letters,
    idle,  # noqa: F401, the worker of this queue may end by itself
    learning,  # noqa: F401, its task runs on this queue
)

log = logging.getLogger(__name__)

PROGRESS = "PROGRESS"
"""Custom Celery state of a running retraining; its meta is a `RetrainReport`."""
_ANNOUNCE_EVERY_SECONDS = 2.0  # between progress events; the task state is updated by every report
_TASK_SECONDS = 3600  # ends a retraining that hangs
_LONGEST_NAME = 200  # characters of a model's name, as of a stream's


class Progress:
    """Reports the progress of a retraining: as task state at each call, as event every few seconds."""

    def __init__(self, task: Task, model: str) -> None:
        self._task = task
        self._model = model
        self._incidents: tuple[str, ...] = ()
        self._announced = 0.0

    def start(self, incidents: tuple[str, ...]) -> None:
        """Announce that a retraining for `incidents` begins."""
        self._incidents = incidents
        self.announce(RetrainStarted, self.report("started", 0.0, ""))

    def __call__(self, stage: str, share: float, detail: str, training: TrainingProgress | None = None) -> None:
        report = self.report(stage, share, detail, training)
        if not self._task.request.called_directly:
            self._task.update_state(state=PROGRESS, meta=report.model_dump())
        if time.monotonic() - self._announced > _ANNOUNCE_EVERY_SECONDS:
            self._announced = time.monotonic()
            self.announce(RetrainProgressed, report)

    def announce(
        self, event: type[RetrainStarted | RetrainProgressed | ChallengerRejected], report: RetrainReport
    ) -> None:
        context.store().event_log.announce(event.about(report, model=self._model))

    def report(self, stage: str, share: float, detail: str, training: TrainingProgress | None = None) -> RetrainReport:
        return RetrainReport(
            model=self._model,
            stage=stage,
            progress=min(max(share, 0.0), 1.0),
            detail=detail,
            incidents=self._incidents,
            step=training.step if training else None,
            loss=training.loss if training else None,
            check_db=training.check_db if training else None,
        )


@app.task(
    name=RETRAIN_TASK, bind=True, ignore_result=False, soft_time_limit=_TASK_SECONDS, time_limit=_TASK_SECONDS + 60
)
def retrain(self: Task, model: str) -> str:
    """Retrain `model` if the retrain trigger has called it; return a sentence about the outcome."""
    require_known(model)
    champions = context.store().champions
    with champions.lease(model) as held:
        if not held:
            return "another worker retrains this model"
        if hold := champions.held(model):
            return f"held at version {hold.version}: {hold.reason}"
        if (called_at := champions.accept_call(model)) is None:
            return "not called: the cool-down is not over, or the call has been answered"
        if canary.roll_back(model):
            return "its champion turned out worse than the version before it, and was rolled back: the model is held"
        return answer(self, model, called_at)


def require_known(model: object) -> None:
    """Write a dead letter about a task for an unknown model, and end it without a result (raises `Ignore`)."""
    reason = f"{reprlib.repr(model)} is no model"
    if isinstance(model, str) and len(model) <= _LONGEST_NAME and model.isprintable():
        try:
            load_kind(model)
            return
        except BadModel as error:
            reason = str(error)
            tell_incidents(model, reason)
    unknown = BadMessage(f"{reason}; the retrain trigger alone sends this task")
    kwargs = dead_letters.as_json({"model": model})
    dead_letters.bury(RawTask(name=RETRAIN_TASK, queue=RETRAIN_QUEUE, args="[]", kwargs=kwargs), unknown)
    raise Ignore


def tell_incidents(model: str, reason: str) -> None:
    """Note in the incidents of the streams that wait for a model that nothing can be done for them, and why."""
    store, settings = context.store(), get_settings()
    champion = store.champions.champion(model)
    for incident in failing_incidents(store, settings, model, store.champions.waiting(model)):
        action = action_of(incident, ActionKind.RETRAIN, champion.version if champion else 0)
        end(leave, incident, action, f"{BROKE_OFF}: {reason}")


def answer(task: Task, model: str, called_at: float) -> str:
    """Heal the streams of `model` whose wait is over; return a sentence about the outcome. Its lease is held.

    Parameters
    ----------
    called_at : when the trigger found the model due, seconds since the epoch; this machine's clock may be behind
    """
    store, settings = context.store(), get_settings()
    champions = store.champions
    noted = champions.noted(model, due_by=max(called_at, time.time()))
    streams, noted_by = list(noted), max(noted.values(), default=0.0)
    all_rejected: dict[str, Outcome] = dict.fromkeys(streams, "rejected")
    progress = Progress(task, model)
    healer = Healer(store, settings, context.baselines(), model, load_kind(model), report=progress, leave=leave)
    progress.start(tuple(incident.id for incident in healer.incidents(streams)))
    if champions.begin(model) > settings.max_deliveries:
        reason = "the worker died of it again and again: see its log"
        healer.end_broken_off(streams, f"given up: {reason}")
        return reject(model, all_rejected, noted_by, progress, reason)
    try:
        outcome = healer.heal(streams)
    except redis.RedisError:
        raise  # Redis is unavailable: the model becomes due again
    except NotPromoted as error:
        champions.settle(model, {})  # nothing is wrong with the footage: its streams wait on
        log.warning("model %s: %s", model, error)
        return f"broke off: {error}"
    except (Exception, SoftTimeLimitExceeded) as error:
        reason = why_broken(error)
        if not isinstance(error, SentinelError | SoftTimeLimitExceeded):
            log.exception("model %s: the retraining broke", model)
            reason = f"{type(error).__name__}: {error}"
        return reject(model, dealt_with(healer, streams), noted_by, progress, reason)
    said = "; ".join(outcome.sentences) or "nothing waits"
    outcomes: dict[str, Outcome] = {stream: outcome.settled_as(stream) for stream in streams}
    if outcome.rejected:
        return reject(model, outcomes, noted_by, progress, said)
    champions.settle(model, outcomes, noted_by=noted_by)
    log.info("model %s: %s", model, said)
    return said


def dealt_with(broken: Healer, streams: Sequence[str]) -> dict[str, Outcome]:
    """Return how a retraining that broke ended for the streams that it had dealt with; the others wait on.

    Where nothing tells which stream it broke on, it was in vain for all that it had not healed.
    """
    healed = broken.outcome.healed
    in_vain = broken.outcome.in_vain or set(streams) - healed
    return {stream: "promoted" if stream in healed else "rejected" for stream in streams if stream in healed | in_vain}


def leave(note: IncidentNote) -> None:
    """Put a note into its stream's inbox, and have the reducer write it into the incident."""
    context.store().streams.note(note)
    send_reduce(note.stream)


def reject(model: str, outcomes: Mapping[str, Outcome], noted_by: float, progress: Progress, reason: str) -> str:
    """Publish why the champion stays, and settle the streams, of which those that were rejected wait twice as long."""
    progress.announce(ChallengerRejected, progress.report("rejected", 1.0, reason))
    context.store().champions.settle(model, outcomes, noted_by=noted_by)
    log.warning("model %s: nothing was healed: %s", model, reason)
    return f"rejected: {reason}"
