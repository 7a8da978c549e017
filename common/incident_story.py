"""What happened in an incident and when, in words: the command line and the page tell it alike."""

from __future__ import annotations

from pydantic import Field

from common.contracts.ids import Message
from common.contracts.incidents import Action, Incident
from common.contracts.verdicts import Cause

_ORDINALS = {2: "second", 3: "third", 4: "fourth", 5: "fifth", 6: "sixth", 7: "seventh"}


class Moment(Message):
    """Something that happened in an incident."""

    at: float = Field(description="seconds since the epoch; capture time where there is any")
    what: str
    action: str = Field("", description="id of the action that began or ended then; empty: none did")


def times_text(incident: Incident) -> str:
    """Return how often an incident came within a week, like `third time this week`."""
    count = incident.times_this_week
    return f"{_ORDINALS[count]} time this week" if count in _ORDINALS else f"{count} times this week"


def action_text(action: Action) -> str:
    """Return what was done, by whom, and how it ended."""
    return f"{action.kind} by {action.by}: {action.outcome or ('done' if action.ended_at is not None else 'running')}"


def time_line(incident: Incident) -> list[Moment]:
    """Return what happened when, oldest first."""
    silent = incident.cause is Cause.OFFLINE
    rows = [Moment(at=incident.since_time, what="last batch before it" if silent else "first frame")]
    for number, at in enumerate(incident.occurrences):
        rows.append(Moment(at=at, what="opened again" if number else "opened"))
    for action in incident.actions:
        rows.append(Moment(at=action.at, what=f"{action.kind} by {action.by}", action=action.id))
        if action.ended_at is not None and action.outcome:
            rows.append(
                Moment(at=action.ended_at, what=f"{action.kind} ended: {action.outcome}", action=action.id)
            )  # fmt: skip
    if not silent:
        fails = "of truth that fails" if incident.by_truth else "that fails the golden baseline"
        rows.append(Moment(at=incident.latest_at, what=f"latest window {fails}"))
    if incident.closed_at is not None:
        rows.append(Moment(at=incident.closed_at, what=f"closed: {incident.ended}"))
    return sorted(rows, key=lambda row: row.at)
