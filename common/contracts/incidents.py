"""Incidents: what a person may have to know of one stream, from its beginning to its end."""

from __future__ import annotations

import json
from enum import StrEnum

from pydantic import Field, model_validator

from common.contracts.ids import Message, StreamName
from common.contracts.model_scores import ModelScore
from common.contracts.stored import Fields, StoredMessage
from common.contracts.truth import TruthScore, TruthVerdict
from common.contracts.verdicts import Cause, WorstFrame

_WEEK_SECONDS = 7 * 86_400.0


class IncidentState(StrEnum):
    FAILING = "failing"
    """Windows fail, and a confirmed run of them began the incident or goes on."""
    HEALED = "healed"
    """Windows fail the golden baseline, but match conditions of the champion: the camera still wants a hand."""
    OFFLINE = "offline"
    """No footage comes, for longer than is usual for the stream."""
    CLOSED = "closed"


class ActionKind(StrEnum):
    RETRAIN = "retrain"
    """The champion was proved on its footage, or a challenger was trained on it."""
    ROLLBACK = "rollback"
    ACKNOWLEDGE = "acknowledge"
    ACCEPT = "accept"
    UNDO = "undo"
    MUTE = "mute"
    ALERT = "alert"
    """People were told."""


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
    """A confirmed departure of one stream from its golden baseline, its silence, or what is true of its frames: that a
    model does worse on them.

    Times are capture times where there are any; a silence has those of the wall clock, and no windows.
    """

    id: str
    stream: StreamName
    model: str
    golden_id: str = Field(
        description="digest of the golden baseline that its latest window departs from; empty: silence, or truth"
    )
    state: IncidentState
    cause: Cause = Field(
        description="the most frequent cause of its latest windows: of its FAILs while it fails, of its matches while "
        "it is healed"
    )
    causes: dict[Cause, int] = Field(description="windows by cause")
    since: int = Field(ge=0, description="position of its first frame in the stream, in sampled frames")
    since_time: float = Field(
        description="capture time of that frame, seconds since the epoch; of a silence, when the last batch before it "
        "was accepted"
    )
    opened_at: float = Field(
        description="capture time of the window that confirmed it; of a silence, when it was noticed"
    )
    latest_at: float = Field(
        description="capture time of its latest window that failed the golden baseline; of a silence, when it was "
        "noticed last"
    )
    failed_windows: int = Field(0, ge=0)
    matched_windows: int = Field(0, ge=0, description="windows that matched a condition")
    passes: int = Field(0, ge=0, description="windows in a row that pass the golden baseline by now")
    occurrences: tuple[float, ...] = Field(
        description="when it was opened and each time reopened, capture times; the latest ones"
    )
    worst_frames: tuple[WorstFrame, ...] = ()
    model_score: ModelScore | None = Field(
        None, description="how the model did in its latest window of which that is known: whether it copes"
    )
    by_truth: bool = Field(
        False,
        description="whether what is true of its frames says it, and not footage: it is about the model, and has no "
        "evidence; its windows are those of truth",
    )
    truth: TruthScore | None = Field(
        None, description="how the model did in the latest window of truth about these frames"
    )
    windows: tuple[IncidentWindow, ...] = Field((), description="the latest windows with evidence, oldest first")
    actions: tuple[Action, ...] = ()
    acknowledged_by: str | None = Field(None, description="who has seen its latest occurrence; None: nobody yet")
    muted: bool = Field(
        False, description="whether it was opened or reopened while its stream was muted, and not announced since"
    )
    closed_at: float | None = None
    ended: str = Field("", description="how it ended; empty while it is open")

    @property
    def is_of_footage(self) -> bool:
        """Whether windows of footage departed from the golden baseline: it is no silence, and not of truth."""
        return not self.by_truth and self.cause is not Cause.OFFLINE

    @property
    def is_of_user(self) -> bool:
        """Whether it is about a model that Sentinel cannot retrain."""
        return self.by_truth and (self.truth is None or not self.truth.healed_as)

    def covers(self, at: float) -> bool:
        """Return whether a time, in seconds since the epoch, is within it: while it is open, it goes on."""
        return self.since_time <= at and (self.state is not IncidentState.CLOSED or at <= self.latest_at)

    @property
    def times_this_week(self) -> int:
        """How often it was opened or reopened within the seven days that end with the latest time."""
        return sum(self.occurrences[-1] - at < _WEEK_SECONDS for at in self.occurrences)


class RunWindow(Message):
    """A window that fails the golden baseline, in a run of such windows that is not confirmed yet."""

    window: IncidentWindow
    golden_id: str = Field(description="digest of the golden baseline that it departs from")
    taken_from: float = Field(description="capture time of its first frame, seconds since the epoch")
    taken_to: float = Field(description="capture time of its last frame")
    worst_frames: tuple[WorstFrame, ...]


class IncidentLog(StoredMessage):
    """What a stream's incidents have come to: the state that `common.drift.incidents` moves from verdict to verdict.

    At most one open incident of footage is failing, at most one is of truth, and at most one is offline; there may be a
    healed one for each cause beside.
    """

    open: tuple[Incident, ...] = ()
    closed: tuple[Incident, ...] = Field((), description="the latest ones, which can be reopened; oldest first")
    run: tuple[RunWindow, ...] = Field((), description="the latest windows of the run that is not confirmed yet")
    applied: tuple[str, ...] = Field((), description="ids of the latest notes that were applied")

    def knows(self, incident: str) -> bool:
        """Return whether there is an incident of this id."""
        return any(known.id == incident for known in (*self.open, *self.closed))

    @classmethod
    def from_format_3(cls, fields: Fields) -> Fields:
        """Return the fields with the incidents in it, which carry formats of their own, as this version has them."""
        of_now = {name: [Incident.from_json(json.dumps(row)) for row in fields[name]] for name in ("open", "closed")}
        return {**fields, **of_now}


class NoteKind(StrEnum):
    ACTION = "action"
    """Something was done about an incident, or came to an end: the note's action replaces the one of the same id."""
    CLOSE = "close"
    """An incident ends by a person's word (acceptance), or because its silence is not asked about any more."""
    SILENCE = "silence"
    """The stream is silent for longer than is usual for it."""
    TRUTH = "truth"
    """A window of truth was judged."""


class Silence(Message):
    """What the sweep found of a stream from which nothing comes. Times are those of the wall clock."""

    since: float = Field(description="when its last batch was accepted, seconds since the epoch")
    noticed_at: float
    model: str = Field(description="that serves the stream")


class IncidentNote(StoredMessage):
    """A note in a stream's inbox, which the reducer applies to the stream's incident in its one step.

    There is a `silence` in one of kind `silence`, a `truth` in one of kind `truth`, and an `action` in every other.
    """

    id: str = Field(description="a note that comes again with the same id changes nothing")
    stream: StreamName
    kind: NoteKind
    incident: str | None = Field(description="id of the incident; None: every one that is open now")
    action: Action | None = None
    silence: Silence | None = None
    truth: TruthVerdict | None = None

    @model_validator(mode="after")
    def _says_what_its_kind_promises(self) -> IncidentNote:
        wanted = {NoteKind.SILENCE: "silence", NoteKind.TRUTH: "truth"}.get(self.kind, "action")
        said = [name for name in ("action", "silence", "truth") if getattr(self, name) is not None]
        if said != [wanted]:
            raise ValueError(f"a note of kind {self.kind} has its {wanted}, and nothing else")
        return self
