"""Which changes of a stream's incidents are announced."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from common.contracts.incidents import Incident, IncidentLog, IncidentState

_MOST_APPLIED = 64  # a note is delivered twice within moments, if at all
_MOST_OCCURRENCES = 64  # bounded, so that a stream's state does not grow with its age
_MOST_CLOSED = 8  # they can be reopened, or a retraining of them may still end
_ANNOUNCED = ("state", "cause", "occurrences", "actions", "acknowledged_by", "muted")


class ChangeKind(StrEnum):
    OPENED = "opened"
    CHANGED = "changed"
    CLOSED = "closed"


@dataclass(frozen=True)
class Change:
    """An incident that has to be announced, as it is now."""

    kind: ChangeKind
    incident: Incident


def with_incidents(log: IncidentLog, rows: Iterable[Incident]) -> IncidentLog:
    """Return the log with these incidents, those that are closed among the closed ones."""
    incidents = list(rows)
    closed = [row for row in incidents if row.state is IncidentState.CLOSED]
    still_open = [row for row in incidents if row.state is not IncidentState.CLOSED]
    return log.model_copy(update={"open": tuple(still_open), "closed": tuple(closed[-_MOST_CLOSED:])})


def with_applied(log: IncidentLog, note_id: str) -> IncidentLog:
    """Return the log, which contains the note of this id now."""
    return log.model_copy(update={"applied": (*log.applied, note_id)[-_MOST_APPLIED:]})


def reopened(incident: Incident, *, at: float, muted: bool) -> Incident:
    """Return a closed incident that goes on; its state is the caller's matter.

    Whoever acknowledged it had seen what is over: what comes again is for somebody to see again.
    """
    occurrences = (*incident.occurrences, at)[-_MOST_OCCURRENCES:]
    return incident.model_copy(
        update={
            "occurrences": occurrences,
            "muted": muted,
            "acknowledged_by": None,
            "closed_at": None,
            "ended": "",
        }
    )


def end_mute(log: IncidentLog, *, muted: bool) -> tuple[IncidentLog, tuple[Change, ...]]:
    """Return the log, and the incidents that are announced now, where a mute may be over since the latest verdict."""
    after = log if muted else unmuted(log)
    return after, changes(log, after)


def unmuted(log: IncidentLog) -> IncidentLog:
    """Return the log of a stream that is not muted: no open incident is."""
    if not any(incident.muted for incident in log.open):
        return log
    loud = tuple(incident.model_copy(update={"muted": False}) for incident in log.open)
    return log.model_copy(update={"open": loud})


def changes(before: IncidentLog, after: IncidentLog) -> tuple[Change, ...]:
    """Return the incidents whose difference between the two logs is announced."""
    known = {incident.id: incident for incident in (*before.closed, *before.open)}
    found = []
    for incident in (*after.closed, *after.open):
        old = known.get(incident.id)
        kind = ChangeKind.OPENED if old is None else _change(old, incident)
        if kind is not None:
            found.append(Change(kind, incident))
    return tuple(found)


def _change(old: Incident, new: Incident) -> ChangeKind | None:
    """Return how an incident has changed, as far as it is announced."""
    if new.state is IncidentState.CLOSED and old.state is not IncidentState.CLOSED:
        return ChangeKind.CLOSED
    if old.state is not IncidentState.CLOSED and old.muted and not new.muted and len(new.occurrences) == 1:
        return ChangeKind.OPENED  # nobody was told of it while the stream was muted
    if any(getattr(old, name) != getattr(new, name) for name in _ANNOUNCED):
        return ChangeKind.CHANGED
    return None
