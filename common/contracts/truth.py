"""What is true of frames: rows of a truth feed, by which a model of a user's own is judged, and what they show."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from common.contracts.ids import Message, StreamName
from common.contracts.stored import StoredMessage
from common.contracts.verdicts import Status, WorstFrame

LARGEST = 1e9
"""Of a loss or of a number in a prediction; far from where the statistics' floats lose their digits."""


class Measure(StrEnum):
    """How right a prediction is. Scores of different measures are never compared."""

    CORRECT = "correct"
    """A class, or a number that stands for one: 1 if the prediction is the label, else 0."""
    ERROR = "error"
    """Lists of numbers: minus their mean absolute difference."""
    LOSS = "loss"
    """Minus the loss that was handed in, in whatever unit it has."""


class TruthRow(Message):
    """How right the prediction for one frame was."""

    id: str = Field(description="content id of what its writer calls it, by which it counts once")
    taken_at: float = Field(description="when the frame was taken, seconds since the epoch")
    score: float = Field(ge=-LARGEST, le=LARGEST, description="larger is better, see `Measure`")
    frame: str = Field(description="source of the frame, as its writer names it")
    at: float = Field(ge=0, description="seconds from the start of that source")


class TruthScore(Message):
    """How a model does on frames whose labels are known, beside its reference."""

    model: str = Field(description="version of the model, as its user says; empty: they say none")
    measure: Measure
    now: float = Field(description="mean score of the window")
    reference: float = Field(description="mean score of the reference")
    rows: int = Field(ge=1, description="of the window")
    decayed: bool = Field(description="whether it does surely worse than in the reference")
    healed_as: str = Field(
        description="name of the kind of model that Sentinel retrains for the stream; empty: it cannot retrain this one"
    )

    @property
    def sentence(self) -> str:
        """Whether the model copes, with the figures."""
        copes = "the model does worse" if self.decayed else "the model copes"
        version = f", model {self.model}" if self.model else ""
        if self.measure is Measure.CORRECT:
            return f"{copes}: right on {self.now:.0%} of {self.rows} frames, reference {self.reference:.0%}{version}"
        name = "loss" if self.measure is Measure.LOSS else "error"
        return f"{copes}: {name} {-self.now:.4g} on {self.rows} frames, reference {-self.reference:.4g}{version}"


class TruthVerdict(StoredMessage):
    """A judgement of one window of truth: it says nothing of the footage, and nothing passes because of it."""

    id: str
    stream: StreamName
    status: Status
    score: TruthScore
    drift_score: float = Field(ge=0, le=1)
    p_value: float = Field(ge=0, le=1, description="of the KS test")
    distance: float = Field(
        ge=0, description="Wasserstein distance of what fell below the reference, in the score's unit"
    )
    bound: float = Field(ge=0, description="the distance that the reference's own variation explains")
    start: int = Field(ge=0, description="number of the window's first row among those that were judged")
    stop: int = Field(gt=0)
    taken_from: float = Field(description="when its earliest frame was taken, seconds since the epoch")
    taken_to: float
    moments: tuple[float, ...] = Field(
        min_length=1, description="when frames of it were taken, at even ranks, the earliest and the latest among them"
    )
    drifted: bool = Field(
        description="whether incidents that were known then covered at least half of it: it is no evidence of decay"
    )
    failing_since: int | None = Field(None, description="number of the first row of the first FAIL since the last PASS")
    failing_from: float | None = Field(None, description="when the earliest frame of that FAIL was taken")
    confirmed: bool = Field(
        False, description="whether such a run of FAILs comes by chance at most SENTINEL_FALSE_ALARMS_PER_DAY times"
    )
    worst_frames: tuple[WorstFrame, ...]


class TruthProgress(StoredMessage):
    """How far the truth of one version of a model on one stream is."""

    model: str
    measure: Measure
    reference_rows: int = Field(0, ge=0, description="rows of the reference; 0: it is not made yet")
    reference_from: float | None = Field(None, description="when the earliest frame of the reference was taken")
    reference_to: float | None = None
    judged_rows: int = Field(0, ge=0)
    refused_rows: int = Field(0, ge=0, description="that could not become reference, because the stream failed then")
    last: TruthVerdict | None = None
    waiting_rows: int = Field(0, ge=0, description="neither reference nor judged yet")

    @property
    def sentence(self) -> str:
        """How far it is, and what the last window said."""
        name = f"model {self.model}, " if self.model else ""
        if not self.reference_rows:
            refused = f", {self.refused_rows} refused because the stream failed then" if self.refused_rows else ""
            return f"{name}{self.measure}: {self.waiting_rows} rows towards a reference{refused}"
        counts = f"reference of {self.reference_rows} rows, {self.judged_rows} judged, {self.waiting_rows} wait"
        counts = f"{name}{self.measure}: {counts}"
        return f"{counts}; {self.last.status}, {self.last.score.sentence}" if self.last else counts
