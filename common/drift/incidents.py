"""Incidents: from a stream's verdicts to what a person has to know, as pure arithmetic.

A window that departs from the golden baseline (a FAIL, or a match of a condition)
is part of a run, which becomes or joins an incident as soon as the verdicts say
that it is confirmed; the windows until then are kept, so that the incident has
them all. An incident ends once enough windows in a row pass the golden baseline.

`advance` takes one verdict. It reads no clock, and the result does not depend on
how verdicts are spread over commits. Notes about incidents are applied in
`common.drift.incident_notes`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from common.contracts.ids import content_id
from common.contracts.incidents import Incident, IncidentLog, IncidentState, IncidentWindow, RunWindow
from common.contracts.verdicts import Cause, Status, Verdict, WorstFrame
from common.drift.incident_changes import Change, changes, reopened, unmuted, with_incidents

REOPEN_SECONDS = 86_400.0
"""An incident that was closed is reopened if its cause comes back within this time, by capture time."""

# Everything that is kept is bounded, so that a stream's state does not grow with its age.
_WINDOWS_FOR_CAUSE = 16  # enough that a single odd window does not rename an incident
_MOST_WINDOWS = 64  # as many as the store keeps evidence of
_MOST_WORST_FRAMES = 3


@dataclass(frozen=True)
class _Step:
    """A verdict on a window that departs from golden, with what the incident that takes it is told."""

    verdict: Verdict
    event_id: str
    model: str
    at: float
    muted: bool


def advance(
    log: IncidentLog, event_id: str, verdict: Verdict, *, model: str, now: float, close_windows: int, muted: bool
) -> tuple[IncidentLog, tuple[Change, ...]]:
    """Return the stream's log after its next verdict, and the incidents that have to be announced.

    Parameters
    ----------
    log : the log before the verdict
    event_id : id of the verdict's event, under which the window's features are kept
    verdict : its `baseline_id` is the digest of the golden baseline
    model : the model that serves the stream
    now : stands for the capture time of a window that has none, seconds since the epoch
    close_windows : windows in a row that must pass the golden baseline before an incident is closed
    muted : whether the stream is muted now
    """
    at = verdict.taken_to if verdict.taken_to is not None else now
    before, others = log, tuple(incident for incident in log.open if not incident.is_of_footage)
    if others:  # a silence, or truth, is no departure from golden: verdicts neither join it nor close it
        log = log.model_copy(update={"open": tuple(incident for incident in log.open if incident not in others)})
    log = _under(log, verdict.baseline_id, at)
    if verdict.status is Status.PASS and verdict.condition is None:
        after = _passed(log, at, close_windows)
    else:
        after = _departed(log, _run_window(event_id, verdict, now), _Step(verdict, event_id, model, at, muted))
    if others:
        after = after.model_copy(update={"open": (*after.open, *others)})
    after = after if muted else unmuted(after)
    return after, changes(before, after)


# --- verdicts


def _under(log: IncidentLog, golden_id: str, at: float) -> IncidentLog:
    """Return the log without what departed from another golden baseline than the one of now.

    Its incidents are closed, and its windows are no part of a run.
    """
    run = tuple(row for row in log.run if row.golden_id == golden_id)
    if len(run) == len(log.run) and all(incident.golden_id == golden_id for incident in log.open):
        return log
    ended = {"state": IncidentState.CLOSED, "closed_at": at, "ended": "its stream has another golden baseline now"}
    rows = [row if row.golden_id == golden_id else row.model_copy(update=ended) for row in log.open]
    return with_incidents(log, [*log.closed, *rows]).model_copy(update={"run": run})


def _passed(log: IncidentLog, at: float, close_windows: int) -> IncidentLog:
    """Return the log after a window that passes the golden baseline: the run ends, and incidents may close."""
    if not log.open and not log.run:
        return log
    rows = list(log.closed)
    for incident in log.open:
        passes = incident.passes + 1
        changed: dict[str, object] = {"passes": passes}
        if passes >= close_windows:
            ended = f"{passes} windows in a row passed the golden baseline"
            changed |= {"state": IncidentState.CLOSED, "closed_at": at, "ended": ended}
        rows.append(incident.model_copy(update=changed))
    return with_incidents(log, rows).model_copy(update={"run": ()})


def _departed(log: IncidentLog, row: RunWindow, step: _Step) -> IncidentLog:
    """Return the log after a window that departs from golden. Once the run is confirmed, an incident takes it."""
    still_open = tuple(i.model_copy(update={"passes": 0}) if i.passes else i for i in log.open)
    log = log.model_copy(update={"run": (*log.run, row)[-_MOST_WINDOWS:], "open": still_open})
    if not step.verdict.confirmed:
        return log
    found, state, cause = _taker_of_match(log, step) if step.verdict.condition else _taker_of_fail(log, step)
    if found is None:
        taker = _absorbed(_opened(log.run, step, state, cause), log.run, step, state)
        taker = taker.model_copy(update={"cause": cause})
    elif found.state is IncidentState.CLOSED:
        taker = _absorbed(reopened(found, at=step.at, muted=step.muted), log.run, step, state)
    else:
        taker = _absorbed(found, log.run, step, state)
    others = [i for i in (*log.closed, *log.open) if i.id != taker.id]
    return with_incidents(log, [*others, taker]).model_copy(update={"run": ()})


def _taker_of_fail(log: IncidentLog, step: _Step) -> tuple[Incident | None, IncidentState, Cause]:
    """Return the incident that takes a confirmed FAIL (None: a new one), its state from now on, and the run's cause."""
    since = step.verdict.failing_since or 0
    fails = [row.window.cause for row in log.run if row.window.condition is None and row.window.start >= since]
    cause = _most_frequent(fails, Cause.UNKNOWN)
    failing = next((i for i in log.open if i.state is IncidentState.FAILING), None)
    healed = next((i for i in log.open if i.cause is cause), None)
    return failing or healed or _reopenable(log, cause, step), IncidentState.FAILING, cause


