"""Notes from a stream's inbox: what was done about its incidents."""

from __future__ import annotations

from collections.abc import Sequence

from common.contracts.incidents import Action, ActionKind, Incident, IncidentLog, IncidentNote, IncidentState, NoteKind
from common.drift.incident_changes import Change, changes, with_incidents

_MOST_ACTIONS = 32
_LONGEST_OUTCOME = 1_000  # characters
_MOST_APPLIED = 64  # a note is delivered twice within moments, if at all


def apply_note(log: IncidentLog, note: IncidentNote) -> tuple[IncidentLog, tuple[Change, ...]]:
    """Return the log after a note, and the incidents to announce.

    A note that was applied before changes nothing, nor does one about an unknown incident.
    """
    if note.id in log.applied:
        return log, ()
    before = log
    concerned = {note.incident} if note.incident is not None else {incident.id for incident in log.open}
    rows = [_noted(row, note) if row.id in concerned else row for row in (*log.closed, *log.open)]
    # A run that began before an acceptance departs from a golden baseline that no longer holds.
    run = () if note.kind is NoteKind.CLOSE else log.run
    applied = (*log.applied, note.id)[-_MOST_APPLIED:]
    log = with_incidents(log, rows).model_copy(update={"run": run, "applied": applied})
    return log, changes(before, log)


def _noted(incident: Incident, note: IncidentNote) -> Incident:
    """Return the incident after a note about it."""
    action = note.action.model_copy(update={"outcome": note.action.outcome[:_LONGEST_OUTCOME]})
    changed: dict[str, object] = {"actions": _with_action(incident.actions, action)}
    if action.kind is ActionKind.ACKNOWLEDGE:
        changed["acknowledged_by"] = action.by
    if note.kind is NoteKind.CLOSE and incident.state is not IncidentState.CLOSED:
        # The stream's own clock, which is capture time, stands at its latest window.
        ended = action.outcome or f"closed by {action.by}"
        changed |= {"state": IncidentState.CLOSED, "closed_at": incident.latest_at, "ended": ended}
    return incident.model_copy(update=changed)


def _with_action(actions: Sequence[Action], action: Action) -> tuple[Action, ...]:
    """Return `actions` with `action` added, or put in the place of the one with its id."""
    known = next((row for row in actions if row.id == action.id), None)
    if known is not None:
        overtaken = known.ended_at is not None and action.ended_at is None  # its beginning comes after its end
        return tuple(action if row.id == action.id and not overtaken else row for row in actions)
    rows = [*actions, action]
    if len(rows) > _MOST_ACTIONS:
        rows.remove(next((row for row in rows if row.ended_at is not None), rows[0]))
    return tuple(rows)
