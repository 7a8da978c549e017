"""The question about silence, which the sweep asks: from which streams has nothing come for unusually long?

Silence runs on the wall clock. It counts only while sources could have come in: not
while a process that accepts them is away, producers wait for room in Redis, or nobody
asked. A stream with work that waits is late, not silent, and one that waits for a
baseline is not listened to.
"""

from __future__ import annotations

import logging

from common.contracts.ids import content_id
from common.contracts.incidents import Action, ActionKind, IncidentNote, IncidentState, NoteKind, Silence
from common.errors import Backlogged
from common.process_health import process_health
from common.processes import PROCESSES
from common.rhythm import longest_silence
from common.settings import Settings
from common.store import Store
from common.stream_config import model_of, settings_of_stream, stream_config

log = logging.getLogger(__name__)

_HEARING = frozenset(process.name for process in PROCESSES if process.hears)
_LONGEST_PAUSE_SECONDS = 60.0  # between two sweeps: after a longer one Redis, beat or the machine was away
_SWEEPS_MISSED = 3


def ask_about_silence(store: Store, settings: Settings, now: float) -> int:
    """Leave a note for each stream that is silent for unusually long; return the number of notes.

    Asked again, it leaves the same note, which the reducer applies once, or none where the incident is open.

    Parameters
    ----------
    now : seconds since the epoch

    Raises
    ------
    SettingsError
        If the configuration file cannot be read.
    """
    pause = max(_LONGEST_PAUSE_SECONDS, _SWEEPS_MISSED * settings.sweep_seconds)
    since = store.silence.listening_since(now, hears=_sources_come_in(store), longest_pause=pause)
    if since is None:
        return 0
    waiting, notes = store.golden.waiting(), 0
    for stream in store.streams.names():
        note = _note_about(store, settings_of_stream(settings, stream), stream, now, since)
        if note is not None and stream not in waiting:
            notes += store.streams.note(note)
    return notes


def _sources_come_in(store: Store) -> bool:
    """Return whether every process through which sources come in is alive, and has room in Redis."""
    try:
        store.require_room()
    except Backlogged:
        return False
    return all(health.instances > 0 for health in process_health(store) if health.process in _HEARING)


def _note_about(
    store: Store, settings: Settings, stream: str, now: float, listening_since: float
) -> IncidentNote | None:
    """Return the note that `stream` needs, if any. `settings` are those of the stream."""
    quiet = store.silence.quiet(stream)
    if settings.offline_seconds == 0:
        return _not_asked(store, stream, now) if quiet.offline else None
    if quiet.offline or quiet.pending or quiet.accepted_at is None:
        return None
    allowed = longest_silence(quiet.gaps, settings.offline_seconds)
    if allowed is None and stream_config(settings).of(stream).url is not None:
        allowed = settings.offline_seconds  # a live camera sends all the time: nothing has to be learned for that
    if allowed is None or now - max(quiet.accepted_at, listening_since) <= allowed:
        return None
    log.warning("stream %s: nothing came for %.0f s, %.0f s are usual", stream, now - quiet.accepted_at, allowed)
    return IncidentNote(
        id=content_id("silence", stream, quiet.accepted_at),
        stream=stream,
        kind=NoteKind.SILENCE,
        incident=None,
        silence=Silence(since=quiet.accepted_at, noticed_at=now, model=model_of(settings, stream)),
    )


def _not_asked(store: Store, stream: str, now: float) -> IncidentNote | None:
    """Return the note that closes the silence of a stream about which nobody asks any more."""
    for incident in store.streams.open_incidents(stream):
        if incident.state is IncidentState.OFFLINE:
            said = "nobody asks about its silence any more: its offline_seconds are 0"
            note_id = content_id("silence ends", incident.id, len(incident.occurrences), incident.since_time)
            action = Action(
                id=note_id, kind=ActionKind.MUTE, by="sentinel", at=now, ended_at=now, outcome=said
            )  # fmt: skip
            return IncidentNote(
                id=note_id, stream=stream, kind=NoteKind.CLOSE, incident=incident.id, action=action
            )  # fmt: skip
    return None
