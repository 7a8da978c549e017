"""A stream's way through Redis: batches accepted, chunks finished, the window moved on.

Everything that makes a frame count exactly once is in the Lua scripts beside
this file; here they get names and types.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

import redis

from common.contracts.batches import Chunk, FrameBatch
from common.contracts.dead_letters import DeadLetter
from common.contracts.events import Event
from common.contracts.ids import content_id
from common.contracts.verdicts import Status, Verdict
from common.features import FeatureBlock
from common.store import keys
from common.store.client import binary, load_script, text


class Finished(IntEnum):
    """What `StreamStore.finish` found."""

    UNKNOWN = -1
    """The chunk has been reduced already, or was never registered: there is nothing left to do."""
    BLOCKED = 0
    """Chunks before it are not done; whoever finishes them sends `reduce`."""
    READY = 1
    """It is the first in its stream's order: send `reduce`."""


class Committed(IntEnum):
    """What `StreamStore.commit` found."""

    CONFLICT = 0
    DONE = 1
    MORE = 2


class WindowMoved(Exception):
    """Another reducer has moved the window on since it was read."""


@dataclass(frozen=True)
class FinishedChunk:
    """A chunk that waits for the reducer: its features, or None where it was given up."""

    chunk: Chunk
    features: FeatureBlock | None


@dataclass(frozen=True)
class Window:
    """A stream's window as it was read: commit against `version`."""

    version: int
    state: bytes | None
    last_frame_at: float | None
    verdict: Verdict | None


@dataclass(frozen=True)
class Judged:
    """A verdict and the features it was made from, kept as evidence if it is a FAIL."""

    verdict: Verdict
    window: FeatureBlock
    event: Event


