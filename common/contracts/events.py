"""Events on the Stream `sentinel:events`: one class per type of event, with its own fields.

An entry of the Stream has the fields `id`, `type`, `time`, `stream`, `model`, and
`data`, which is the JSON of the one message that the event is about. `read`
converts an entry to its class, `to_fields` converts it back.

To add an event, name its type in `EventType`, write its class, and add the class
to `_CLASSES`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from enum import StrEnum
from typing import ClassVar, Literal, Self
from urllib.parse import quote

from pydantic import Field, ValidationError

from common.contracts.batches import BatchReport
from common.contracts.conditions import ConditionRecord
from common.contracts.ids import Message, content_id, describe
from common.contracts.incidents import Incident
from common.contracts.models import ChampionRecord, RetrainReport
from common.contracts.truth import TruthVerdict
from common.contracts.verdicts import ResolutionChange, Verdict
from common.errors import BadMessage

FRAME_EVENT = "io.sentinel.frame.v1"
"""Type of the events that cameras write to `sentinel:ingest`. A file named by two such events counts as two frames."""
SOURCE_EVENT = "io.sentinel.source.v1"
"""Type of the events that name a whole source by `dataref`. Equal content counts once, however many events name it."""


def event_key(source: str, event_id: str) -> str:
    """Return what makes a camera's event this one and no other: its source and id, as CloudEvents says."""
    return f"{source}\n{event_id}"


def source_offer(stream: str, event_id: str, event_type: str, dataref: str) -> dict[str, str]:
    """Return the fields of an entry of `sentinel:ingest`: a camera event of `stream` that names a source."""
    return {
        "specversion": "1.0",
        "id": event_id,
        "source": f"/cameras/{quote(stream)}",
        "type": event_type,
        "dataref": dataref,
    }


class EventType(StrEnum):
    """Types of entries on the Stream `sentinel:events`."""

    VERDICT_PASS = "io.sentinel.verdict.pass.v1"
    VERDICT_FAIL = "io.sentinel.verdict.fail.v1"
    BATCH_COMPLETE = "io.sentinel.batch.complete.v1"
    STREAM_CHECKED = "io.sentinel.stream.checked.v1"
    STREAM_RESOLUTION = "io.sentinel.stream.resolution.v1"
    RETRAIN_STARTED = "io.sentinel.retrain.started.v1"
    RETRAIN_PROGRESS = "io.sentinel.retrain.progress.v1"
    CHAMPION_PROMOTED = "io.sentinel.champion.promoted.v1"
    CHALLENGER_REJECTED = "io.sentinel.challenger.rejected.v1"
    CONDITION_DROPPED = "io.sentinel.condition.dropped.v1"
    TRUTH_JUDGED = "io.sentinel.truth.judged.v1"
    INCIDENT_OPENED = "io.sentinel.incident.opened.v1"
    INCIDENT_CHANGED = "io.sentinel.incident.changed.v1"
    INCIDENT_CLOSED = "io.sentinel.incident.closed.v1"


class StreamCheck(Message):
    """What the daily check found for one stream."""

    stream: str
    state: str = Field(description="PASS, FAIL, SILENT or NO_WINDOW")
    hours_since_last_frame: float
    pending_chunks: int
    drift_score: float | None


class ResolutionNotice(Message):
    """That the pictures of a stream have another size than golden's since a window, or golden's again."""

    stream: str
    baseline: str
    resolution: ResolutionChange | None = Field(description="None: the pictures have the golden size again")
    position: int = Field(description="of the first frame of that window")


class Event(Message):
    """Base of all events. `entry_id` is the id of the Stream's entry, set when the event is read."""

    id: str
    type: EventType
    time: float = Field(description="when it was announced, seconds since the epoch")
    stream: str = Field(description="the stream that it is about; empty if it is about a model")
    model: str
    entry_id: str = ""

    subject: ClassVar[str]
    """Name of the field with the message that the event is about."""

    @property
    def message(self) -> Message:
        """The message that the event is about."""
        message: Message = getattr(self, self.subject)
        return message

    @classmethod
    def about(cls, message: Message, *, model: str, stream: str = "", key: str | None = None) -> Self:
        """Return an event about `message`, with the current time.

        With a `key` the id is derived from type, key, stream and model, so that an
        event that is announced again has the same id. Without a `key` every event
        has an id of its own.
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
    """Every chunk of a batch has entered its stream's window, or was given up."""

    type: Literal[EventType.BATCH_COMPLETE] = EventType.BATCH_COMPLETE
    report: BatchReport
    subject: ClassVar[str] = "report"


