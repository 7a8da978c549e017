"""`sentinel status` and `sentinel events`: how a running system does."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import PurePath
from typing import Annotated

import typer

from common.contracts.events import (
    BatchCompleted,
    ChallengerRejected,
    ChampionPromoted,
    Event,
    EventType,
    IncidentChanged,
    IncidentClosed,
    IncidentOpened,
    ResolutionChanged,
    RetrainProgressed,
    RetrainStarted,
    StreamChecked,
    TruthJudged,
    WindowFailed,
    WindowPassed,
)
from common.contracts.incidents import Incident, IncidentState
from common.contracts.learning import LearningProgress
from common.contracts.models import RetrainReport
from common.contracts.processes import ProcessHealth, ProcessState
from common.contracts.verdicts import Status, Verdict
from common.moments import clock
from common.queries import ModelStatus, StreamStatus, event_fits, latest_events, system_status
from common.responses import resolution_text
from common.settings import get_settings
from common.store import Store
from common.store.client import entry_position
from sentinel.cli.console import JsonOption, Piece, columns, out, print_json, print_messages
from sentinel.stack.local import open_store, redis_url

StreamOption = Annotated[str, typer.Option(help="Only this stream, or those that fit a pattern like 'site/*'.")]

_COLOURS = {Status.FAIL: "bold red", Status.PASS: "green", None: "dim"}
INCIDENT_COLOURS = {
    IncidentState.FAILING: "bold red", IncidentState.OFFLINE: "bold red", IncidentState.HEALED: "yellow",
    IncidentState.CLOSED: "dim",
}  # fmt: skip
_WATCH_SECONDS = 2.0
_LOOK_SECONDS = 0.5  # between looks for new events
_PREFIX, _SUFFIX = "io.sentinel.", ".v1"  # around the short name of a type of event


def status(
    stream: StreamOption = "",
    only: Annotated[
        Status | None, typer.Option("--status", case_sensitive=False, help="Only streams of this status.")
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help=f"Show it anew every {_WATCH_SECONDS:g} s, until Ctrl-C.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show every stream, those that fail first, then queues, models, processes and dead letters."""
    if not watch:
        _show_status(stream, only, as_json=as_json)
        return
    if as_json or not out.is_terminal:
        raise typer.BadParameter("--watch draws on a terminal: without one, and with --json, leave it out")
    with suppress(KeyboardInterrupt):
        while True:
            out.clear()
            _show_status(stream, only, as_json=False)
            out.print(f"at {clock(time.time())}, anew every {_WATCH_SECONDS:g} s; Ctrl-C ends it")
            time.sleep(_WATCH_SECONDS)


def _show_status(stream: str, only: Status | None, *, as_json: bool) -> None:
    settings = get_settings()
    report = system_status(open_store(settings), redis_url(settings), stream=stream, status=only)
    if as_json:
        print_json(report.to_json())
        return
    if report.streams:
        rows = [[cell(row) for cell in _COLUMNS.values()] for row in report.streams]
        columns(list(_COLUMNS), rows, cut=(list(_COLUMNS).index("stream"),))
    else:
        out.print("no stream fits" if stream or only else "no streams yet")
    for row in report.streams:
        if row.learning is not None and row.learning.asks:
            out.styled((f"{row.stream} asks", "yellow"), f": {row.learning.asks}")
        if row.resolution is not None:
            learns = row.learning is not None
            out.styled((row.stream, "yellow"), f": {resolution_text(row.resolution, row.stream, learns=learns)}")
        for truth in row.truth:
            failed = truth.last is not None and truth.last.status is Status.FAIL
            out.styled((f"{row.stream}, truth", "yellow" if failed else "bold"), f": {truth.sentence}")
    for waiting in report.without_baseline:
        out.styled((f"{waiting.stream} waits for a baseline", "yellow"), f": {waiting.reason}")
    out.print("queues: " + ", ".join(f"{queue} {length}" for queue, length in report.queues.items()))
    for model in report.models:
        out.print(f"model {model.model}: {_model_text(model)}")
    if not report.models:
        out.print("models: none yet")
    alive = [row.process for row in report.processes if row.ok]
    out.print(f"processes: {len(alive)} of {len(report.processes)} alive")
    for (state, why), names in _unwell(report.processes).items():
        who = "all" if len(names) == len(report.processes) else ", ".join(names)
        out.styled((f"  {who}: {state}", "red"), f": {why}" if why else "")
    if report.dead_letters:
        out.styled((f"{report.dead_letters} dead letters", "red"), ": see `sentinel dead list`")
    out.print(f"Redis: {report.redis_url}")


