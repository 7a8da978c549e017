"""Read-only queries about streams, incidents, models, processes, events and dead letters, without any presentation."""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterable, Sequence
from enum import StrEnum
from fnmatch import fnmatchcase

from pydantic import Field

from common.contracts.dead_letters import DeadLetter, DeadLetterKind
from common.contracts.events import Event, EventType, RetrainProgressed, RetrainStarted
from common.contracts.golden import WaitingStream
from common.contracts.ids import Message
from common.contracts.incidents import Incident, IncidentState
from common.contracts.learning import LearningProgress
from common.contracts.models import Hold, RetrainReport
from common.contracts.policy import Policy, Response
from common.contracts.processes import ProcessHealth
from common.contracts.truth import TruthProgress
from common.contracts.verdicts import Cause, ResolutionChange, Status
from common.errors import BadMessage
from common.process_health import process_health
from common.processes import QUEUES
from common.store import Store
from common.store.client import without_password
from common.store.incidents import open_incidents
from common.store.streams import Window
from common.stream_learning import progress_under

_AT_ONCE = 200  # streams that are read together: Redis does nothing else meanwhile
_MOST_EVENTS_READ = 2_000  # a running retraining announces itself every few seconds
_FIRST = {Status.FAIL: 0, None: 2, Status.PASS: 3}
_OFFLINE_RANK = 1  # whatever the latest verdict was, which is an old one
_FIRST_STATE = {IncidentState.FAILING: 0, IncidentState.OFFLINE: 1, IncidentState.HEALED: 2, IncidentState.CLOSED: 3}
_PATH = re.compile(r"\S*/\S+")
_NUMBER = re.compile(r"\d+")


class OpenIncident(Message):
    """An open incident, as far as the state of its stream shows it."""

    id: str
    state: IncidentState
    cause: Cause
    since_time: float = Field(
        description="capture time of its first frame, seconds since the epoch; of a silence, when the last batch came"
    )
    times_this_week: int = Field(description="how often it was opened or reopened in seven days")
    acknowledged_by: str | None
    muted: bool


class StreamStatus(Message):
    """State of one stream."""

    stream: str
    status: Status | None = Field(description="of the latest verdict; None before the first window is full")
    drift_score: float | None
    p_value: float | None
    cause: str | None
    response: Response | None = Field(description="what the policy calls for; None on PASS")
    confirmed: bool
    frames: int = Field(description="position after the latest judged window")
    pending_chunks: int
    seconds_since_last_frame: float | None
    incidents: tuple[OpenIncident, ...] = Field(description="those that are open, the failing one first")
    provisional: bool = Field(False, description="whether the latest verdict is of an hour that is not known yet")
    resolution: ResolutionChange | None = Field(
        None, description="that the pictures of the latest verdict have another size than golden's"
    )
    learning: LearningProgress | None = Field(
        None, description="what it learns by itself; None: somebody made its baseline"
    )
    truth: tuple[TruthProgress, ...] = Field(
        (), description="how far what is true of its frames is, by version of a model of a user's own and measure"
    )


class ModelStatus(Message):
    """State of one model: its champion, and its running or next retraining."""

    model: str
    version: int = Field(description="of the champion; 0 where its record cannot be read")
    unreadable: str = Field("", description="why the champion's record cannot be read; empty: it can")
    waiting_streams: int = Field(description="streams that wait for the next retraining")
    due_at: float | None = Field(
        description="end of the cool-down, when the next retraining may start, seconds since the epoch; "
        "None: no stream waits"
    )
    held: Hold | None = Field(description="set while a person's choice of version suspends retraining")
    retraining: RetrainReport | None = Field(description="last report of the running retraining; None: none is running")


class SystemStatus(Message):
    """State of the whole system."""

    redis_url: str = Field(description="without its password")
    queues: dict[str, int] = Field(description="number of waiting tasks, by queue")
    dead_letters: int
    models: tuple[ModelStatus, ...]
    processes: tuple[ProcessHealth, ...]
    streams: tuple[StreamStatus, ...] = Field(description="streams that fail come first")
    without_baseline: tuple[WaitingStream, ...] = Field((), description="streams that wait for a golden baseline")


class IncidentChoice(StrEnum):
    """Which incidents are asked for."""

    OPEN = "open"
    """Failing, offline or healed."""
    FAILING = "failing"
    OFFLINE = "offline"
    HEALED = "healed"
    CLOSED = "closed"


