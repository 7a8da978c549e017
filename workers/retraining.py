"""The worker of queue `retrain`: trains a challenger on the footage that failed, and may promote it.

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

import redis
from billiard.exceptions import SoftTimeLimitExceeded
from celery import Task
from celery.exceptions import Ignore

from common.baselines.storage import StoredBaseline
from common.broker import RETRAIN_QUEUE, RETRAIN_TASK, app
from common.contracts.dead_letters import RawTask
from common.contracts.events import ChallengerRejected, RetrainProgressed, RetrainStarted
from common.contracts.models import ChampionRecord, RetrainReport
from common.contracts.verdicts import Verdict
from common.errors import BadMessage, SentinelError
from common.models import registry, retraining
from common.models.gate import decide
from common.settings import get_settings
from workers import context, dead_letters

log = logging.getLogger(__name__)

PROGRESS = "PROGRESS"
"""Custom Celery state of a running retraining; its meta is a `RetrainReport`."""
_ANNOUNCE_EVERY_SECONDS = 2.0  # between progress events; the task state is updated by every report
_TASK_SECONDS = 3600  # ends a retraining that hangs
_LONGEST_NAME = 200  # characters of a model's name, as of a stream's


class Progress:
    """Reports the progress of a retraining: as task state at each call, as event every few seconds."""

    def __init__(self, task: Task, model: str, merged: int) -> None:
        self._task = task
        self._model = model
        self._merged = merged
        self._announced = 0.0

    def __call__(self, stage: str, share: float, detail: str = "") -> None:
        report = self.report(stage, share, detail)
        if not self._task.request.called_directly:
            self._task.update_state(state=PROGRESS, meta=report.model_dump())
        if time.monotonic() - self._announced > _ANNOUNCE_EVERY_SECONDS:
            self._announced = time.monotonic()
            self.announce(RetrainProgressed, report)

    def announce(
        self, event: type[RetrainStarted | RetrainProgressed | ChallengerRejected], report: RetrainReport
    ) -> None:
        context.store().event_log.announce(event.about(report, model=self._model))

    def report(self, stage: str, share: float, detail: str) -> RetrainReport:
        return RetrainReport(
            model=self._model, stage=stage, progress=min(max(share, 0.0), 1.0), detail=detail, merged_fails=self._merged
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
        if not champions.accept_call(model):
            return "not called: the cool-down is not over, or the call has been answered"
        return answer(self, model)


def require_known(model: object) -> None:
    """Write a dead letter about a task for an unknown model, and end it without a result (raises `Ignore`)."""
    if isinstance(model, str) and is_name(model) and context.store().champions.champion(model):
        return
    error = BadMessage(
        f"{reprlib.repr(model)} is no model: `sentinel champions list` shows those that there are; "
        "the retrain trigger alone sends this task"
    )
    kwargs = dead_letters.as_json({"model": model})
    dead_letters.bury(RawTask(name=RETRAIN_TASK, queue=RETRAIN_QUEUE, args="[]", kwargs=kwargs), error)
    raise Ignore


def is_name(text: str) -> bool:
    """Return whether `text` can be the name of a model. Redis is queried only for such names."""
    return len(text) <= _LONGEST_NAME and text.isprintable()


def answer(task: Task, model: str) -> str:
    """Process the FAILs that wait for `model`, whose lease is held; return a sentence about the outcome."""
    champions = context.store().champions
    champion, stored = context.baselines().of_model(model)
    waiting = champions.waiting(model)
    fails = {i: verdict for i, verdict in waiting.items() if verdict.baseline_id == champion.baseline_id}
    if stale := sorted(set(waiting) - set(fails)):
        champions.settle(model, stale, "stale")  # judged by a baseline that has been replaced
    if not fails:
        return "nothing waits"
    progress = Progress(task, model, len(fails))
    progress.announce(RetrainStarted, progress.report("started", 0.0, ""))
    log.info("model %s: retraining for %d FAILs", model, len(fails))
    if champions.begin(model) > get_settings().max_deliveries:
        return reject(champion, fails, progress, "the worker died of it again and again: see its log")
    try:
        return heal(champion, stored, fails, progress)
    except redis.RedisError:
        raise  # Redis is unavailable: the model becomes due again
    except SentinelError as error:
        return reject(champion, fails, progress, str(error))
    except (Exception, SoftTimeLimitExceeded) as error:
        log.exception("model %s: the retraining broke", model)
        return reject(champion, fails, progress, f"{type(error).__name__}: {error}")


def heal(champion: ChampionRecord, stored: StoredBaseline, fails: dict[str, Verdict], progress: Progress) -> str:
    """Collect footage, train a challenger, compare it with the champion, and promote or reject it."""
    store, settings = context.store(), get_settings()
    progress("collecting", 0.0)
    footage = retraining.collect(fails, store.streams, settings)
    replay = retraining.golden_replay(stored)
    model = retraining.champion_model(champion, replay, settings)
    challenger = retraining.train(
        model, footage, replay, settings, lambda share, detail: progress("training", share, detail)
    )
    progress("comparing", 1.0)
    comparison = retraining.evaluate(model, challenger, footage, replay)
    decision = decide(comparison, min_gain_db=settings.promote_min_gain_db, max_loss_db=settings.promote_max_loss_db)
    if not decision.promote:
        return reject(champion, fails, progress, decision.reason)
    record = registry.promote(store, champion, challenger, decision, settings.state_dir)
    store.champions.settle(champion.model, list(fails), "promoted")
    log.info("model %s: v%d is champion, %s", record.model, record.version, record.reason)
    return f"v{record.version} promoted: {record.reason}"


def reject(champion: ChampionRecord, fails: dict[str, Verdict], progress: Progress, reason: str) -> str:
    """Keep the champion, publish `reason`, and double the wait before this model's next retraining."""
    progress.announce(ChallengerRejected, progress.report("rejected", 1.0, reason))
    context.store().champions.settle(champion.model, list(fails), "rejected")
    log.warning("model %s: challenger rejected, v%d stays: %s", champion.model, champion.version, reason)
    return f"rejected: {reason}"