def _unwell(processes: tuple[ProcessHealth, ...]) -> dict[tuple[ProcessState, str], list[str]]:
    """Return the names of processes that somebody has to look after, those with the same trouble together."""
    found: dict[tuple[ProcessState, str], list[str]] = {}
    for row in processes:
        if not row.ok:
            found.setdefault((row.state, row.why), []).append(row.process)
    return found


def _model_text(model: ModelStatus) -> str:
    parts = [f"v{model.version}" if not model.unreadable else f"cannot be read: {model.unreadable}"]
    if model.retraining is not None:
        parts.append(f"retraining now, {report_text(model.retraining)}")
    if model.waiting_streams:
        parts.append(f"streams that wait: {model.waiting_streams}")
    if model.held is not None:
        parts.append(f"held since {clock(model.held.since)}, see `sentinel champions release`")
    elif model.due_at is not None and model.retraining is None:
        left = model.due_at - time.time()
        parts.append(f"next retraining from {clock(model.due_at)}" + (f" (in {left:.0f} s)" if left > 0 else " (now)"))
    return ", ".join(parts)


def events(
    limit: Annotated[int, typer.Option(min=1, help="How many of the latest events.")] = 20,
    stream: StreamOption = "",
    kind: Annotated[
        str, typer.Option("--type", help="Only events of this type, like verdict.fail, or of a group, like verdict.")
    ] = "",
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Then show new ones as they come, until Ctrl-C.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the latest events, oldest first. With --follow and --json each event is a line."""
    store, types = open_store(get_settings()), _types(kind)
    last = store.event_log.last_id()
    found = latest_events(store, limit, stream=stream, types=types)
    if follow:
        with suppress(KeyboardInterrupt):
            for event in itertools.chain(found, _coming(store, last, found, stream, types)):
                if as_json:
                    print_json(event.to_json())
                else:
                    at, name, of, what = _cells(event)
                    out.print(f"{at}  {name:<{_WIDEST_TYPE}}  {of}  {what}")
        return
    if as_json:
        print_messages(found)
        return
    if not found:
        out.print("no events fit" if stream or kind else "no events yet")
        return
    columns(["time", "type", "stream", "what"], [_cells(event) for event in found], cut=(2, 3))


def _cells(event: Event) -> list[str]:
    return [clock(event.time), _short(event.type), event.stream or f"model {event.model}", summary(event)]


def _coming(
    store: Store, last: str, shown: Sequence[Event], stream: str, types: Sequence[EventType]
) -> Iterator[Event]:
    """Yield the events after the entry `last` as they come, without end; not those that are `shown`."""
    known = {event.entry_id for event in shown}
    while True:
        latest = store.event_log.last_id()
        for event in store.event_log.events(after=last):
            last = event.entry_id
            if event.entry_id not in known and event_fits(event, stream, types):
                yield event
        last = max(last, latest, key=entry_position)  # entries that are no events are passed over
        time.sleep(_LOOK_SECONDS)


def _short(kind: EventType) -> str:
    return kind.value.removeprefix(_PREFIX).removesuffix(_SUFFIX)


_WIDEST_TYPE = max(len(_short(kind)) for kind in EventType)


def _types(name: str) -> list[EventType]:
    """Return the types of events that `name` stands for: one, or a group of them; none for an empty name."""
    if not name:
        return []
    found = [kind for kind in EventType if name in (kind.value, _short(kind)) or _short(kind).startswith(f"{name}.")]
    if not found:
        known = ", ".join(_short(kind) for kind in EventType)
        raise typer.BadParameter(f"there is no type of event {name!r}; there are: {known}")
    return found


def summary(event: Event) -> str:
    """Return what an event says, on one line; `--json` has the whole of it."""
    match event:
        case WindowPassed() | WindowFailed():
            text = _verdict_text(event.verdict)
        case BatchCompleted(report=report):
            lost = f", {report.dead_chunks} chunks given up" if report.dead_chunks else ""
            text = f"{_file_names((report.uri,))}, {report.frames} frames{lost}"
        case StreamChecked(check=check):
            age = f"last frame {check.hours_since_last_frame:.1f} hours ago"
            text = f"{check.state}, {age}, {check.pending_chunks} chunks wait"
        case ResolutionChanged(notice=notice):
            text = f"the pictures have golden's size again, from frame {notice.position} on"
            if notice.resolution is not None:
                text = f"resolution changed from {notice.resolution.text}, from frame {notice.position} on"
        case ChampionPromoted(champion=record):
            text = f"v{record.version}: {record.reason}"
        case RetrainStarted() | RetrainProgressed() | ChallengerRejected():
            text = report_text(event.report)
        case TruthJudged(verdict=truth):
            sure = ", confirmed" if truth.confirmed else ""
            figures = f"score {truth.drift_score:.2f}, p {truth.p_value:.2g}{sure}"
            text = f"{truth.status}, {figures}, {truth.score.sentence}"
        case IncidentOpened() | IncidentChanged() | IncidentClosed():
            text = _incident_text(event.incident)
        case _:
            text = event.message.to_json()
    return text


def _verdict_text(verdict: Verdict) -> str:
    why = f", {verdict.cause}" if verdict.cause else ""
    sure = ", confirmed" if verdict.confirmed else ""
    copes = f", {verdict.model.sentence}" if verdict.model and verdict.status is Status.FAIL else ""
    figures = f"score {verdict.drift_score:.2f}, p {verdict.p_value:.2g}{why}{sure}{copes}"
    return f"{figures}, frames {verdict.start} to {verdict.stop} of {_file_names(verdict.sources)}"


def _incident_text(incident: Incident) -> str:
    times = f", {incident.times_this_week} times this week" if incident.times_this_week > 1 else ""
    muted = ", muted" if incident.muted else ""
    ended = f", {incident.ended}" if incident.ended else ""
    return (
        f"{incident.id[:8]} {incident.state}: {incident.cause} since {clock(incident.since_time)}{times}{muted}{ended}"
    )


def report_text(report: RetrainReport) -> str:
    """Return how far a retraining is, in a few words."""
    detail = f", {report.detail}" if report.detail else ""
    return f"{report.stage} {report.progress:.0%}{detail}, for {len(report.incidents)} incidents"


def _file_names(uris: tuple[str, ...]) -> str:
    return ", ".join(PurePath(uri).name or uri for uri in uris)


def number(value: float | None) -> str:
    """Return `value` with two decimals, or nothing where there is none."""
    return "" if value is None else f"{value:.2f}"


def _incident_cell(row: StreamStatus) -> Piece:
    """Return the state of the stream's open incident, the failing one if there are several, and since when it lasts."""
    if not row.incidents:
        return ""
    first = row.incidents[0]
    more = f" (+{len(row.incidents) - 1})" if len(row.incidents) > 1 else ""
    muted = ", muted" if first.muted else ""
    return f"{first.state} since {clock(first.since_time)}{more}{muted}", INCIDENT_COLOURS[first.state]


def learned_text(learning: LearningProgress) -> str:
    """Return how much of day and week a stream has seen, and which false-alarm rate that holds, in few words."""
    seen = learning.coverage
    if seen is None:
        return "asks" if learning.asks else "begins"
    rate = f", <= {seen.rate_text} alarms/d" if seen.rate_text else ""
    return f"{len(seen.known_hours)}/24 h, {sum(map(bool, seen.weekdays))}/7 d{rate}"


def _ago(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds:.0f} s ago"


_COLUMNS: dict[str, Callable[[StreamStatus], Piece]] = {
    "status": lambda row: (row.status or "no window", _COLOURS[row.status]),
    "stream": lambda row: row.stream,
    "score": lambda row: number(row.drift_score),
    "p": lambda row: "" if row.p_value is None else f"{row.p_value:.2g}",
    "cause": lambda row: row.cause or "",
    "calls for": lambda row: row.response or "",
    "confirmed": lambda row: "yes" if row.confirmed else "",
    "learned": lambda row: learned_text(row.learning) if row.learning else "",
    "incident": _incident_cell,
    "waiting": lambda row: f"{row.pending_chunks} chunks" if row.pending_chunks else "",
    "last frame": lambda row: _ago(row.seconds_since_last_frame),
}
"""Columns of `sentinel status`, a line per stream: heading -> what it shows of a stream."""
