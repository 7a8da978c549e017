"""From verdicts and notes to a stream's incidents: the step that the reducer commits with the window."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace

from common.contracts.events import IncidentChanged, IncidentClosed, IncidentOpened
from common.contracts.incidents import IncidentLog
from common.drift.incident_changes import Change, ChangeKind, end_mute
from common.drift.incident_notes import apply_note
from common.drift.incidents import advance
from common.errors import BadMessage
from common.store import Store
from common.store.incidents import NO_INCIDENTS, IncidentCommit, IncidentEvent
from common.store.streams import JudgedEvent, Window
from common.store.unreadable import unreadable_incidents, unreadable_note

log = logging.getLogger(__name__)

_EVENTS: dict[ChangeKind, type[IncidentOpened] | type[IncidentChanged] | type[IncidentClosed]] = {
    ChangeKind.OPENED: IncidentOpened,
    ChangeKind.CHANGED: IncidentChanged,
    ChangeKind.CLOSED: IncidentClosed,
}


def move_incidents(
    store: Store, stream: str, read: Window, judged: Sequence[JudgedEvent], *, model: str, close_windows: int
) -> tuple[list[JudgedEvent], IncidentCommit]:
    """Apply the notes in the inbox and then the verdicts to the stream's incidents.

    Parameters
    ----------
    read : the stream's window; what is returned is committed over it
    judged : the verdicts since then, oldest first
    model : the model that serves the stream
    close_windows : windows in a row that must pass the golden baseline before an incident is closed

    Returns
    -------
    `judged`, each with the events about the incidents that it changes, and what the commit does beside. Stored
    incidents and notes that cannot be read are written to the dead letters.
    """
    now = time.time()
    muted = read.muted_until is not None and now < read.muted_until
    if not judged and not read.notes and (muted or not read.holds_muted):
        return [], NO_INCIDENTS
    before, readable = _stored_log(store, stream, read)
    moved, noted = _after_notes(store, stream, read, before)
    moved, loud = end_mute(moved, muted=muted)
    rows = []
    for row in judged:
        moved, changes = advance(
            moved, row.event.id, row.event.verdict, model=model, now=now, close_windows=close_windows, muted=muted
        )
        rows.append(replace(row, incidents=_events(changes)))
    kept = moved if moved is not before or not readable else None
    return rows, IncidentCommit(kept, read.notes, (*noted, *_events(loud)))


def _stored_log(store: Store, stream: str, read: Window) -> tuple[IncidentLog, bool]:
    """Return the stored log, and whether it can be read; a log that cannot starts empty."""
    try:
        return IncidentLog.from_json(read.incidents) if read.incidents else IncidentLog(), True
    except BadMessage as error:
        store.event_log.bury(unreadable_incidents(stream, error, read.incidents or b"", time.time()))
        log.warning("stream %s: it goes on without its incidents: %s", stream, error)
        return IncidentLog(), False


def _after_notes(
    store: Store, stream: str, read: Window, before: IncidentLog
) -> tuple[IncidentLog, tuple[IncidentEvent, ...]]:
    """Return the log after the notes in the inbox, and the events about the incidents that they change."""
    moved, events = before, list[IncidentEvent]()
    for row in read.notes:
        if row.note is None:
            error = row.error or BadMessage("it is no note")
            store.event_log.bury(unreadable_note(stream, error, row.stored, time.time()))
            continue
        if row.note.incident is not None and not moved.knows(row.note.incident):
            log.warning(
                "stream %s: a note (%s) about incident %.8s is dropped: there is no such incident, or no longer",
                stream,
                row.note.action.kind,
                row.note.incident,
            )
        moved, changes = apply_note(moved, row.note)
        events += _events(changes)
    return moved, tuple(events)


def _events(changes: Iterable[Change]) -> tuple[IncidentEvent, ...]:
    return tuple(
        _EVENTS[change.kind].about(
            change.incident,
            model=change.incident.model,
            stream=change.incident.stream,
            key=change.incident.to_json(),  # the same change has the same id, another change another one
        )
        for change in changes
    )
