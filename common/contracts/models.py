"""Versions of a model, and how a retraining goes."""

from __future__ import annotations

from pydantic import Field

from common.contracts.ids import Message
from common.contracts.stored import StoredMessage


class ChampionRecord(StoredMessage):
    """One version in a model's append-only history. Model and baseline are switched together."""

    model: str
    version: int = Field(ge=1)
    baseline_path: str = Field(description="folder of the baseline that its streams are judged by")
    baseline_id: str
    model_path: str | None = Field(description="folder of the model's weights; None: as it was built")
    origin_id: str = Field(description="digest of the golden baseline that this line of champions started from")
    parent: int | None = Field(description="version that it replaced")
    reason: str
    gain_db: float | None = Field(description="gain over its parent on drifted footage, dB PSNR")
    loss_db: float | None = Field(description="loss against its parent on golden footage, dB PSNR")
    created_at: float


class Hold(StoredMessage):
    """Retraining of a model is stopped: a person chose the champion, and has not released it yet."""

    model: str
    version: int = Field(ge=1, description="the version that the person's choice became")
    reason: str
    since: float = Field(description="seconds since the epoch")


class RetrainReport(Message):
    """Where a retraining stands or how it ended."""

    model: str
    stage: str
    progress: float = Field(ge=0, le=1)
    detail: str
    merged_fails: int = Field(ge=0)
