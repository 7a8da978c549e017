"""What is announced on `sentinel:events`, and the type of the events that cameras write."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from common.contracts.ids import Message

FRAME_EVENT = "io.sentinel.frame.v1"
"""Type of the events that cameras write to `sentinel:ingest`: one named twice by two events is two frames."""
SOURCE_EVENT = "io.sentinel.source.v1"
"""Type of the events that name a whole source by `dataref`: whoever names it, the same content is counted once."""


class EventType(StrEnum):
    """Types of entries on the Stream `sentinel:events`."""

    VERDICT_PASS = "io.sentinel.verdict.pass.v1"
    VERDICT_FAIL = "io.sentinel.verdict.fail.v1"
    BATCH_COMPLETE = "io.sentinel.batch.complete.v1"
    STREAM_CHECKED = "io.sentinel.stream.checked.v1"
    RETRAIN_STARTED = "io.sentinel.retrain.started.v1"
    RETRAIN_PROGRESS = "io.sentinel.retrain.progress.v1"
    CHAMPION_PROMOTED = "io.sentinel.champion.promoted.v1"
    CHALLENGER_REJECTED = "io.sentinel.challenger.rejected.v1"


class Event(Message):
    """One entry of `sentinel:events`. `entry_id` is the Stream's own id, set when read."""

    id: str
    type: EventType
    time: float = Field(description="seconds since the epoch")
    stream: str = Field(description="the stream that it is about; empty where it is about a model")
    model: str
    data: str = Field(description="JSON of the message that the type names")
    entry_id: str = ""


class StreamCheck(Message):
    """What the daily check found: the data of a STREAM_CHECKED event."""

    stream: str
    state: str = Field(description="PASS, FAIL, SILENT or NO_WINDOW")
    hours_since_last_frame: float
    pending_chunks: int
    drift_score: float | None