def _taker_of_match(log: IncidentLog, step: _Step) -> tuple[Incident | None, IncidentState, Cause]:
    """Return the same for a confirmed match of a condition.

    A window that shares frames with a FAIL proves no healing: the failing incident takes it, and fails on.
    """
    match = step.verdict.condition
    cause = match.cause if match is not None else Cause.UNKNOWN
    failing_first = sorted(log.open, key=lambda i: i.state is not IncidentState.FAILING)
    if failing_first and failing_first[0].state is IncidentState.FAILING:
        failed_to = max((w.stop for w in failing_first[0].windows if w.condition is None), default=0)
        failed_to = max([failed_to, *(row.window.stop for row in log.run if row.window.condition is None)])
        if step.verdict.start < failed_to:
            return failing_first[0], IncidentState.FAILING, failing_first[0].cause
    named = next((i for i in failing_first if i.cause is cause), None)
    # What the incident is called may have changed since the footage of the condition was taken.
    had_it = next((i for i in failing_first if cause in i.causes), None)
    return named or had_it or _reopenable(log, cause, step), IncidentState.HEALED, cause


def _reopenable(log: IncidentLog, cause: Cause, step: _Step) -> Incident | None:
    """Return the closed incident that goes on: the same cause within a day, against the same golden baseline."""
    for incident in reversed(log.closed):
        closed_at = incident.closed_at if incident.closed_at is not None else incident.latest_at
        if (
            incident.cause is cause
            and incident.golden_id == step.verdict.baseline_id
            and abs(step.at - closed_at) <= REOPEN_SECONDS
        ):
            return incident
    return None


def _opened(run: Sequence[RunWindow], step: _Step, state: IncidentState, cause: Cause) -> Incident:
    """Return a new incident that has taken no window yet."""
    return Incident(
        id=content_id("incident", step.verdict.stream, step.event_id),
        stream=step.verdict.stream,
        model=step.model,
        golden_id=step.verdict.baseline_id,
        state=state,
        cause=cause,
        causes={},
        since=run[0].window.start,
        since_time=run[0].taken_from,
        opened_at=step.at,
        latest_at=step.at,
        occurrences=(step.at,),
        muted=step.muted,
    )


def _absorbed(incident: Incident, run: Sequence[RunWindow], step: _Step, state: IncidentState) -> Incident:
    """Return the incident with the windows of `run` added, in `state`."""
    added = [row.window for row in run]
    windows = (*incident.windows, *added)[-_MOST_WINDOWS:]
    failed = sum(window.condition is None for window in added)
    latest = [w.cause for w in windows if (w.condition is None) == (state is IncidentState.FAILING)]
    frames = (*incident.worst_frames, *(frame for row in run for frame in row.worst_frames))
    return incident.model_copy(
        update={
            "model": step.model,
            "golden_id": step.verdict.baseline_id,
            "state": state,
            "cause": _most_frequent(latest[-_WINDOWS_FOR_CAUSE:], incident.cause),
            "causes": dict(Counter(incident.causes) + Counter(window.cause for window in added)),
            "latest_at": step.at,
            "failed_windows": incident.failed_windows + failed,
            "matched_windows": incident.matched_windows + len(added) - failed,
            "passes": 0,
            "windows": windows,
            "worst_frames": worst_of(frames),
            "model_score": step.verdict.model or incident.model_score,
        }
    )


def _run_window(event_id: str, verdict: Verdict, now: float) -> RunWindow:
    match = verdict.condition
    cause = match.golden_cause if match is not None else verdict.cause
    return RunWindow(
        window=IncidentWindow(
            event_id=event_id,
            start=verdict.start,
            stop=verdict.stop,
            cause=cause or Cause.UNKNOWN,
            segment=verdict.segment,
            condition=match.id if match is not None else None,
        ),
        golden_id=verdict.baseline_id,
        taken_from=verdict.taken_from if verdict.taken_from is not None else now,
        taken_to=verdict.taken_to if verdict.taken_to is not None else now,
        worst_frames=verdict.worst_frames,
    )


def _most_frequent(causes: Sequence[Cause], stays: Cause) -> Cause:
    """Return the most frequent of `causes`; among equals `stays`, then the one that came first."""
    counts = Counter(causes)
    most = max(counts.values(), default=0)
    return stays if counts[stays] == most else next(cause for cause in causes if counts[cause] == most)


def worst_of(frames: Iterable[WorstFrame]) -> tuple[WorstFrame, ...]:
    """Return the frames with the largest distances, each once: windows overlap, and name the same frame again."""
    found: dict[tuple[str, float], WorstFrame] = {}
    for frame in sorted(frames, key=lambda frame: -frame.distance):
        found.setdefault((frame.source, frame.time), frame)
    return tuple(found.values())[:_MOST_WORST_FRAMES]
