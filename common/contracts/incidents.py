"""Incidents: what a person may have to know of one stream, from its beginning to its end."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from common.contracts.ids import Message, StreamName
from common.contracts.stored import StoredMessage
from common.contracts.verdicts import Cause, WorstFrame


class IncidentState(StrEnum):
    FAILING = "failing"
    """Windows fail, and a confirmed run of them began the incident or goes on."""
    HEALED = "healed"
    """Windows fail the golden baseline, but match conditions of the champion: the camera still wants a hand."""
    CLOSED = "closed"


class ActionKind(StrEnum):
    RETRAIN = "retrain"
    PROVE = "prove"
    """The champion was tried on the footage without training."""
    ROLLBACK = "rollback"
    CALL = "call"
    """A person is asked to look at the camera."""
    ACKNOWLEDGE = "acknowledge"
    ACCEPT = "accept"
    UNDO = "undo"
    MUTE = "mute"


class Action(Message):
    """Something that was done about an incident, and how it ended."""

    id: str = Field(description="equal for the beginning and the end of one action")
    kind: ActionKind
    by: str = Field(description="`sentinel`, or the person who did it")
    at: float = Field(description="when it began, seconds since the epoch")
    ended_at: float | None = None
    outcome: str = Field("", description="how it ended; empty while it runs")


class IncidentWindow(Message):
    """A window of an incident whose features are kept as evidence."""

    event_id: str = Field(description="id of the verdict's event, under which the features are kept")
    start: int = Field(ge=0, description="position of its first frame in the stream")
    stop: int = Field(gt=0)
    cause: Cause = Field(description="of its departure from the golden baseline")
    segment: str = Field(description="the golden segment that it resembles most")
    condition: str | None = Field(description="id of the condition that it matched; None: it is a FAIL")


class Incident(StoredMessage):
    """A confirmed departure of one stream from its golden baseline. Times are capture times where there are any."""

    id: str
    stream: StreamName
    model: str
    golden_id: str = Field(description="digest of the golden baseline that it departs from")
    state: IncidentState
    cause: Cause = Field(description="the most frequent cause of its latest windows")
    causes: dict[Cause, int] = Field(description="windows by cause")
    since: int = Field(ge=0, description="position of its first frame in the stream, in sampled frames")
    since_time: float = Field(description="capture time of that frame, seconds since the epoch")
    opened_at: float = Field(description="capture time of the window that confirmed it")
    latest_at: float = Field(description="capture time of its latest window that failed the golden baseline")
    failed_windows: int = Field(ge=0)
    matched_windows: int = Field(ge=0, description="windows that matched a condition")
    passes: int = Field(0, ge=0, description="windows in a row that pass the golden baseline by now")
    occurrences: tuple[float, ...] = Field(description="when it was opened and each time reopened, capture times")
    worst_frames: tuple[WorstFrame, ...]
    windows: tuple[IncidentWindow, ...] = Field((), description="the latest windows with evidence, oldest first")
    actions: tuple[Action, ...] = ()
    acknowledged_by: str | None = None
    muted: bool = Field(False, description="whether it was opened while its stream was muted, and not announced since")
    closed_at: float | None = None
    ended: str = Field("", description="how it ended; empty while it is open")


class NoteKind(StrEnum):
    ACTION = "action"
    """Something was done about an incident, or came to an end: the note's action replaces the one of the same id."""
    CLOSE = "close"
    """An incident ends by a person's word (acceptance)."""


class IncidentNote(StoredMessage):
    """A note in a stream's inbox, which the reducer applies to the stream's incident in its one step."""

    id: str
    stream: StreamName
    kind: NoteKind
    incident: str | None = Field(description="id of the incident; None: the one that is open now")
    action: Action
