"""Versions of a model, holds, and reports of retrainings."""

from __future__ import annotations

from pydantic import Field

from common.contracts.conditions import ConditionRecord
from common.contracts.stored import Fields, StoredMessage


class ChampionRecord(StoredMessage):
    """One version in a model's append-only history, with the conditions that it is proved on."""

    model: str
    version: int = Field(ge=1)
    model_path: str | None = Field(description="folder of the model's weights; None: a version of before 0.3 had none")
    model_digest: str | None = Field(description="of those weights; None: a version of before 0.3")
    parent: int | None = Field(description="version that it replaced")
    reason: str
    gain_db: float | None = Field(description="gain over its parent on drifted footage, dB")
    loss_db: float | None = Field(description="loss against its parent on golden footage, dB")
    lost_db: float = Field(
        0.0, ge=0, description="what promotions have lost on golden footage since the first champion, together, dB"
    )
    created_at: float = Field(description="seconds since the epoch")
    decision: str | None = Field(
        None, description="folder with the evidence of the gate's decision for its weights; None: the gate made none"
    )
    decision_digest: str | None = Field(None, description="of that decision; None: there is none")
    conditions: tuple[ConditionRecord, ...] = Field((), description="drifted footage that it is proved on")
    ended: tuple[ConditionRecord, ...] = Field(
        (),
        description="conditions that expired or that it is not proved on; they match nothing, and are remembered so "
        "that a fault that grows is not learned step by step",
    )

    @classmethod
    def from_format_2(cls, fields: Fields) -> Fields:
        """Before 0.3 a promotion also replaced the baseline; now no promotion does, and those names are gone."""
        gone = {"baseline_path", "baseline_id", "origin_id"}
        return {"model_digest": None, **{name: value for name, value in fields.items() if name not in gone}}


class Hold(StoredMessage):
    """Retraining of a model is suspended: a person chose the champion, and has not released the model yet."""

    model: str
    version: int = Field(ge=1, description="the version that was made for the person's choice")
    reason: str
    since: float = Field(description="seconds since the epoch")


class RetrainReport(StoredMessage):
    """Progress or outcome of a retraining."""

    model: str
    stage: str
    progress: float = Field(ge=0, le=1)
    detail: str
    incidents: tuple[str, ...] = Field((), description="ids of the incidents that it works on")
    step: int | None = Field(None, description="of the training; None: none is running")
    loss: float | None = Field(None, description="of that step; minus the score, dB")
    check_db: float | None = Field(
        None, description="score on the examples that tell when to stop, dB; None: there are none"
    )

    @classmethod
    def from_format_2(cls, fields: Fields) -> Fields:
        """Before 0.3 a retraining merged FAILs, which it counted; now it works on incidents."""
        return {name: value for name, value in fields.items() if name != "merged_fails"}
