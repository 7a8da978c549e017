"""What the gate decided, and on what evidence: kept as JSON beside the versions of a model."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from common.contracts.ids import Message
from common.contracts.stored import StoredMessage


class GateOutcome(StrEnum):
    """What becomes of a challenger."""

    PROMOTED = "promoted"
    REFUSED = "refused"
    INCONCLUSIVE = "inconclusive"
    """The champion stays, and later footage may say more."""


class FootageEvidence(Message):
    """What was found on the held-out examples of one piece of footage. Differences are the challenger's score minus the
    champion's; fortunes are those of `common.models.betting`, from 1 at the start."""

    name: str
    finding: str = Field(description="above, below or open: the mean difference against `least_db`")
    examples: int = Field(description="that were scored")
    looked_at: int = Field(description="examples until the bets decided, or all that fill a block")
    block: int = Field(description="examples in a block")
    gain_db: float = Field(description="mean difference, dB")
    least_db: float = Field(description="what it is held against, dB")
    worst_db: float = Field(description="mean difference of the worst 5% of examples, dB")
    for_it: tuple[float, ...] = Field(description="fortune of the bets that it is above, after each block")
    against_it: tuple[float, ...] = Field(description="fortune of the bets that it is below, after each block")
    needed: float = Field(description="fortune needed to say above")
    over_reference: str = Field(description="challenger against the strongest untrained predictor")
    digest: str = Field(description="of the examples")


class DecisionRecord(StoredMessage):
    """One decision of the gate."""

    model: str
    number: int = Field(ge=1, description="the how manieth decision about this model it is")
    outcome: GateOutcome
    reason: str
    made_at: float = Field(description="seconds since the epoch")
    champion: int = Field(description="version that the challenger was compared with")
    champion_digest: str | None
    challenger_digest: str
    seed: int = Field(description="of the training")
    error: float = Field(description="probability of promoting no gain that this decision may spend")
    gain_db: float
    loss_db: float
    stretches: tuple[FootageEvidence, ...]
    golden: FootageEvidence | None = Field(description="None: it could not be scored")
    conditions: tuple[FootageEvidence, ...] = Field(description="live conditions of the champion")
    champion_ms: float = Field(description="milliseconds per example")
    challenger_ms: float = Field(description="milliseconds per example, on the same examples")
    trained_on: int = Field(description="examples that the challenger was trained on")
    trained_on_digest: str
    incidents: tuple[str, ...] = Field((), description="ids of the incidents whose footage was trained on")
    cause: str = Field("", description="of that footage")
    actions: tuple[str, ...] = Field((), description="ids of the actions on these incidents that led to it")
    replayed: tuple[str, ...] = Field((), description="ids of the live conditions that were trained on beside it")
    picture: bool = Field(description="whether there is a picture of the worst, median and best examples beside it")
