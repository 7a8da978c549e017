"""A stream's incidents in Redis: the inbox of notes, the log that the reducer moves, and the archive.

The log (`contracts.incidents.IncidentLog`) is a field of the stream's window, so that
`scripts/commit_window.lua` writes both in one step. `StreamStore` is what others use.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass

import redis

from common.contracts.events import IncidentChanged, IncidentClosed, IncidentOpened
from common.contracts.incidents import Incident, IncidentLog, IncidentNote
from common.errors import BadMessage
from common.store import keys
from common.store.client import binary

log = logging.getLogger(__name__)

NOTES_PER_COMMIT = 64  # bounds the size of one commit; the next one takes the rest

IncidentEvent = IncidentOpened | IncidentChanged | IncidentClosed


@dataclass(frozen=True)
class ReceivedNote:
    """A note at the head of a stream's inbox.

    Attributes
    ----------
    stored : the bytes in the inbox
    note : None if they cannot be read
    error : why they cannot
    """

    stored: bytes
    note: IncidentNote | None
    error: BadMessage | None = None


@dataclass(frozen=True)
class IncidentCommit:
    """What a commit does to a stream's incidents.

    Attributes
    ----------
    log : the new log; None: it stays as it is
    applied : the notes at the head of the inbox that the log contains now
    events : events about the incidents that these notes, or frames after a silence, changed
    silent_since : when the last batch was accepted, where the log says that none came since; the commit then fails if
        one did
    """

    log: IncidentLog | None = None
    applied: tuple[ReceivedNote, ...] = ()
    events: tuple[IncidentEvent, ...] = ()
    silent_since: float | None = None


NO_INCIDENTS = IncidentCommit()
"""The incidents of the stream stay as they are."""


def received(rows: Iterable[object]) -> tuple[ReceivedNote, ...]:
    """Return the notes in rows of an inbox."""
    found = []
    for row in rows:
        stored = binary(row) or b""
        try:
            found.append(ReceivedNote(stored, IncidentNote.from_json(stored)))
        except BadMessage as error:
            found.append(ReceivedNote(stored, None, error))
    return tuple(found)


def muted_until(stored: bytes | None) -> float | None:
    """Return when a stream's mute ends, seconds since the epoch; None if it is not muted.

    A mute that cannot be read mutes nothing.
    """
    if stored is None:
        return None
    try:
        mute = json.loads(stored)
        return float(mute["until"])
    except (ValueError, KeyError, TypeError, RecursionError):
        log.warning("a mute cannot be read, and mutes nothing: %.200r", stored)
        return None


def open_incidents(stored: bytes | None) -> tuple[Incident, ...]:
    """Return the open incidents of a stored log; none if it cannot be read, which the reducer reports."""
    try:
        return IncidentLog.from_json(stored).open if stored else ()
    except BadMessage:
        return ()


def archived(client: redis.Redis, stream: str) -> list[Incident]:
    """Return the closed incidents of `stream`, the latest first; those that a newer version wrote are left out."""
    found = []
    for stored in client.hvals(keys.stream_key(stream, "incidents")):
        try:
            found.append(Incident.from_json(stored))
        except BadMessage as error:
            log.warning("stream %s: a closed incident is not shown: %s", stream, error)
    return sorted(found, key=lambda incident: -(incident.closed_at or 0.0))
