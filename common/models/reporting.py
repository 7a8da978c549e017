"""How far a retraining is, for whoever watches it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from common.models.protocols import TrainingProgress
from common.settings import Settings


class Report(Protocol):
    """Is told how far a retraining is."""

    def __call__(self, stage: str, share: float, detail: str, training: TrainingProgress | None = None, /) -> None:
        """Receive a stage, the share of it that is done (0 to 1), a description, and the progress of a training."""


def of_training(report: Report, cause: str, settings: Settings) -> Callable[[TrainingProgress], None]:
    """Return what reports the progress of a training on footage of a cause."""

    def tell(now: TrainingProgress) -> None:
        share = max(now.step / settings.retrain_steps, now.seconds / settings.retrain_seconds)
        check = "" if now.check_db is None else f", {now.check_db:.2f} dB on check examples"
        report("training", min(share, 1.0), f"{cause}, step {now.step}, {-now.loss:.2f} dB{check}", now)

    return tell
