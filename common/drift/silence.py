"""Silence as an incident: opened by a note of the sweep, closed by the next frames.

It is the one incident without windows, and the one that runs on the wall clock. What
verdicts do (`common.drift.incidents`) and a change of the golden baseline leave it alone.
"""

from __future__ import annotations

from common.contracts.ids import content_id
from common.contracts.incidents import Incident, IncidentLog, IncidentState, Silence
from common.contracts.verdicts import Cause
from common.drift.incident_changes import Change, changes, reopened, with_applied, with_incidents
from common.drift.incidents import REOPEN_SECONDS

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86_400.0


def fall_silent(
    log: IncidentLog, note_id: str, silence: Silence, *, stream: str, position: int, muted: bool
) -> tuple[IncidentLog, tuple[Change, ...]]:
    """Return the log of a stream that is silent for unusually long, and the incidents to announce.

    A silence that comes within a day after one that ended opens the same incident again. A note that was applied
    before changes nothing, nor does one while the silence goes on.

    Parameters
    ----------
    position : of the stream's next frame, as far as it was judged, in sampled frames
    muted : whether the stream is muted now
    """
    if note_id in log.applied or any(incident.state is IncidentState.OFFLINE for incident in log.open):
        return log, ()
    before, at = log, silence.noticed_at
    last = next((incident for incident in reversed(log.closed) if incident.cause is Cause.OFFLINE), None)
    if last is not None and at - (last.closed_at or 0.0) <= REOPEN_SECONDS:
        incident = reopened(last, at=at, muted=muted)
    else:
        incident = _opened(stream, silence, position, muted=muted)
    now = {
        "state": IncidentState.OFFLINE,
        "model": silence.model,
        "since": position,
        "since_time": silence.since,
        "latest_at": at,
    }
    incident = incident.model_copy(update=now)
    others = [row for row in (*log.closed, *log.open) if row.id != incident.id]
    log = with_applied(with_incidents(log, [*others, incident]), note_id)
    return log, changes(before, log)


def end_silence(log: IncidentLog, *, at: float) -> tuple[IncidentLog, tuple[Change, ...]]:
    """Return the log of a stream whose frames come again, and the incidents to announce.

    Parameters
    ----------
    at : when that was, by the wall clock, seconds since the epoch
    """
    if not any(incident.state is IncidentState.OFFLINE for incident in log.open):
        return log, ()
    after = with_incidents(log, [*log.closed, *(_ended(incident, at) for incident in log.open)])
    return after, changes(log, after)


def _opened(stream: str, silence: Silence, position: int, *, muted: bool) -> Incident:
    return Incident(
        id=content_id("incident", stream, Cause.OFFLINE, silence.since),
        stream=stream,
        model=silence.model,
        golden_id="",
        state=IncidentState.OFFLINE,
        cause=Cause.OFFLINE,
        causes={},
        since=position,
        since_time=silence.since,
        opened_at=silence.noticed_at,
        latest_at=silence.noticed_at,
        occurrences=(silence.noticed_at,),
        muted=muted,
    )


def _ended(incident: Incident, at: float) -> Incident:
    if incident.state is not IncidentState.OFFLINE:
        return incident
    ended = f"frames come again, it was offline for {_duration(at - incident.since_time)}"
    return incident.model_copy(update={"state": IncidentState.CLOSED, "closed_at": at, "ended": ended})


def _duration(seconds: float) -> str:
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < 2 * _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    return f"{seconds / _HOUR:.1f} h" if seconds < 2 * _DAY else f"{seconds / _DAY:.1f} days"
