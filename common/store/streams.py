"""A stream's window and incidents in Redis: what the reducer reads, and the single step in which it commits.

`scripts/commit_window.lua` makes every frame count exactly once; this module
gives it names and types.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import redis

from common.contracts.batches import Chunk
from common.contracts.events import BatchCompleted, ResolutionChanged, WindowFailed, WindowPassed
from common.contracts.incidents import Incident, IncidentNote
from common.contracts.verdicts import Verdict
from common.errors import BadMessage
from common.features import FeatureBlock
from common.store import keys
from common.store.client import binary, load_script, text
from common.store.commit_rows import chunk_row, incident_part, verdict_row
from common.store.incidents import (
    NO_INCIDENTS,
    NOTES_PER_COMMIT,
    IncidentCommit,
    IncidentEvent,
    ReceivedNote,
    archived,
    muted_until,
    open_incidents,
    received,
)
from common.store.learning import MOST_SLOTS, TakenBurst
from common.store.unreadable import readable_verdict, stand_in

WindowEvent = WindowPassed | WindowFailed
_WINDOW_FIELDS = ("version", "state", "at", "verdict", "incidents", "muted", "offline", "taken_to")


class Committed(IntEnum):
    """Result of `StreamStore.commit`."""

    CONFLICT = 0
    """Another reducer has committed since the window was read: nothing was changed."""
    DONE = 1
    MORE = 2
    """Committed, and the next chunk in the stream's order is finished too."""


class WindowMoved(Exception):
    """Another reducer has committed a new window since this one was read."""


@dataclass(frozen=True)
class FinishedChunk:
    """A finished chunk that waits for the reducer.

    Attributes
    ----------
    features : None if the chunk was given up or is unreadable
    unreadable : if what is stored cannot be read, the error and the stored bytes; `chunk` is then a placeholder
    """

    chunk: Chunk
    features: FeatureBlock | None
    unreadable: tuple[BadMessage, bytes] | None = None


@dataclass(frozen=True)
class Window:
    """A stream's window as it was read. A commit succeeds only if `version` is still current.

    Attributes
    ----------
    incidents : the stored `IncidentLog`
    holds_muted : whether an open incident in it is muted
    holds_silence : whether an open incident in it is a silence
    accepted_at : when the stream's last batch was accepted, by the wall clock, seconds since the epoch
    notes : the head of the stream's inbox
    muted_until : when the stream's mute ends, seconds since the epoch; None: it is not muted
    taken_to : latest capture time that was judged, seconds since the epoch; None: none was known
    """

    version: int
    state: bytes | None
    last_frame_at: float | None
    verdict: Verdict | None
    incidents: bytes | None = None
    holds_muted: bool = False
    holds_silence: bool = False
    accepted_at: float | None = None
    notes: tuple[ReceivedNote, ...] = ()
    muted_until: float | None = None
    taken_to: float | None = None


@dataclass(frozen=True)
class JudgedEvent:
    """The event about a verdict, and what follows from it.

    Attributes
    ----------
    window : features of the window, which are stored as evidence if it departs from the golden baseline
    incidents : events about the incidents that it changes
    resolution : event about pictures of another size than before, if they have one
    """

    event: WindowEvent
    window: FeatureBlock
    incidents: tuple[IncidentEvent, ...] = ()
    resolution: ResolutionChanged | None = None

    @property
    def departs(self) -> bool:
        """Whether the window departs from the golden baseline."""
        return isinstance(self.event, WindowFailed) or self.event.verdict.condition is not None


