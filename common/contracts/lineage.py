"""Who serves a model, who did, and in what two of its versions differ."""

from __future__ import annotations

from pydantic import Field

from common.contracts.conditions import ConditionRecord
from common.contracts.decisions import DecisionRecord
from common.contracts.ids import Message
from common.contracts.models import ChampionRecord, RetrainReport


class Roles(Message):
    """The parts that versions of a model play now."""

    champion: int = Field(description="version that serves")
    previous: int | None = Field(description="version that a rollback would make champion; None: there is none")
    challenger: RetrainReport | None = Field(description="the retraining that makes one now; None: none is running")
    decided: DecisionRecord | None = Field(
        description="what became of the latest challenger; None: there was none, or it cannot be read"
    )
    evidence: str | None = Field(description="folder of that decision")
    unreadable: str = Field("", description="why that decision cannot be read; empty: it can, or there is none")


class Reign(Message):
    """That a version was champion at a moment."""

    at: float = Field(description="the moment, seconds since the epoch")
    champion: ChampionRecord = Field(description="with its conditions as they were when it was replaced, or are now")
    until: float | None = Field(description="when it was replaced, seconds since the epoch; None: it is champion now")


class LayerChange(Message):
    """How much one layer of a model differs from that of another version, relative to the size of its weights."""

    layer: str
    mean: float = Field(description="mean absolute difference, in root mean squares of the older version's weights")
    largest: float = Field(description="largest absolute difference, in the same unit")


class VersionDiff(Message):
    """In what two versions of a model differ, from the older to the newer."""

    model: str
    old: ChampionRecord
    new: ChampionRecord
    same_weights: bool = Field(description="whether the digests of their weights are equal")
    decision: DecisionRecord | None = Field(
        description="of the gate about the newer one's weights; None: it made none, or it cannot be read"
    )
    layers: tuple[LayerChange, ...] = Field((), description="that differ; none if its kind cannot say")
    gained: tuple[ConditionRecord, ...] = Field(description="conditions that the newer one alone is proved on")
    kept: tuple[ConditionRecord, ...] = Field(description="that both are proved on, as the newer one's record has them")
    lost: tuple[ConditionRecord, ...] = Field(description="that the older one alone is proved on")
    unknown: tuple[str, ...] = Field((), description="what cannot be said, and why")
