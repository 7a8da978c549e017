"""What producers store in Redis: batches with their chunks, folder listings, and images from camera events.

The Lua scripts in `scripts/` make a batch count exactly once; this module gives
them names and types.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence

import redis

from common.contracts.batches import BatchState, Chunk, FrameBatch, UnfinishedBatch
from common.contracts.ids import content_id
from common.errors import BadMessage
from common.store import keys
from common.store.chunks import ChunkStore
from common.store.client import binary, load_script, text
from common.store.unreadable import stand_in, unreadable_chunk

_NO_EXPIRY, _NO_KEY = -1, -2  # answers of TTL
_MOST_PENDING = 500  # chunks of one stream that are looked at, to say where its batches are


class BatchStore:
    """The batches of each stream.

    Parameters
    ----------
    chunks : used to give up unreadable chunks
    retention : seconds for which a finished batch stays known
    remember : the same for a batch whose file may still be in its folder
    """

    def __init__(self, client: redis.Redis, chunks: ChunkStore, *, retention: int, remember: int) -> None:
        self.client = client
        self._given_up = chunks
        self._retention = retention
        self._remember = max(retention, remember)
        self._register = load_script(client, "register_batch")
        self._release = load_script(client, "release_chunks")

    def register(self, batch: FrameBatch, *, listing: Mapping[str, str] | None = None, lasting: bool = False) -> bool:
        """Register `batch` with all its chunks; return False if the stream had it before.

        Parameters
        ----------
        listing : name -> digest of a folder's images
        lasting : whether the source may stay in its folder for long; it then stays known for `remember` seconds
        """
        images = [part for pair in (listing or {}).items() for part in pair]
        accepted = self._register(
            keys=[
                keys.stream_key(batch.stream, "batch", batch.id),
                keys.stream_key(batch.stream, "counter"),
                keys.stream_key(batch.stream, "pending"),
                keys.STREAMS,
                self._folder_key(batch.stream, batch.source.uri),
                keys.stream_key(batch.stream, "rhythm"),
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
        """Return the next chunks to send to workers, so that at most `most` chunks of the stream are in flight.

        A chunk is released once; `overdue` finds those whose task was lost.
        """
        prefix = keys.stream_key(stream, "chunk", "")
        stream_keys = [keys.stream_key(stream, "pending"), keys.stream_key(stream, "sent")]
        ids = [text(row) for row in self._release(keys=stream_keys, args=[most, time.time(), prefix])]
        return self._chunks(stream, ids)

    def overdue(self, stream: str, seconds: float, limit: int) -> list[Chunk]:
        """Return unfinished chunks that were last sent, or taken by a worker, more than `seconds` ago.

        Only the first `limit` chunks of the stream are examined.
        """
        oldest = time.time() - seconds
        ids = [text(raw) for raw in self.client.zrange(keys.stream_key(stream, "pending"), 0, limit - 1)]
        pipe = self.client.pipeline(transaction=False)
        for chunk_id in ids:
            pipe.hmget(keys.stream_key(stream, "chunk", chunk_id), "sent_at", "message")
        late = [
            chunk_id
            for chunk_id, (sent_at, message) in zip(ids, pipe.execute(), strict=True)
            if sent_at is not None and message is None and float(sent_at) <= oldest
        ]
        return self._chunks(stream, late)

    def unfinished(self, stream: str, limit: int) -> list[UnfinishedBatch]:
        """Return up to `limit` batches of `stream` that have not entered its window whole, in their order."""
        ids = [text(raw) for raw in self.client.zrange(keys.stream_key(stream, "pending"), 0, _MOST_PENDING - 1)]
        pipe = self.client.pipeline(transaction=False)
        for chunk_id in ids:
            pipe.hmget(keys.stream_key(stream, "chunk", chunk_id), "sent_at", "message")
        waiting: dict[str, list[tuple[bool, bool]]] = {}
        for chunk_id, (sent_at, message) in zip(ids, pipe.execute() if ids else [], strict=True):
            waiting.setdefault(chunk_id.rpartition("-")[0], []).append((sent_at is not None, message is not None))
        found = []
        for batch_id, rows in list(waiting.items())[:limit]:
            message = binary(self.client.hget(keys.stream_key(stream, "batch", batch_id), "message"))
            batch = _read(message) if message else None
            if isinstance(batch, FrameBatch):
                found.append(
                    UnfinishedBatch(
                        batch_id=batch_id,
                        stream=stream,
                        uri=batch.source.uri,
                        received_at=batch.received_at,
                        chunks=len(batch.starts),
                        queued=sum(not sent for sent, _ in rows),
                        embedding=sum(sent and not done for sent, done in rows),
                        embedded=sum(done for _, done in rows),
                    )
                )
        return found

    def _chunks(self, stream: str, ids: Sequence[str]) -> list[Chunk]:
        """Return the chunks with these ids, as their batches define them; give up those whose batch is unreadable."""
        batches: dict[str, FrameBatch | BadMessage | None] = {}
        stored: dict[str, bytes] = {}
        found = []
        for chunk_id in ids:
            batch_id = chunk_id.rpartition("-")[0]
            if batch_id not in batches:
                message = self.client.hget(keys.stream_key(stream, "batch", batch_id), "message")
                stored[batch_id] = binary(message) or b""
                batches[batch_id] = _read(stored[batch_id]) if stored[batch_id] else None
            batch = batches[batch_id]
            if isinstance(batch, BadMessage):
                letter = unreadable_chunk(stream, chunk_id, batch, stored[batch_id], time.time())
                self._given_up.give_up(stand_in(stream, chunk_id), letter)
                continue
            chunk = batch.chunk_at(chunk_id) if batch is not None else None
            if chunk is not None:
                found.append(chunk)
        return found

    def listing(self, stream: str, folder: str) -> dict[str, str]:
        """Return the images (name -> digest) of an accepted folder; an empty dict if it was not accepted."""
        rows = self.client.hgetall(self._folder_key(stream, folder))
        return {text(name): text(digest) for name, digest in rows.items()}

    def listed_digest(self, stream: str, folder: str, name: str) -> str | None:
        """Return the digest with which an accepted folder lists the image `name`; None if it does not."""
        digest = self.client.hget(self._folder_key(stream, folder), name)
        return text(digest) if digest is not None else None

    def _folder_key(self, stream: str, folder: str) -> str:
        return keys.stream_key(stream, "folder", content_id(folder))

    def known(self, stream: str, batch_id: str) -> bool:
        """Return whether the stream had this batch. A call renews the time for which a finished batch stays known."""
        key = keys.stream_key(stream, "batch", batch_id)
        unreduced, keep = self.client.hmget(key, "unreduced", "keep")
        if unreduced is not None and int(unreduced) == 0:
            self.client.expire(key, int(keep or self._retention))
        return unreduced is not None

    def state(self, stream: str, batch_id: str) -> BatchState:
        """Return how far a batch is; one that was complete is unknown again after its retention."""
        unreduced = self.client.hget(keys.stream_key(stream, "batch", batch_id), "unreduced")
        if unreduced is None:
            return BatchState.OFFERED
        return BatchState.COMPLETE if int(unreduced) == 0 else BatchState.ACCEPTED

    def source_uri(self, stream: str, batch_id: str) -> str | None:
        """Return the URI of the source of a batch that is not finished; None if there is none, or it is unreadable."""
        message = binary(self.client.hget(keys.stream_key(stream, "batch", batch_id), "message"))
        batch = _read(message) if message else None
        return batch.source.uri if isinstance(batch, FrameBatch) else None

    def finished(self, stream: str, ids: Sequence[str]) -> set[str]:
        """Return those of these accepted batches of which nothing waits any more.

        All their chunks have entered the stream's window or were given up, or the stream was forgotten.
        """
        pipe = self.client.pipeline(transaction=False)
        for batch_id in ids:
            pipe.hget(keys.stream_key(stream, "batch", batch_id), "unreduced")
        left = pipe.execute() if ids else []
        return {batch_id for batch_id, count in zip(ids, left, strict=True) if count is None or int(count) == 0}

    def keep_data(self, stream: str, batch_id: str, data: bytes) -> None:
        """Store what came with an event, for `retention` seconds unless `hold_data` prolongs that.

        That is an image, or the name of the spooled file in which it is: both are kept for as long as this key is.
        """
        self.client.set(keys.stream_key(stream, "data", batch_id), data, ex=self._retention)

    def hold_data(self, stream: str, batch_id: str) -> None:
        """Keep that until its batch, which is registered now, is finished."""
        self.client.persist(keys.stream_key(stream, "data", batch_id))

    def kept_seconds(self, stream: str, batch_ids: Sequence[str]) -> list[float]:
        """Return for how long what `keep_data` stored of each batch is kept; infinite until it is finished, 0: it is
        not, or the batch is unknown."""
        pipe = self.client.pipeline(transaction=False)
        for batch_id in batch_ids:
            pipe.ttl(keys.stream_key(stream, "data", batch_id))
            pipe.exists(keys.stream_key(stream, "batch", batch_id))
        answers = pipe.execute() if batch_ids else []
        return [
            0.0 if not known or left == _NO_KEY else math.inf if left == _NO_EXPIRY else float(left)
            for left, known in zip(answers[::2], answers[1::2], strict=True)
        ]

    def data(self, stream: str, batch_id: str) -> bytes | None:
        """Return the image that `keep_data` stored; None once it has expired."""
        return binary(self.client.get(keys.stream_key(stream, "data", batch_id)))


def _read(stored: bytes) -> FrameBatch | BadMessage:
    try:
        return FrameBatch.from_json(stored)
    except BadMessage as error:
        return error