class StreamStore:
    """All keys of single streams.

    `retention`, `remember` (of files that were counted) and `data_retention` (of
    images from camera events, once judged) are in seconds, `max_events` bounds
    each Redis Stream.
    """

    def __init__(
        self, client: redis.Redis, *, retention: float, remember: float, data_retention: float, max_events: int
    ) -> None:
        self.client = client
        self._data_retention = max(1, int(data_retention))
        self._retention = max(1, int(retention))
        self._remember = max(self._retention, int(remember))
        self._max_events = max_events
        self._register = load_script(client, "register_batch")
        self._release = load_script(client, "release_chunks")
        self._touch = load_script(client, "touch_chunk")
        self._finish = load_script(client, "finish_chunk")
        self._commit = load_script(client, "commit_window")

    # --- producers

    def register(self, batch: FrameBatch, *, listing: Mapping[str, str] | None = None, lasting: bool = False) -> bool:
        """Accept `batch` with all its chunks; False if the stream has had it before.

        `listing` are the images (name -> digest) of a folder. A `lasting` source (a file that may lie in its folder
        for long) stays known longer than the others.
        """
        images = [part for pair in (listing or {}).items() for part in pair]
        accepted = self._register(
            keys=[
                keys.stream_key(batch.stream, "batch", batch.id),
                keys.stream_key(batch.stream, "counter"),
                keys.stream_key(batch.stream, "pending"),
                keys.STREAMS,
                self._folder_key(batch.stream, batch.source.uri),
            ],
            args=[
                batch.stream,
                batch.to_json(),
                time.time(),
                self._remember if lasting else self._retention,
                keys.stream_key(batch.stream, "chunk", ""),
                len(images) // 2,
                *images,
                *(f"{batch.id}-{start}" for start in batch.starts),
            ],
        )
        return bool(accepted)

    def release(self, stream: str, most: int) -> list[Chunk]:
        """Return the next chunks that are to be sent to workers, so that `most` of the stream are under way.

        A chunk is released once; `overdue` finds those that were lost on the way.
        """
        prefix = keys.stream_key(stream, "chunk", "")
        stream_keys = [keys.stream_key(stream, "pending"), keys.stream_key(stream, "sent")]
        ids = [text(row) for row in self._release(keys=stream_keys, args=[most, time.time(), prefix])]
        return self._chunks(stream, ids)

    def _chunks(self, stream: str, ids: Sequence[str]) -> list[Chunk]:
        """Return the chunks with these ids, as their batches cut them."""
        batches: dict[str, FrameBatch | None] = {}
        found = []
        for chunk_id in ids:
            batch_id = chunk_id.rpartition("-")[0]
            if batch_id not in batches:
                stored = self.client.hget(keys.stream_key(stream, "batch", batch_id), "message")
                batches[batch_id] = FrameBatch.from_json(stored) if stored else None
            batch = batches[batch_id]
            chunk = batch.chunk_at(chunk_id) if batch is not None else None
            if chunk is not None:
                found.append(chunk)
        return found

    def cost(self, stream: str) -> float | None:
        """Return seconds of work that a sampled frame of the stream took lately, None where nothing is known."""
        found = self.client.get(keys.stream_key(stream, "cost"))
        return float(text(found)) if found is not None else None

    def listing(self, stream: str, folder: str) -> dict[str, str]:
        """Return the images (name -> digest) of a folder as it was accepted; empty if it was not."""
        rows = self.client.hgetall(self._folder_key(stream, folder))
        return {text(name): text(digest) for name, digest in rows.items()}

    def _folder_key(self, stream: str, folder: str) -> str:
        return keys.stream_key(stream, "folder", content_id(folder))

    def known(self, stream: str, batch_id: str) -> bool:
        """Say whether the stream has had a batch. A source that is still offered stays known."""
        key = keys.stream_key(stream, "batch", batch_id)
        unreduced, keep = self.client.hmget(key, "unreduced", "keep")
        if unreduced is not None and int(unreduced) == 0:
            self.client.expire(key, int(keep or self._retention))
        return unreduced is not None

    def keep_data(self, stream: str, batch_id: str, data: bytes) -> None:
        """Keep an image that came inside a camera event until it is judged, and a little longer for a retraining."""
        self.client.set(keys.stream_key(stream, "data", batch_id), data, ex=self._retention)

    def hold_data(self, stream: str, batch_id: str) -> None:
        """Let that image stay as long as its batch, which is registered now, is not done."""
        self.client.persist(keys.stream_key(stream, "data", batch_id))

    def data(self, stream: str, batch_id: str) -> bytes | None:
        """Return what `keep_data` kept, or None when it has run out."""
        return binary(self.client.get(keys.stream_key(stream, "data", batch_id)))

    # --- embedding workers

    def count_delivery(self, chunk: Chunk) -> int:
        """Count that a worker has taken `chunk`, and return how many have; 0 if it is no longer pending."""
        return max(0, self._touch_chunk(chunk, taken=True))

    def _touch_chunk(self, chunk: Chunk, *, taken: bool) -> int:
        chunk_keys = [keys.stream_key(chunk.stream, "chunk", chunk.id), keys.stream_key(chunk.stream, "pending")]
        return int(self._touch(keys=chunk_keys, args=[chunk.id, time.time(), int(taken)]))

    def finish(self, chunk: Chunk, features: FeatureBlock, *, seconds: float | None = None) -> Finished:
        """Store the features of `chunk` unless it is finished already; `seconds` is how long making them took."""
        cost = seconds / len(features) if seconds is not None and len(features) else None
        return self._finish_as(chunk, features.to_bytes(), None, cost)

    def give_up(self, chunk: Chunk, letter: DeadLetter) -> Finished:
        """Finish `chunk` without features, and write `letter` to the dead letters, as one step."""
        return self._finish_as(chunk, b"", letter)

    def _finish_as(
        self, chunk: Chunk, features: bytes, letter: DeadLetter | None, cost: float | None = None
    ) -> Finished:
        fields = [item for pair in dead_letter_fields(letter).items() for item in pair] if letter else []
        return Finished(
            self._finish(
                keys=[
                    keys.stream_key(chunk.stream, "chunk", chunk.id),
                    keys.stream_key(chunk.stream, "pending"),
                    keys.DEAD,
                    keys.DEAD_IDS,
                    keys.stream_key(chunk.stream, "cost"),
                ],
                args=[
                    chunk.id,
                    chunk.to_json(),
                    features,
                    letter.id if letter else "",
                    self._max_events,
                    "" if cost is None else cost,
                    self._retention,
                    *fields,
                ],
            )
        )

    # --- the reducer

    def finished(self, stream: str, limit: int) -> list[FinishedChunk]:
        """Return up to `limit` chunks from the head of the stream's order, up to the first unfinished one."""
        ids = [text(i) for i in self.client.zrange(keys.stream_key(stream, "pending"), 0, limit - 1)]
        pipe = self.client.pipeline(transaction=False)
        for chunk_id in ids:
            pipe.hmget(keys.stream_key(stream, "chunk", chunk_id), "message", "features")
        ready: list[FinishedChunk] = []
        for message, features in pipe.execute() if ids else []:
            if message is None:
                break
            block = FeatureBlock.from_bytes(features) if features is not None else None
            ready.append(FinishedChunk(Chunk.from_json(message), block))
        return ready

    def window(self, stream: str) -> Window:
        version, state, at, verdict = self.client.hmget(
            keys.stream_key(stream, "window"), "version", "state", "at", "verdict"
        )
        return Window(
            int(version or 0),
            binary(state),
            float(at) if at else None,
            Verdict.from_json(verdict) if verdict else None,
        )

    def frames(self, stream: str, read: Window) -> list[FeatureBlock]:
        """Return the stream's latest frames, up to where the window stood when it was read.

        Raises
        ------
        WindowMoved
            If it has moved on since.
        """
        pipe = self.client.pipeline(transaction=True)
        pipe.hget(keys.stream_key(stream, "window"), "version")
        pipe.lrange(keys.stream_key(stream, "frames"), 0, -1)
        version, blocks = pipe.execute()
        if int(version or 0) != read.version:
            raise WindowMoved(stream)
        return [FeatureBlock.from_bytes(block) for block in blocks]

    def commit(
        self,
        stream: str,
        *,
        read: Window,
        state: bytes,
        frames: FeatureBlock | None,
        chunks: Sequence[FinishedChunk],
        batch_events: Sequence[Event],
        judged: Sequence[Judged],
    ) -> Committed:
        """Move `chunks` into the window, with the verdicts that follow, if nobody else has since `read`.

        `frames` are the latest frames from now on; None: those that there are, and the chunks'. `batch_events` has one
        event a chunk, announced if the chunk's batch ends with it.
        """
        args: list[str | bytes | int | float] = [
            str(read.version),
            state,
            time.time(),
            self._retention,
            self._max_events,
            keys.stream_key(stream, "chunk", ""),
            keys.stream_key(stream, "batch", ""),
            keys.stream_key(stream, "evidence", ""),
            keys.stream_key(stream, "data", ""),
            self._data_retention,
            int(frames is not None),
            frames.to_bytes() if frames else b"",
            len(chunks),
        ]
        for done, event in zip(chunks, batch_events, strict=True):
            args += [done.chunk.id, done.chunk.batch_id, len(done.features or ()), int(done.features is None)]
            args += [event.id, event.type, event.stream, event.model, done.chunk.source.uri]
        args.append(len(judged))
        for row in judged:
            evidence = row.window.to_bytes() if row.verdict.status is Status.FAIL else b""
            args += [row.event.data, evidence, row.event.id, row.event.type, row.event.stream, row.event.model]
        result = self._commit(
            keys=[
                keys.stream_key(stream, "window"),
                keys.stream_key(stream, "pending"),
                keys.EVENTS,
                keys.stream_key(stream, "evidence-list"),
                keys.stream_key(stream, "frames"),
            ],
            args=args,
        )
        return Committed(result)

    # --- everybody who looks

    def names(self) -> list[str]:
        """Return the names of all streams, the most recently fed first."""
        return [text(name) for name in self.client.zrevrange(keys.STREAMS, 0, -1)]

    def is_known(self, stream: str) -> bool:
        """Return whether anything of `stream` was ever accepted; the names of known streams are valid."""
        return self.client.zscore(keys.STREAMS, stream.encode(errors="replace")) is not None

    def pending(self, stream: str) -> int:
        return int(self.client.zcard(keys.stream_key(stream, "pending")))

    def evidence(self, stream: str, event_id: str) -> FeatureBlock | None:
        """Return the features behind a FAIL, or None when they have run out."""
        data = binary(self.client.get(keys.stream_key(stream, "evidence", event_id)))
        return FeatureBlock.from_bytes(data) if data else None

    def head_is_finished(self, stream: str) -> bool:
        head = self.client.zrange(keys.stream_key(stream, "pending"), 0, 0)
        return bool(head) and bool(self.client.hexists(keys.stream_key(stream, "chunk", text(head[0])), "message"))

    def overdue(self, stream: str, seconds: float, limit: int) -> list[Chunk]:
        """Return up to `limit` chunks that were sent, are not done, and that no worker has touched for `seconds`."""
        oldest = time.time() - seconds
        late = []
        for raw in self.client.zrange(keys.stream_key(stream, "pending"), 0, limit - 1):
            chunk_id = text(raw)
            sent_at, message = self.client.hmget(keys.stream_key(stream, "chunk", chunk_id), "sent_at", "message")
            if sent_at is not None and message is None and float(sent_at) <= oldest:
                late.append(chunk_id)
        return self._chunks(stream, late)

    def mark_sent(self, chunk: Chunk) -> None:
        self._touch_chunk(chunk, taken=False)


def dead_letter_fields(letter: DeadLetter) -> dict[str, str]:
    """Return `letter` as the flat fields of a Stream entry."""
    row = letter.model_dump(mode="json", exclude={"entry_id"})
    return {name: str(value) for name, value in row.items()}
