"""Truth as its tests need it: rows of a model that is right on some share of the frames, and messages of them."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from common.contracts.truth import Measure, TruthRow, TruthScore, TruthVerdict
from common.contracts.verdicts import Status, WorstFrame

BEGIN = 1_700_000_000.0
EVERY_SECONDS = 10.0  # from one labelled frame to the next


def row(number: int, score: float) -> TruthRow:
    """Return the row of a stream's labelled frame of this number."""
    return TruthRow(
        id=f"{number:032x}", taken_at=BEGIN + EVERY_SECONDS * number, score=score, frame="/a.mp4", at=float(number)
    )


def right(count: int, share: float, *, seed: int, first: int = 0) -> list[TruthRow]:
    """Return rows of a model that is right on about a share of the frames, by chance."""
    scores = np.random.default_rng(seed).random(count) < share
    return [row(first + number, float(score)) for number, score in enumerate(scores)]


def message(number: int, *, stream: str = "dock", **fields: str) -> dict[str, str]:
    """Return a message about a frame of this number; without `fields` its prediction is right."""
    taken = datetime.fromtimestamp(BEGIN + EVERY_SECONDS * number, UTC).isoformat()
    said = fields if "loss" in fields else {"prediction": "car", "label": "car", **fields}
    return {"id": f"row {number}", "stream": stream, "time": taken, "frame": "/a.mp4", "at": str(number), **said}


def verdict(
    number: int,
    *,
    fails: bool,
    confirmed: bool = False,
    at: float | None = None,
    lasts: float = 10.0,
    since: int | None = None,
    drifted: bool = False,
    healed_as: str = "",
) -> TruthVerdict:
    """Return the verdict on window `number` of ten rows, whose frames were taken from `at` on (None: one after the
    other, a window every ten seconds)."""
    begins = 10.0 * number if at is None else at
    first = number if since is None else since
    return TruthVerdict(
        id=f"truth {number}", stream="dock", status=Status.FAIL if fails else Status.PASS,
        score=TruthScore(
            model="v3", measure=Measure.CORRECT, now=0.5 if fails else 0.9, reference=0.92, rows=10, decayed=fails,
            healed_as=healed_as,
        ),
        drift_score=0.6, p_value=0.01, distance=0.4, bound=0.1, start=10 * number, stop=10 * number + 10,
        taken_from=begins, taken_to=begins + lasts, moments=tuple(np.linspace(begins, begins + lasts, 11).tolist()),
        drifted=drifted, failing_since=10 * first if fails else None, failing_from=10.0 * first if fails else None,
        confirmed=confirmed, worst_frames=(WorstFrame(source="/a.mp4", time=float(number), distance=0.9),),
    )  # fmt: skip
