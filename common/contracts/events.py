"""What is announced on `sentinel:events`: one class per event, with its own fields.

On the Stream an event is flat: `id`, `type`, `time`, `stream`, `model`, and
`data`, the JSON of the one message that the event is about. `read` turns an
entry into its class, `to_fields` turns it back.

To add an event, name its type in `EventType`, write its class, and add the class
to `_CLASSES`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from enum import StrEnum
from typing import ClassVar, Literal, Self

from pydantic import Field, ValidationError

from common.contracts.batches import BatchReport
from common.contracts.ids import Message, content_id, describe
from common.contracts.models import ChampionRecord, RetrainReport
from common.contracts.verdicts import Verdict
from common.errors import BadMessage

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


class StreamCheck(Message):
    """What the daily check found of one stream."""

    stream: str
    state: str = Field(description="PASS, FAIL, SILENT or NO_WINDOW")
    hours_since_last_frame: float
    pending_chunks: int
    drift_score: float | None


class Event(Message):
    """What every event has. `entry_id` is the Stream's own id, set when it is read."""

    id: str
    type: EventType
    time: float = Field(description="when it was announced, seconds since the epoch")
    stream: str = Field(description="the stream that it is about; empty where it is about a model")
    model: str
    entry_id: str = ""

    subject: ClassVar[str]
    """Name of the field that holds the message that the event is about."""

    @property
    def message(self) -> Message:
        """The message that the event is about."""
        message: Message = getattr(self, self.subject)
        return message

    @classmethod
    def about(cls, message: Message, *, model: str, stream: str = "", key: str | None = None) -> Self:
        """Return the event about `message`, announced now.

        With a `key` the id is a function of the content, so that an event that is
        announced again is recognised; without one every event is another.
        """
        now = time.time()
        kind = EventType(cls.model_fields["type"].default)
        event_id = content_id(kind, key if key is not None else now, stream, model)
        return cls.model_validate({"id": event_id, "time": now, "stream": stream, "model": model, cls.subject: message})

    def to_fields(self) -> dict[str, str]:
        """Return the event as the flat fields of a Stream entry."""
        return {
            "id": self.id,
            "type": self.type.value,
            "time": repr(self.time),
            "stream": self.stream,
            "model": self.model,
            "data": self.message.to_json(),
        }


class WindowPassed(Event):
    type: Literal[EventType.VERDICT_PASS] = EventType.VERDICT_PASS
    verdict: Verdict
    subject: ClassVar[str] = "verdict"


class WindowFailed(Event):
    type: Literal[EventType.VERDICT_FAIL] = EventType.VERDICT_FAIL
    verdict: Verdict
    subject: ClassVar[str] = "verdict"


class BatchCompleted(Event):
    """All frames of a batch have entered their stream's windows, or were given up."""

    type: Literal[EventType.BATCH_COMPLETE] = EventType.BATCH_COMPLETE
    report: BatchReport
    subject: ClassVar[str] = "report"


class StreamChecked(Event):
    """The daily check looked at a stream."""

    type: Literal[EventType.STREAM_CHECKED] = EventType.STREAM_CHECKED
    check: StreamCheck
    subject: ClassVar[str] = "check"


class RetrainStarted(Event):
    type: Literal[EventType.RETRAIN_STARTED] = EventType.RETRAIN_STARTED
    report: RetrainReport
    subject: ClassVar[str] = "report"


class RetrainProgressed(Event):
    type: Literal[EventType.RETRAIN_PROGRESS] = EventType.RETRAIN_PROGRESS
    report: RetrainReport
    subject: ClassVar[str] = "report"


class ChallengerRejected(Event):
    """A retraining ended without a new champion; the report says why."""

    type: Literal[EventType.CHALLENGER_REJECTED] = EventType.CHALLENGER_REJECTED
    report: RetrainReport
    subject: ClassVar[str] = "report"


class ChampionPromoted(Event):
    """A model has another champion: by a retraining, by hand, or by a rollback."""

    type: Literal[EventType.CHAMPION_PROMOTED] = EventType.CHAMPION_PROMOTED
    champion: ChampionRecord
    subject: ClassVar[str] = "champion"


_CLASSES: dict[EventType, type[Event]] = {
    EventType(event.model_fields["type"].default): event
    for event in (
        WindowPassed,
        WindowFailed,
        BatchCompleted,
        StreamChecked,
        RetrainStarted,
        RetrainProgressed,
        ChallengerRejected,
        ChampionPromoted,
    )
}


def read(entry_id: str, fields: Mapping[str, str]) -> Event:
    """Return the event that an entry of the Stream holds.

    Raises
    ------
    BadMessage
        If the entry is not one that a process of Sentinel writes.
    """
    try:
        event = _CLASSES[EventType(fields["type"])]
        message = event.model_fields[event.subject].annotation
        if not isinstance(message, type) or not issubclass(message, Message):
            raise BadMessage(f"event {event.__name__} is about no message")
        about = {name: value for name, value in fields.items() if name != "data"}
        return event.model_validate({**about, event.subject: message.from_json(fields["data"]), "entry_id": entry_id})
    except ValidationError as error:
        raise BadMessage(f"entry {entry_id} is not an event: {describe(error)}") from error
    except (KeyError, ValueError) as error:
        raise BadMessage(f"entry {entry_id} is not an event: {error!r}") from error