class DeadLetterGroup(Message):
    """Dead letters of one kind whose reasons differ only in names and numbers."""

    kind: DeadLetterKind
    reason: str = Field(description="reason of the latest, without the name of its subject")
    count: int
    streams: tuple[str, ...]
    first: float = Field(description="time of the oldest, seconds since the epoch")
    last: float = Field(description="time of the latest, seconds since the epoch")
    example: str = Field(description="id of the latest")


def matches(stream: str, pattern: str) -> bool:
    """Return whether `stream` matches `pattern`: a name, a pattern like `site/*`, or an empty string (all match)."""
    return not pattern or stream == pattern or fnmatchcase(stream, pattern)


def system_status(store: Store, redis_url: str, *, stream: str = "", status: Status | None = None) -> SystemStatus:
    """Return the state of the whole system; `stream` and `status` select the streams.

    Parameters
    ----------
    redis_url : of `store`; its password is left out
    stream : name or pattern, see `matches`
    status : of the latest verdict; None: any
    """
    return SystemStatus(
        redis_url=without_password(redis_url),
        queues={queue: int(store.client.llen(queue)) for queue in QUEUES},
        dead_letters=store.event_log.dead_letter_count(),
        models=tuple(model_status(store, model) for model in store.champions.models()),
        processes=process_health(store),
        streams=tuple(stream_statuses(store, stream=stream, status=status)),
        without_baseline=tuple(row for name, row in store.golden.waiting().items() if matches(name, stream)),
    )


def stream_statuses(store: Store, *, stream: str = "", status: Status | None = None) -> list[StreamStatus]:
    """Return the states of the streams, ordered by status (FAIL, offline, no verdict yet, PASS), then by their latest
    frame, the most recent first."""
    now = time.time()
    wanted = [name for name in store.streams.names() if matches(name, stream)]
    parts = [wanted[at : at + _AT_ONCE] for at in range(0, len(wanted), _AT_ONCE)]
    found = [row for part in parts for row in _statuses(store, part, now)]
    chosen = [row for row in found if status is None or row.status is status]
    return sorted(chosen, key=lambda row: (_rank(row), _age(row), row.stream))


def _rank(row: StreamStatus) -> int:
    offline = any(incident.state is IncidentState.OFFLINE for incident in row.incidents)
    return min(_FIRST[row.status], _OFFLINE_RANK) if offline else _FIRST[row.status]


def _age(row: StreamStatus) -> float:
    return float("inf") if row.seconds_since_last_frame is None else row.seconds_since_last_frame


def stream_status(store: Store, stream: str, now: float) -> StreamStatus:
    """Return the state of `stream` at the time `now`, seconds since the epoch."""
    (found,) = _statuses(store, [stream], now)
    return found


def _statuses(store: Store, names: Sequence[str], now: float) -> list[StreamStatus]:
    """Return the states of streams, in the same order. What all of them have is asked for together: hundreds of
    streams, each asked by itself, would take seconds on a machine that is busy."""
    windows, bounds, pending = store.streams.windows(names), store.golden.bounds(names), store.streams.pending_of(names)
    with_truth, policy = store.truth.known(names), Policy.parse(store.settings.policy)
    return [
        _status(
            stream,
            window,
            now,
            policy=policy,
            pending=count,
            learning=progress_under(store, stream, window, bound),
            truth=store.truth.progress(stream) if stream in with_truth else (),
        )
        for stream, window, bound, count in zip(names, windows, bounds, pending, strict=True)
    ]


def _status(
    stream: str,
    window: Window,
    now: float,
    *,
    policy: Policy,
    pending: int,
    learning: LearningProgress | None,
    truth: tuple[TruthProgress, ...],
) -> StreamStatus:
    verdict = window.verdict
    return StreamStatus(
        stream=stream,
        status=verdict.status if verdict else None,
        drift_score=verdict.drift_score if verdict else None,
        p_value=verdict.p_value if verdict else None,
        cause=verdict.cause if verdict else None,
        response=policy.of(verdict.cause) if verdict and verdict.cause else None,
        confirmed=verdict.confirmed if verdict else False,
        frames=verdict.stop if verdict else 0,
        pending_chunks=pending,
        seconds_since_last_frame=now - window.last_frame_at if window.last_frame_at else None,
        incidents=tuple(_as_open(row) for row in sorted(open_incidents(window.incidents), key=_attention)),
        provisional=verdict.provisional if verdict else False,
        resolution=verdict.resolution if verdict else None,
        learning=learning,
        truth=truth,
    )


def _as_open(incident: Incident) -> OpenIncident:
    return OpenIncident(
        id=incident.id,
        state=incident.state,
        cause=incident.cause,
        since_time=incident.since_time,
        times_this_week=incident.times_this_week,
        acknowledged_by=incident.acknowledged_by,
        muted=incident.muted,
    )


