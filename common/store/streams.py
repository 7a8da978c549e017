"""A stream's window in Redis: what the reducer reads, and the single step in which it commits a new window.

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
from common.contracts.events import BatchCompleted, WindowFailed, WindowPassed
from common.contracts.verdicts import Verdict
from common.errors import BadMessage
from common.features import FeatureBlock
from common.store import keys
from common.store.client import binary, load_script, text
from common.store.unreadable import stand_in

WindowEvent = WindowPassed | WindowFailed


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
    """A stream's window as it was read. A commit succeeds only if `version` is still current."""

    version: int
    state: bytes | None
    last_frame_at: float | None
    verdict: Verdict | None


@dataclass(frozen=True)
class JudgedEvent:
    """The event about a verdict, and the features of its window, which are stored as evidence if it is a FAIL."""

    event: WindowEvent
    window: FeatureBlock


class StreamStore:
    """The window of each stream.

    Parameters
    ----------
    retention : seconds for which evidence of FAILs and finished batches are kept
    data_retention : seconds for which an image from a camera event is kept after it was judged
    max_events : most entries in the Stream of events
    """

    def __init__(self, client: redis.Redis, *, retention: int, data_retention: int, max_events: int) -> None:
        self.client = client
        self._retention = retention
        self._data_retention = data_retention
        self._max_events = max_events
        self._commit = load_script(client, "commit_window")

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
        version, state, at, verdict = self.client.hmget(
            keys.stream_key(stream, "window"), "version", "state", "at", "verdict"
        )
        return Window(int(version or 0), binary(state), float(at) if at else None, _verdict(binary(verdict)))

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
        """Return the features of a failed window; None once they have expired."""
        data = binary(self.client.get(keys.stream_key(stream, "evidence", event_id)))
        return FeatureBlock.from_bytes(data) if data else None

    # --- what a reducer writes

    def commit(
        self,
        stream: str,
        *,
        read: Window,
        state: bytes,
        frames: FeatureBlock | None,
        chunks: Sequence[FinishedChunk],
        batch_events: Sequence[BatchCompleted],
        judged: Sequence[JudgedEvent],
    ) -> Committed:
        """Move `chunks` into the window and write the verdicts, unless another reducer has committed since `read`.

        Parameters
        ----------
        read : the window that the new state was computed from
        state : the new state of the window
        frames : replaces the stored frames; None: the chunks' features are appended to them
        batch_events : one per chunk, written if it is the last chunk of its batch
        judged : the verdicts, with the features of their windows
        """
        evidence = [row.window.to_bytes() for row in judged if isinstance(row.event, WindowFailed)]
        plan = {
            "version": str(read.version),
            "now": repr(time.time()),
            "retention": self._retention,
            "data_retention": self._data_retention,
            "max_events": self._max_events,
            "prefix": {name: keys.stream_key(stream, name, "") for name in ("chunk", "batch", "evidence", "data")},
            "replace_frames": frames is not None,
            "chunks": [
                {
                    "id": done.chunk.id,
                    "batch": done.chunk.batch_id,
                    "frames": len(done.features or ()),
                    "dead": int(done.features is None),
                    "event": {**_header(event), "uri": done.chunk.source.uri},
                }
                for done, event in zip(chunks, batch_events, strict=True)
            ],
            "verdicts": [
                {
                    "event": _header(row.event),
                    "verdict": row.event.verdict.to_json(),
                    "failed": isinstance(row.event, WindowFailed),
                    "taken_to": row.event.verdict.taken_to,
                }
                for row in judged
            ],
        }
        result = self._commit(
            keys=[
                keys.stream_key(stream, "window"),
                keys.stream_key(stream, "pending"),
                keys.EVENTS,
                keys.stream_key(stream, "evidence-list"),
                keys.stream_key(stream, "frames"),
            ],
            args=[json.dumps(plan), state, frames.to_bytes() if frames else b"", *evidence],
        )
        return Committed(result)

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

    def head_is_finished(self, stream: str) -> bool:
        """Return whether the first chunk in the stream's order is finished and waits for the reducer."""
        head = self.client.zrange(keys.stream_key(stream, "pending"), 0, 0)
        return bool(head) and bool(self.client.hexists(keys.stream_key(stream, "chunk", text(head[0])), "message"))


def _header(event: WindowEvent | BatchCompleted) -> dict[str, str]:
    return {"id": event.id, "type": event.type.value, "stream": event.stream, "model": event.model}


def _finished(stream: str, chunk_id: str, message: bytes, features: bytes | None) -> FinishedChunk:
    try:
        block = FeatureBlock.from_bytes(features) if features is not None else None
        return FinishedChunk(Chunk.from_json(message), block)
    except BadMessage as error:
        return FinishedChunk(stand_in(stream, chunk_id), None, (error, message))


def _verdict(stored: bytes | None) -> Verdict | None:
    try:
        return Verdict.from_json(stored) if stored else None
    except BadMessage:  # written by a newer version: the next verdict replaces it
        return None
