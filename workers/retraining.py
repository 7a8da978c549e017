"""The worker of queue `retrain`: FAILs become a challenger, and perhaps a new champion.

    celery -A workers.retraining worker -Q retrain -c 1

One retraining a model at a time, by a lease that is renewed while it runs. A
task that is delivered again while it runs finds the lease taken and ends.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path

import redis
from billiard.exceptions import SoftTimeLimitExceeded
from celery import Task

from common.baselines.storage import StoredBaseline, save_baseline
from common.broker import RETRAIN_TASK, app
from common.contracts.events import ChallengerRejected, RetrainProgressed, RetrainStarted
from common.contracts.models import ChampionRecord, RetrainReport
from common.contracts.verdicts import Verdict
from common.errors import SentinelError
from common.models import retraining as healing
from common.models.gate import Decision, decide
from common.models.registry import promote
from common.models.vfi.trainer import Challenger
from common.settings import get_settings
from workers import (
    context,
    dead_letters,  # noqa: F401, it listens to Celery's signals
)

log = logging.getLogger(__name__)

PROGRESS = "PROGRESS"
"""Custom Celery state of a running retraining; its meta is a `RetrainReport`."""
_ANNOUNCE_EVERY_SECONDS = 2.0  # progress events; the task state moves with every report
_TASK_SECONDS = 3600  # bounds a retraining that hangs; the lease, not the broker, keeps it single


class Progress:
    """Reports where a retraining stands: as task state at once, as event now and then."""

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
    """Deal with the FAILs that wait for `model`: fine-tune, compare, promote or reject. Returns what came of it."""
    champions = context.store().champions
    with champions.lease(model) as held:
        if not held:
            return "another worker retrains this model"
        champion, stored = context.baselines().of_model(model)
        waiting = champions.waiting(model)
        fails = {i: verdict for i, verdict in waiting.items() if verdict.baseline_id == champion.baseline_id}
        if stale := sorted(set(waiting) - set(fails)):
            champions.settle(model, stale, "stale")  # judged by a baseline that no longer holds
        if not fails:
            return "nothing waits"
        progress = Progress(self, model, len(fails))
        progress.announce(RetrainStarted, progress.report("started", 0.0, ""))
        log.info("model %s: retraining for %d FAILs", model, len(fails))
        if champions.begin(model) > get_settings().max_deliveries:
            return reject(champion, fails, progress, "the worker died of it again and again: see its log")
        try:
            return heal(champion, stored, fails, progress)
        except redis.RedisError:
            raise  # Redis is away: the model is due again when it is back
        except SentinelError as error:
            return reject(champion, fails, progress, str(error))
        except (Exception, SoftTimeLimitExceeded) as error:
            log.exception("model %s: the retraining broke", model)
            return reject(champion, fails, progress, f"{type(error).__name__}: {error}")


def heal(champion: ChampionRecord, stored: StoredBaseline, fails: dict[str, Verdict], progress: Progress) -> str:
    """Train on the footage of `fails`, and promote if the gate lets the challenger through."""
    settings = get_settings()
    progress("collecting", 0.0)
    footage = healing.collect(fails, context.store().streams, settings)
    challenger = healing.train(
        champion, stored, footage, settings, lambda share, detail: progress("training", share, detail)
    )
    progress("comparing", 1.0)
    decision = decide(
        challenger.scores, min_gain_db=settings.promote_min_gain_db, max_loss_db=settings.promote_max_loss_db
    )
    if not decision.promote:
        return reject(champion, fails, progress, decision.reason)
    return crown(champion, stored, challenger, decision, footage, fails)


def crown(
    champion: ChampionRecord,
    stored: StoredBaseline,
    challenger: Challenger,
    decision: Decision,
    footage: healing.Footage,
    fails: dict[str, Verdict],
) -> str:
    """Save the challenger and a baseline that covers the accepted footage, and switch both at once."""
    folder = champion_folder(champion.model, champion.version + 1)
    challenger.model.save(folder / "model")
    baseline = save_baseline(stored.baseline.extended(footage.clips), folder / "baseline")
    record = promote(
        context.store(),
        champion,
        baseline=baseline,
        model_path=str(folder / "model"),
        reason=decision.reason,
        gain_db=decision.gain_db,
        loss_db=decision.loss_db,
    )
    context.store().champions.settle(champion.model, list(fails), "promoted")
    log.info("model %s: v%d is champion, %s", record.model, record.version, record.reason)
    return f"v{record.version} promoted: {record.reason}"


def reject(champion: ChampionRecord, fails: dict[str, Verdict], progress: Progress, reason: str) -> str:
    """Keep the champion, say why, and let the next retraining of this model wait longer."""
    progress.announce(ChallengerRejected, progress.report("rejected", 1.0, reason))
    context.store().champions.settle(champion.model, list(fails), "rejected")
    log.warning("model %s: challenger rejected, v%d stays: %s", champion.model, champion.version, reason)
    return f"rejected: {reason}"


def champion_folder(model: str, version: int) -> Path:
    """Where a version's model and baseline are kept; a time stamp keeps two attempts at one version apart."""
    return get_settings().state_dir.resolve() / "champions" / model / f"v{version}-{int(time.time() * 1000)}"