class StreamChecked(Event):
    """Result of the daily check of a stream."""

    type: Literal[EventType.STREAM_CHECKED] = EventType.STREAM_CHECKED
    check: StreamCheck
    subject: ClassVar[str] = "check"


class ResolutionChanged(Event):
    """The pictures of a stream have another size than before; announced once per change."""

    type: Literal[EventType.STREAM_RESOLUTION] = EventType.STREAM_RESOLUTION
    notice: ResolutionNotice
    subject: ClassVar[str] = "notice"

    @classmethod
    def between(cls, before: ResolutionChange | None, verdict: Verdict, model: str) -> ResolutionChanged | None:
        """Return the event about a verdict whose pictures have another size than those of the window before it; None
        if they have the same.

        Golden footage may have several sizes, of which a verdict names that of the clip most like its window: another
        one of them is no change of the pictures.

        Parameters
        ----------
        before : what the verdict before said; None: it said golden's size, or there was none
        """
        if (verdict.resolution and verdict.resolution.now) == (before and before.now):
            return None
        notice = ResolutionNotice(
            stream=verdict.stream, baseline=verdict.baseline, resolution=verdict.resolution, position=verdict.start
        )
        return cls.about(notice, model=model, stream=verdict.stream, key=verdict.id)


class RetrainStarted(Event):
    type: Literal[EventType.RETRAIN_STARTED] = EventType.RETRAIN_STARTED
    report: RetrainReport
    subject: ClassVar[str] = "report"


class RetrainProgressed(Event):
    type: Literal[EventType.RETRAIN_PROGRESS] = EventType.RETRAIN_PROGRESS
    report: RetrainReport
    subject: ClassVar[str] = "report"


class ChallengerRejected(Event):
    """A retraining ended without a new champion; `report.detail` gives the reason."""

    type: Literal[EventType.CHALLENGER_REJECTED] = EventType.CHALLENGER_REJECTED
    report: RetrainReport
    subject: ClassVar[str] = "report"


class ChampionPromoted(Event):
    """A model has a new champion: by a retraining, by hand, or by a rollback."""

    type: Literal[EventType.CHAMPION_PROMOTED] = EventType.CHAMPION_PROMOTED
    champion: ChampionRecord
    subject: ClassVar[str] = "champion"


class ConditionDropped(Event):
    """A champion is no longer proved on a condition: it expired, was rolled back, or its stream changed."""

    type: Literal[EventType.CONDITION_DROPPED] = EventType.CONDITION_DROPPED
    condition: ConditionRecord
    subject: ClassVar[str] = "condition"


class TruthJudged(Event):
    """A window of truth was judged: how a model of a user's own did on frames whose labels are known."""

    type: Literal[EventType.TRUTH_JUDGED] = EventType.TRUTH_JUDGED
    verdict: TruthVerdict
    subject: ClassVar[str] = "verdict"


class IncidentOpened(Event):
    """An incident was opened, or opened again more than a day after it was closed."""

    type: Literal[EventType.INCIDENT_OPENED] = EventType.INCIDENT_OPENED
    incident: Incident
    subject: ClassVar[str] = "incident"


class IncidentChanged(Event):
    """An incident's state, cause or actions changed, or it was reopened within a day."""

    type: Literal[EventType.INCIDENT_CHANGED] = EventType.INCIDENT_CHANGED
    incident: Incident
    subject: ClassVar[str] = "incident"


class IncidentClosed(Event):
    type: Literal[EventType.INCIDENT_CLOSED] = EventType.INCIDENT_CLOSED
    incident: Incident
    subject: ClassVar[str] = "incident"


_CLASSES: dict[EventType, type[Event]] = {
    EventType(event.model_fields["type"].default): event
    for event in (
        WindowPassed,
        WindowFailed,
        BatchCompleted,
        StreamChecked,
        ResolutionChanged,
        RetrainStarted,
        RetrainProgressed,
        ChallengerRejected,
        ChampionPromoted,
        ConditionDropped,
        TruthJudged,
        IncidentOpened,
        IncidentChanged,
        IncidentClosed,
    )
}


def read(entry_id: str, fields: Mapping[str, str]) -> Event:
    """Return the event in an entry of the Stream.

    Raises
    ------
    BadMessage
        If the entry is not a valid event.
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
