"""A stream's window in Redis: what the reducer reads, and the one step in which it moves the window on.

Everything that makes a frame count exactly once is in `commit_window.lua`; here
it gets names and types.
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
    """What `StreamStore.commit` found."""

    CONFLICT = 0
    """Another reducer has committed since the window was read: nothing was changed."""
    DONE = 1
    MORE = 2
    """Committed, and the next chunk in the stream's order is finished too."""


class WindowMoved(Exception):
    """Another reducer has moved the window on since it was read."""


@dataclass(frozen=True)
class FinishedChunk:
    """A chunk that waits for the reducer.

    Attributes
    ----------
    features : None where the chunk was given up
    unreadable : why what was stored cannot be read, and what it is; `chunk` is then a stand-in
    """

    chunk: Chunk
    features: FeatureBlock | None
    unreadable: tuple[BadMessage, bytes] | None = None


@dataclass(frozen=True)
class Window:
    """A stream's window as it was read: commit against `version`."""

    version: int
    state: bytes | None
    last_frame_at: float | None
    verdict: Verdict | None


@dataclass(frozen=True)
class JudgedEvent:
    """The event about a verdict, and the features that the verdict was made from: evidence, if it is a FAIL."""

    event: WindowEvent
    window: FeatureBlock


class StreamStore:
    """Windows of single streams.

    Parameters
    ----------
    retention : seconds for which verdicts' evidence and finished batches are kept
    data_retention : seconds for which an image from a camera event is kept once it is judged
    max_events : bounds the Stream of events
    """

    def __init__(self, client: redis.Redis, *, retention: int, data_retention: int, max_events: int) -> None:
        self.client = client
        self._retention = retention
        self._data_retention = data_retention
        self._max_events = max_events
        self._commit = load_script(client, "commit_window")

    # --- what a reducer reads

    def finished(self, stream: str, limit: int) -> list[FinishedChunk]:
        """Return up to `limit` chunks from the head of the stream's order, up to the first unfinished one."""
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
        """Return the stream's window; its latest verdict is None where it cannot be read."""
        version, state, at, verdict = self.client.hmget(
            keys.stream_key(stream, "window"), "version", "state", "at", "verdict"
        )
        return Window(int(version or 0), binary(state), float(at) if at else None, _verdict(binary(verdict)))

    def frames(self, stream: str, read: Window) -> list[FeatureBlock]:
        """Return the stream's latest frames, up to where the window stood when it was read.

        Raises
        ------
        WindowMoved
            If it has moved on since.
        BadMessage
            If they cannot be read.
        """
        pipe = self.client.pipeline(transaction=True)
        pipe.hget(keys.stream_key(stream, "window"), "version")
        pipe.lrange(keys.stream_key(stream, "frames"), 0, -1)
        version, blocks = pipe.execute()
        if int(version or 0) != read.version:
            raise WindowMoved(stream)
        return [FeatureBlock.from_bytes(block) for block in blocks]

    def evidence(self, stream: str, event_id: str) -> FeatureBlock | None:
        """Return the features behind a FAIL, or None once they have expired."""
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
        """Move `chunks` into the window, with the verdicts that follow, unless another reducer has since `read`.

        Parameters
        ----------
        frames : the latest frames from now on; None: those that are kept, and the chunks'
        batch_events : one per chunk, announced if the chunk's batch ends with it
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
        """Return whether a batch of this stream was ever accepted; names of known streams are valid."""
        return self.client.zscore(keys.STREAMS, stream.encode(errors="replace")) is not None

    def latest_capture_times(self) -> dict[str, float]:
        """Return, for each stream that has one, the latest capture time that was judged, seconds since the epoch."""
        names = self.names()
        pipe = self.client.pipeline(transaction=False)
        for name in names:
            pipe.hget(keys.stream_key(name, "window"), "taken_to")
        return {name: float(at) for name, at in zip(names, pipe.execute(), strict=True) if at is not None}

    def pending(self, stream: str) -> int:
        """Return how many chunks of the stream have not entered its window yet."""
        return int(self.client.zcard(keys.stream_key(stream, "pending")))

    def head_is_finished(self, stream: str) -> bool:
        """Return whether the first chunk in the stream's order waits for the reducer."""
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
    except BadMessage:  # by a newer version: the next verdict replaces it
        return None
