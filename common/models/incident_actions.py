"""What a retraining does about incidents, left as notes that the reducer writes into them."""

from __future__ import annotations

import time
from collections.abc import Callable

from common.contracts.conditions import ConditionRecord
from common.contracts.ids import content_id
from common.contracts.incidents import Action, ActionKind, Incident, IncidentNote, NoteKind
from common.contracts.models import ChampionRecord

Leave = Callable[[IncidentNote], None]
"""Puts a note into its stream's inbox, and has the reducer look at it."""

BROKE_OFF = "broke off"
"""How the outcome of an action begins that came to no end by itself."""
_TIME_LIMIT = "SoftTimeLimitExceeded"  # the queue's own error, raised in whatever the task does then


def is_time_limit(error: Exception) -> bool:
    """Return whether an error says that the time limit of the task was reached, after which nothing else is begun."""
    return type(error).__name__ == _TIME_LIMIT


def why_broken(error: Exception) -> str:
    """Return why a retraining broke off, in words."""
    return "the time limit of its task was reached while it worked" if is_time_limit(error) else str(error)


def action_of(incident: Incident, kind: ActionKind, version: int) -> Action:
    """Return an action that begins now.

    Its id follows from the incident, the latest window of it, and the version of the champion that it is to improve
    on: a retraining that was killed and starts over goes on with the same action.
    """
    latest = incident.windows[-1].stop if incident.windows else incident.since
    return Action(
        id=content_id(incident.id, kind, latest, version), kind=kind, by="sentinel", at=time.time(), outcome=""
    )


def was_tried(incident: Incident, action: Action) -> bool:
    """Return whether the same was done before, with the same footage and the same champion, and came to an end.

    What broke off came to none: somebody else changed the champion, or Redis was away.
    """
    return any(
        done.id == action.id and done.ended_at is not None and not done.outcome.startswith(BROKE_OFF)
        for done in incident.actions
    )


def begin(leave: Leave, incident: Incident, action: Action) -> None:
    """Note that an action begins."""
    _note(leave, incident, action)


def end(leave: Leave, incident: Incident, action: Action, outcome: str) -> None:
    """Note how an action ended."""
    _note(leave, incident, action.model_copy(update={"ended_at": time.time(), "outcome": outcome}))


def _note(leave: Leave, incident: Incident, action: Action) -> None:
    state = "end" if action.ended_at is not None else "begin"
    leave(
        IncidentNote(
            id=content_id(action.id, state, action.outcome),
            stream=incident.stream,
            kind=NoteKind.ACTION,
            incident=incident.id,
            action=action,
        )
    )


def rollback_note(condition: ConditionRecord, record: ChampionRecord, *, by: str) -> IncidentNote:
    """Return the note that the version of a model that `by` chose is not proved on a condition."""
    now = time.time()
    action = Action(
        id=content_id(condition.id, record.model, record.version),
        kind=ActionKind.ROLLBACK,
        by=by,
        at=now,
        ended_at=now,
        outcome=f"v{record.version} is champion and not proved on it: {record.reason}",
    )
    return IncidentNote(
        id=action.id, stream=condition.stream, kind=NoteKind.ACTION, incident=condition.incident, action=action
    )