class StreamStore:
    """The window of each stream.

    Parameters
    ----------
    retention : seconds for which evidence of FAILs and finished batches are kept
    data_retention : seconds for which what came with an event is kept after its batch was judged
    max_events : most entries in the Stream of events
    """

    def __init__(self, client: redis.Redis, *, retention: int, data_retention: int, max_events: int) -> None:
        self.client = client
        self._retention = retention
        self._data_retention = data_retention
        self._max_events = max_events
        self._commit = load_script(client, "commit_window")
        self._note = load_script(client, "leave_note")

    # --- what a reducer reads

    def finished(self, stream: str, limit: int) -> list[FinishedChunk]:
        """Return up to `limit` chunks from the head of the stream's order that precede the first unfinished one."""
        ids = [text(i) for i in self.client.zrange(keys.stream_key(stream, "pending"), 0, limit - 1)]
        pipe = self.client.pipeline(transaction=False)
        for chunk_id in ids:
            pipe.hmget(keys.stream_key(stream, "chunk", chunk_id), "message", "features")
        ready: list[FinishedChunk] = []
        for chunk_id, (message, features) in zip(ids, pipe.execute() if ids else [], strict=True):
            if message is None:
                break
            ready.append(_finished(stream, chunk_id, message, features))
        return ready

    def window(self, stream: str) -> Window:
        """Return the stream's window; its verdict is None if there is none or it is unreadable."""
        (found,) = self.windows([stream])
        return found

    def windows(self, names: Sequence[str]) -> list[Window]:
        """Return the windows of streams, in the same order, in one round trip."""
        pipe = self.client.pipeline(transaction=False)
        for stream in names:
            pipe.hmget(keys.stream_key(stream, "window"), _WINDOW_FIELDS)
            pipe.lrange(keys.stream_key(stream, "inbox"), 0, NOTES_PER_COMMIT - 1)
            pipe.get(keys.stream_key(stream, "mute"))
            pipe.zscore(keys.STREAMS, stream)
        answers = iter(pipe.execute())
        return [_window(*rows) for rows in zip(answers, answers, answers, answers, strict=True)]

    def frames(self, stream: str, read: Window) -> list[FeatureBlock]:
        """Return the stream's latest frames as of the window `read`.

        Raises
        ------
        WindowMoved
            If another reducer has committed since.
        BadMessage
            If they are unreadable.
        """
        pipe = self.client.pipeline(transaction=True)
        pipe.hget(keys.stream_key(stream, "window"), "version")
        pipe.lrange(keys.stream_key(stream, "frames"), 0, -1)
        version, blocks = pipe.execute()
        if int(version or 0) != read.version:
            raise WindowMoved(stream)
        return [FeatureBlock.from_bytes(block) for block in blocks]

    def evidence(self, stream: str, event_id: str) -> FeatureBlock | None:
        """Return the features of a window that failed the golden baseline; None once they have expired."""
        data = binary(self.client.get(keys.stream_key(stream, "evidence", event_id)))
        return FeatureBlock.from_bytes(data) if data else None

    # --- what a reducer writes

    def commit(
        self,
        stream: str,
        *,
        read: Window,
        state: bytes | None,
        frames: FeatureBlock | None,
        chunks: Sequence[FinishedChunk],
        batch_events: Sequence[BatchCompleted],
        judged: Sequence[JudgedEvent],
        incidents: IncidentCommit = NO_INCIDENTS,
        bursts: Sequence[TakenBurst] = (),
    ) -> Committed:
        """Move `chunks` into the window and write the verdicts, unless another reducer has committed since `read`.

        Parameters
        ----------
        read : the window that the new state was computed from
        state : the new state of the window; None: it stays as it is
        frames : replaces the stored frames; None: the chunks' features are appended to them
        batch_events : one per chunk, written if it is the last chunk of its batch
        judged : the verdicts, with the features of their windows
        incidents : what becomes of the stream's incidents
        bursts : frames to be learned, of which each slot takes one
        """
        plan = {
            "version": str(read.version),
            "now": repr(time.time()),
            "retention": self._retention,
            "data_retention": self._data_retention,
            "max_events": self._max_events,
            "prefix": {name: keys.stream_key(stream, name, "") for name in ("chunk", "batch", "evidence", "data")},
            "replace_frames": frames is not None,
            "stream": stream,
            **incident_part(incidents),
            "chunks": [
                chunk_row(done.chunk, done.features, event) for done, event in zip(chunks, batch_events, strict=True)
            ],
            "verdicts": [verdict_row(row.event, row.incidents, row.resolution, departs=row.departs) for row in judged],
            "bursts": [{"id": burst.id, "slot": burst.slot} for burst in bursts],
            "most_slots": MOST_SLOTS,
        }
        parts = ("window", "pending", "evidence-list", "frames", "inbox", "incidents", "incident-order")
        own = [keys.stream_key(stream, part) for part in parts]
        learned = [keys.stream_key(stream, part) for part in ("bursts", "burst-slots")]
        args = [
            json.dumps(plan),
            state or b"",
            frames.to_bytes() if frames else b"",
            incidents.log.to_json() if incidents.log is not None else b"",
            incidents.applied[-1].stored if incidents.applied else b"",
            *(row.window.to_bytes() for row in judged if row.departs),
            *(burst.frames.to_bytes() for burst in bursts),
        ]
        return Committed(self._commit(keys=[keys.EVENTS, *own, keys.STREAMS, *learned], args=args))

    def note(self, note: IncidentNote) -> bool:
        """Leave `note` in its stream's inbox for the next reduction; return False if there is no such stream."""
        inbox = keys.stream_key(note.stream, "inbox")
        return bool(self._note(keys=[inbox, keys.STREAMS], args=[note.stream, note.to_json()]))

    # --- what others ask

    def names(self) -> list[str]:
        """Return the names of all streams, the most recently fed first."""
        return [text(name) for name in self.client.zrevrange(keys.STREAMS, 0, -1)]

    def is_known(self, stream: str) -> bool:
        """Return whether a batch of this stream was ever accepted."""
        return self.client.zscore(keys.STREAMS, stream.encode(errors="replace")) is not None

    def latest_capture_times(self) -> dict[str, float]:
        """Return stream -> latest capture time that was judged, seconds since the epoch, for streams that have one."""
        names = self.names()
        pipe = self.client.pipeline(transaction=False)
        for name in names:
            pipe.hget(keys.stream_key(name, "window"), "taken_to")
        return {name: float(at) for name, at in zip(names, pipe.execute(), strict=True) if at is not None}

    def pending(self, stream: str) -> int:
        """Return the number of chunks of the stream that have not entered its window yet."""
        return int(self.client.zcard(keys.stream_key(stream, "pending")))

    def pending_of(self, names: Sequence[str]) -> list[int]:
        """Return the same of several streams, in the same order, in one round trip."""
        pipe = self.client.pipeline(transaction=False)
        for stream in names:
            pipe.zcard(keys.stream_key(stream, "pending"))
        return [int(count) for count in pipe.execute()]

    def waits_for_reducer(self, stream: str) -> bool:
        """Return whether the first chunk in order is finished, notes wait, or a mute over an incident ended."""
        pipe = self.client.pipeline(transaction=False)
        pipe.zrange(keys.stream_key(stream, "pending"), 0, 0)
        pipe.exists(keys.stream_key(stream, "inbox"))
        pipe.hexists(keys.stream_key(stream, "window"), "muted")
        pipe.get(keys.stream_key(stream, "mute"))
        head, notes, muted, mute = pipe.execute()
        if notes or (muted and (muted_until(binary(mute)) or 0.0) <= time.time()):
            return True
        return bool(head) and bool(self.client.hexists(keys.stream_key(stream, "chunk", text(head[0])), "message"))

    # --- incidents

    def open_incidents(self, stream: str) -> tuple[Incident, ...]:
        """Return the open incidents of `stream`."""
        return open_incidents(binary(self.client.hget(keys.stream_key(stream, "window"), "incidents")))

    def incidents(self, stream: str) -> list[Incident]:
        """Return all incidents of `stream` that are kept: the open ones, then the closed ones, the latest first."""
        return [*self.open_incidents(stream), *archived(self.client, stream)]

    def incident(self, incident_id: str) -> Incident | None:
        """Return the incident of this id, of whatever stream; None if there is none, or no longer."""
        return next((i for stream in self.names() for i in self.incidents(stream) if i.id == incident_id), None)


def _window(
    fields: Sequence[bytes | None], notes: Sequence[bytes], mute: bytes | None, accepted_at: float | None
) -> Window:
    version, state, at, verdict, incidents, muted, offline, taken_to = fields
    return Window(
        version=int(version or 0),
        state=binary(state),
        last_frame_at=float(at) if at else None,
        verdict=readable_verdict(binary(verdict)),
        incidents=binary(incidents),
        holds_muted=muted is not None,
        holds_silence=offline is not None,
        accepted_at=float(accepted_at) if accepted_at is not None else None,
        notes=received(notes),
        muted_until=muted_until(binary(mute)),
        taken_to=float(taken_to) if taken_to is not None else None,
    )


def _finished(stream: str, chunk_id: str, message: bytes, features: bytes | None) -> FinishedChunk:
    try:
        block = FeatureBlock.from_bytes(features) if features is not None else None
        return FinishedChunk(Chunk.from_json(message), block)
    except BadMessage as error:
        return FinishedChunk(stand_in(stream, chunk_id), None, (error, message))