def incidents(store: Store, *, stream: str = "", state: IncidentChoice | None = None) -> list[Incident]:
    """Return the incidents: failing, offline, healed, closed ones, and of each the latest first.

    Parameters
    ----------
    stream : name or pattern, see `matches`
    state : None: any
    """
    of_streams = (store.streams.incidents(name) for name in store.streams.names() if matches(name, stream))
    found = [incident for rows in of_streams for incident in rows if _is_chosen(incident, state)]
    return sorted(found, key=_attention)


def incidents_of_id(store: Store, beginning: str) -> list[Incident]:
    """Return the incidents whose ids begin with `beginning`."""
    return [incident for incident in incidents(store) if incident.id.startswith(beginning)]


def _is_chosen(incident: Incident, state: IncidentChoice | None) -> bool:
    if state is IncidentChoice.OPEN:
        return incident.state is not IncidentState.CLOSED
    return state is None or incident.state.value == state.value


def _attention(incident: Incident) -> tuple[int, float, str]:
    """Return what sorts incidents by how much they want attention."""
    return _FIRST_STATE[incident.state], -incident.latest_at, incident.id


def model_status(store: Store, model: str) -> ModelStatus:
    """Return the state of `model`."""
    champion, unreadable = None, ""
    try:
        champion = store.champions.champion(model)
    except BadMessage as error:  # a newer version wrote it; the other models can still be shown
        unreadable = str(error)
    return ModelStatus(
        model=model,
        version=champion.version if champion else 0,
        unreadable=unreadable,
        waiting_streams=store.champions.waiting_count(model),
        due_at=store.champions.due_at(model),
        held=store.champions.held(model),
        retraining=_running(store, model) if store.champions.is_leased(model) else None,
    )


def retraining_of(store: Store, incident: Incident) -> RetrainReport | None:
    """Return the last report of the retraining that works on an incident now; None: none does."""
    if not store.champions.is_leased(incident.model):
        return None
    report = _running(store, incident.model)
    return report if incident.id in report.incidents else None


def _running(store: Store, model: str) -> RetrainReport:
    """Return the last report of the running retraining of `model`."""
    for event in store.event_log.events(newest_first=True, limit=_MOST_EVENTS_READ):
        if event.model == model and isinstance(event, RetrainStarted | RetrainProgressed):
            return event.report
    return RetrainReport(model=model, stage="starting", progress=0.0, detail="")


def latest_events(store: Store, limit: int, *, stream: str = "", types: Collection[EventType] = ()) -> list[Event]:
    """Return up to `limit` of the latest events, oldest first.

    Parameters
    ----------
    stream : name or pattern, see `matches`
    types : types to return; if there are none, all types
    """
    found: list[Event] = []
    for event in store.event_log.events(newest_first=True):
        if len(found) == limit:
            break
        if event_fits(event, stream, types):
            found.append(event)
    return found[::-1]


def event_fits(event: Event, stream: str, types: Collection[EventType]) -> bool:
    """Return whether an event is of a stream that fits (see `matches`), and of one of `types`, or there are none."""
    return matches(event.stream, stream) and (not types or event.type in types)


def dead_letters(store: Store, *, stream: str = "") -> list[DeadLetter]:
    """Return the dead letters of the streams that match `stream` (see `matches`), oldest first."""
    return [letter for letter in store.event_log.dead_letters() if matches(letter.stream, stream)]


def dead_letter_groups(letters: Iterable[DeadLetter]) -> list[DeadLetterGroup]:
    """Group `letters` by kind and reason, the most frequent group first."""
    grouped: dict[tuple[DeadLetterKind, str], list[DeadLetter]] = {}
    for letter in letters:
        grouped.setdefault((letter.kind, _NUMBER.sub("0", _without_names(letter))), []).append(letter)
    groups = [
        DeadLetterGroup(
            kind=kind,
            reason=_without_names(rows[-1]),
            count=len(rows),
            streams=tuple(sorted({letter.stream for letter in rows})),
            first=min(letter.time for letter in rows),
            last=max(letter.time for letter in rows),
            example=rows[-1].id,
        )
        for (kind, _), rows in grouped.items()
    ]
    return sorted(groups, key=lambda group: (-group.count, group.kind, group.reason))


def _without_names(letter: DeadLetter) -> str:
    """Return the reason of `letter` without its subject and without paths."""
    reason = letter.reason.replace(letter.subject, "…") if letter.subject else letter.reason
    return _PATH.sub("…", reason)
