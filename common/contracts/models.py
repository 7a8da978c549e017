"""Versions of a model, holds, and reports of retrainings."""

from __future__ import annotations

from pydantic import Field

from common.contracts.ids import Message
from common.contracts.stored import StoredMessage


class ChampionRecord(StoredMessage):
    """One version in a model's append-only history. A promotion switches model and baseline together."""

    model: str
    version: int = Field(ge=1)
    baseline_path: str = Field(description="folder of the baseline that its streams are judged by")
    baseline_id: str
    model_path: str | None = Field(description="folder of the model's weights; None: not retrained yet")
    origin_id: str = Field(description="digest of the golden baseline that this line of champions started from")
    parent: int | None = Field(description="version that it replaced")
    reason: str
    gain_db: float | None = Field(description="gain over its parent on drifted footage, dB PSNR")
    loss_db: float | None = Field(description="loss against its parent on golden footage, dB PSNR")
    created_at: float


class Hold(StoredMessage):
    """Retraining of a model is suspended: a person chose the champion, and has not released the model yet."""

    model: str
    version: int = Field(ge=1, description="the version that was made for the person's choice")
    reason: str
    since: float = Field(description="seconds since the epoch")


class RetrainReport(Message):
    """Progress or outcome of a retraining."""

    model: str
    stage: str
    progress: float = Field(ge=0, le=1)
    detail: str
    merged_fails: int = Field(ge=0)
