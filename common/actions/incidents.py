"""A person's word about incidents: seen, or not to be announced for a time."""

from __future__ import annotations

import time

from common import broker
from common.contracts.golden import Mute
from common.contracts.ids import content_id
from common.contracts.incidents import Action, ActionKind, Incident, IncidentNote, IncidentState, NoteKind
from common.durations import duration_text
from common.errors import BadMessage, UnknownStream
from common.queries import incidents_of_id
from common.store import Store

_SHOWN_DIGITS = 8  # of an id, which is enough to name it


def incident_of_id(store: Store, beginning: str) -> Incident:
    """Return the incident whose id begins with `beginning`; raise `BadMessage` if that is not exactly one."""
    found = incidents_of_id(store, beginning) if beginning else []
    if not found:
        raise BadMessage(f"no incident has the id {beginning!r}: see `sentinel incidents list`")
    if len(found) > 1:
        ids = ", ".join(incident.id[: len(beginning) + 4] for incident in found[:5])
        raise BadMessage(f"{len(found)} incidents begin with {beginning!r} ({ids}): give more of the id")
    return found[0]


def acknowledge(store: Store, incident: Incident, *, by: str) -> None:
    """Note that a person has seen an incident. The reducer writes it down in a moment.

    Raises
    ------
    BadMessage
        If the incident is closed.
    """
    if incident.state is IncidentState.CLOSED:
        raise BadMessage(f"incident {incident.id[:_SHOWN_DIGITS]} of {incident.stream} is closed: {incident.ended}")
    now = time.time()
    action = Action(id=content_id(incident.id, by, now), kind=ActionKind.ACKNOWLEDGE, by=by, at=now, ended_at=now)
    store.streams.note(
        IncidentNote(id=action.id, stream=incident.stream, kind=NoteKind.ACTION, incident=incident.id, action=action)
    )
    broker.send_reduce(incident.stream)


def mute(store: Store, stream: str, seconds: float, *, by: str) -> float | None:
    """Announce no incidents of a stream for a time; what goes on then is announced when the time is over.

    Parameters
    ----------
    seconds : how long; 0: end the mute now

    Returns
    -------
    When the mute ends, seconds since the epoch; None: it is over, or there was none.

    Raises
    ------
    UnknownStream
        If there is no such stream.
    """
    if not store.streams.is_known(stream):
        raise UnknownStream(f"there is no stream {stream!r}: see `sentinel streams list`")
    now = time.time()
    said = f"muted for {duration_text(seconds)}" if seconds else "no longer muted"
    action = Action(
        id=content_id("mute", stream, now), kind=ActionKind.MUTE, by=by, at=now, ended_at=now, outcome=said
    )  # fmt: skip
    note = IncidentNote(id=action.id, stream=stream, kind=NoteKind.ACTION, incident=None, action=action)
    if store.golden.mute(stream, Mute(until=now + seconds, by=by, at=now) if seconds else None, [note]) < 0:
        raise UnknownStream(f"stream {stream!r} was forgotten meanwhile")
    broker.send_reduce(stream)
    return now + seconds if seconds else None
