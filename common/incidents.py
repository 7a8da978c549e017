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
from common.drift.silence import end_silence, fall_silent
from common.drift.truth_incidents import judge_by_truth
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
    store: Store,
    stream: str,
    read: Window,
    judged: Sequence[JudgedEvent],
    *,
    model: str,
    close_windows: int,
    frames: int = 0,
) -> tuple[list[JudgedEvent], IncidentCommit]:
    """Apply the notes in the inbox, then the frames and then the verdicts to the stream's incidents.

    Parameters
    ----------
    read : the stream's window; what is returned is committed over it
    judged : the verdicts since then, oldest first
    model : the model that serves the stream
    close_windows : windows in a row that must pass the golden baseline before an incident is closed
    frames : frames that enter the window; they end a silence

    Returns
    -------
    `judged`, each with the events about the incidents that it changes, and what the commit does beside. Stored
    incidents and notes that cannot be read are written to the dead letters.
    """
    now = time.time()
    muted = read.muted_until is not None and now < read.muted_until
    ends_silence = frames > 0 and read.holds_silence
    if not judged and not read.notes and not ends_silence and (muted or not read.holds_muted):
        return [], NO_INCIDENTS
    before, readable = _stored_log(store, stream, read)
    quiet_since = read.accepted_at if frames == 0 else None
    moved, noted, relies_on = _after_notes(store, stream, read, before, quiet_since=quiet_since, muted=muted)
    moved, ended = end_silence(moved, at=read.accepted_at or now) if ends_silence else (moved, ())
    moved, loud = end_mute(moved, muted=muted)
    rows = []
    for row in judged:
        moved, changes = advance(
            moved, row.event.id, row.event.verdict, model=model, now=now, close_windows=close_windows, muted=muted
        )
        rows.append(replace(row, incidents=_events(changes)))
    kept = moved if moved is not before or not readable else None
    return rows, IncidentCommit(kept, read.notes, (*noted, *_events((*ended, *loud))), relies_on)


def _stored_log(store: Store, stream: str, read: Window) -> tuple[IncidentLog, bool]:
    """Return the stored log, and whether it can be read; a log that cannot starts empty."""
    try:
        return IncidentLog.from_json(read.incidents) if read.incidents else IncidentLog(), True
    except BadMessage as error:
        store.event_log.bury(unreadable_incidents(stream, error, read.incidents or b"", time.time()))
        log.warning("stream %s: it goes on without its incidents: %s", stream, error)
        return IncidentLog(), False


def _after_notes(
    store: Store, stream: str, read: Window, before: IncidentLog, *, quiet_since: float | None, muted: bool
) -> tuple[IncidentLog, tuple[IncidentEvent, ...], float | None]:
    """Apply the notes in the inbox.

    Parameters
    ----------
    quiet_since : when the last batch was accepted; None: frames come

    Returns
    -------
    The log, the events about the incidents that the notes change, and `quiet_since` if the log relies on it.
    """
    moved, events = before, list[IncidentEvent]()
    relies_on, position = None, read.verdict.stop if read.verdict else 0
    for row in read.notes:
        if row.note is None:
            error = row.error or BadMessage("it is no note")
            store.event_log.bury(unreadable_note(stream, error, row.stored, time.time()))
            continue
        if row.note.silence is not None:
            if row.note.silence.since != quiet_since:
                continue  # a batch came since the sweep asked
            moved, changes = fall_silent(
                moved, row.note.id, row.note.silence, stream=stream, position=position, muted=muted
            )
            relies_on = quiet_since if changes else relies_on
            events += _events(changes)
            continue
        if row.note.truth is not None:
            moved, changes = judge_by_truth(moved, row.note.id, row.note.truth, position=position, muted=muted)
            events += _events(changes)
            continue
        if row.note.incident is not None and not moved.knows(row.note.incident):
            log.warning(
                "stream %s: a note (%s) about incident %.8s is dropped: there is no such incident, or no longer",
                stream,
                row.note.kind,
                row.note.incident,
            )
        moved, changes = apply_note(moved, row.note)
        events += _events(changes)
    return moved, tuple(events), relies_on


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
