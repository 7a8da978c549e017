"""What `benchmarks.heal` measures by: rows of its table, models of a champion's history, and PSNR of several models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.blinding_footage import Damage, Footage
from common.models.kinds import load_kind
from common.models.names import DEFAULT_MODEL
from common.models.protocols import Examples
from common.models.replay import Replay, pooled_replay
from common.models.versions import load_version
from common.models.vfi.kind import KIND
from common.models.vfi.model import Interpolator
from common.settings import get_settings
from common.sources.limits import Limits
from workers import context

_SHORTENED = 100  # characters of a reason in the table


@dataclass(frozen=True)
class Row:
    """What came of one case.

    Attributes
    ----------
    outcome : in a few words
    reason : what the product said; the table shows the beginning of why it refused, or of all of it
    figures : by name; dB PSNR, or counts
    missed : the bar that was missed; empty: none
    """

    clip: str
    seed: int
    case: str
    outcome: str
    reason: str = ""
    figures: dict[str, float] = field(default_factory=dict)
    missed: str = ""

    def __str__(self) -> str:
        figures = ", ".join(
            f"{name} {value:d}" if isinstance(value, int) else f"{name} {value:+.2f}"
            for name, value in self.figures.items()
        )
        guard = self.reason.rpartition(" on golden: ")[2]  # the gate states figures first
        said = guard if len(guard) <= _SHORTENED else f"{guard[:_SHORTENED]}..."
        missed = f"MISSED: {self.missed}" if self.missed else ""
        cells = (self.clip, str(self.seed), self.case, self.outcome, figures, said.replace("|", "/"), missed)
        return f"| {' | '.join(cells)} |"


HEADER = "| clip | seed | case | outcome | dB, or count | why | bar |\n|---|---|---|---|---|---|---|"


def champions() -> list[Interpolator]:
    """Return the models that have been champion, oldest first."""
    history = context.store().champions.history(DEFAULT_MODEL)
    return [load_version(KIND, record) for record in history]


def golden() -> Replay:
    """Return the golden triplets of all streams."""
    kind = load_kind(DEFAULT_MODEL)
    return pooled_replay(context.store(), get_settings(), context.baselines(), DEFAULT_MODEL, kind)


def triplets(footage: Footage, quarter: str, damage: Damage) -> Examples:
    """Return the triplets of a quarter as a retraining reads them."""
    settings = get_settings()
    return KIND.read_stretch(
        footage.part(quarter, damage),
        limits=Limits.from_settings(settings),
        roots=settings.roots,
        most=settings.retrain_max_triplets,
    ).examples


def psnr_db(models: Sequence[Interpolator], examples: Examples) -> list[float]:
    """Return the mean PSNR of each model on (n, ...) triplets, and last that of DIS."""
    scores = KIND.score([*models, KIND.references()["dis"]], examples)
    return [float(np.mean(row, dtype=np.float64)) for row in scores]
