"""A person's word about what is normal: accepted golden baselines, their history, and mutes."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from common.contracts.ids import Message, StreamName
from common.contracts.stored import StoredMessage
from common.contracts.verdicts import Cause


class GoldenChange(StrEnum):
    """What a person did to a stream's golden baseline."""

    ACCEPTED = "accepted"
    """The present became the new normal."""
    UNDONE = "undone"
    """An acceptance was taken back: the golden baseline that it had replaced is golden again."""


class GoldenRecord(StoredMessage):
    """One entry of a stream's append-only history of golden baselines; the latest says which one is golden now.

    All of it holds over one golden baseline of the settings, `origin_id`. Once the
    stream's table or SENTINEL_BASELINE names another one, or that one is rebuilt,
    the latter is golden and the history stays as history.
    """

    stream: StreamName
    number: int = Field(ge=1, description="position in the stream's history")
    change: GoldenChange
    by: str = Field(description="the person who did it")
    at: float = Field(description="seconds since the epoch")
    why: str
    origin_id: str = Field(description="digest of the golden baseline of the stream's table, or of SENTINEL_BASELINE")
    folder: str | None = Field(description="folder of what is golden from now on; None: the one of the settings")
    baseline_id: str = Field(description="digest of what is golden from now on")
    replaced_folder: str | None = Field(
        description="folder of what was golden until now; None: the one of the settings"
    )
    replaced_id: str = Field(description="digest of what was golden before")
    undoes: int | None = Field(None, description="number of the acceptance that is taken back")
    incidents: tuple[str, ...] = Field((), description="ids of the incidents whose footage was accepted")
    causes: dict[Cause, int] = Field(default_factory=dict, description="what the judge named on it, in windows")
    frames: int = Field(0, ge=0, description="sampled frames that the accepted baseline was fitted to")


class Owner(Message):
    """Whose an accepted baseline is; it lies beside the baseline, so that no other stream is judged by it."""

    stream: StreamName


class WaitingStream(Message):
    """A stream that footage came for and that cannot be judged, because it has no usable golden baseline."""

    stream: str
    reason: str = Field(description="why, and what to do")
    since: float = Field(description="seconds since the epoch")


class Mute(Message):
    """A stream's incidents are not announced for a time; they are opened and closed as always."""

    until: float = Field(description="seconds since the epoch")
    by: str
    at: float = Field(description="when it was muted, seconds since the epoch")
