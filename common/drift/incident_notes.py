"""Notes from a stream's inbox: what was done about its incidents. Those about silence are in `common.drift.silence`."""

from __future__ import annotations

from collections.abc import Sequence

from common.contracts.incidents import Action, ActionKind, Incident, IncidentLog, IncidentNote, IncidentState, NoteKind
from common.drift.incident_changes import Change, changes, with_applied, with_incidents

_MOST_ACTIONS = 32
_LONGEST_OUTCOME = 1_000  # characters


def apply_note(log: IncidentLog, note: IncidentNote) -> tuple[IncidentLog, tuple[Change, ...]]:
    """Return the log after a note, and the incidents to announce.

    A note that was applied before changes nothing, nor does one about an unknown incident. What ends every open
    incident leaves a silence open, and one of truth: they are no footage that could have become normal.
    """
    if note.id in log.applied or note.action is None:
        return log, ()
    before, closes = log, note.kind is NoteKind.CLOSE
    others = {incident.id for incident in (*log.closed, *log.open) if not incident.is_of_footage}
    if note.incident is not None:
        concerned = {note.incident}
    else:
        concerned = {incident.id for incident in log.open} - (others if closes else set())
    action = note.action.model_copy(update={"outcome": note.action.outcome[:_LONGEST_OUTCOME]})
    rows = [_noted(row, action, closes=closes) if row.id in concerned else row for row in (*log.closed, *log.open)]
    # A run that began before an acceptance departs from a golden baseline that no longer holds.
    run = () if closes and note.incident not in others else log.run
    log = with_applied(with_incidents(log, rows).model_copy(update={"run": run}), note.id)
    return log, changes(before, log)


def _noted(incident: Incident, action: Action, *, closes: bool) -> Incident:
    """Return the incident after a note about it."""
    changed: dict[str, object] = {"actions": _with_action(incident.actions, action)}
    if action.kind is ActionKind.ACKNOWLEDGE:
        changed["acknowledged_by"] = action.by
    if closes and incident.state is not IncidentState.CLOSED:
        # The stream's own clock, which is capture time, stands at its latest window; silence has the wall clock.
        at = action.at if incident.state is IncidentState.OFFLINE else incident.latest_at
        ended = action.outcome or f"closed by {action.by}"
        changed |= {"state": IncidentState.CLOSED, "closed_at": at, "ended": ended}
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
