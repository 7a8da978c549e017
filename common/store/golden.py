"""What people say of a stream, in Redis: accepted golden baselines and mutes; and streams that wait for a baseline."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum

import redis

from common.contracts.golden import GoldenRecord, Mute, WaitingStream
from common.contracts.incidents import IncidentNote
from common.errors import BadMessage
from common.store import keys
from common.store.client import load_script, text
from common.store.learning import StoredLearning

_MOST_WAITING = 1_000  # names come from outside, and without a baseline nothing else limits how many


class Appended(IntEnum):
    """Result of `GoldenStore.append`."""

    UNKNOWN_STREAM = -1
    CHANGED = 0
    """Somebody else has appended a record since the latest one was read."""
    DONE = 1


@dataclass(frozen=True)
class StoredBinding:
    """What says by what a stream is judged, as stored.

    Attributes
    ----------
    latest : the latest `GoldenRecord`
    waiting : its `WaitingStream`
    learning : what it learns
    """

    latest: bytes | None
    waiting: bytes | None
    learning: StoredLearning


class GoldenStore:
    """The golden baseline of each stream, as far as a person has changed it."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        self._append = load_script(client, "append_golden")
        self._mute = load_script(client, "mute_stream")

    # --- accepted baselines

    def latest(self, stream: str) -> GoldenRecord | None:
        """Return the latest record of the stream's history, None if there is none; raise `BadMessage` if unreadable."""
        data = self.client.get(keys.stream_key(stream, "golden"))
        return GoldenRecord.from_json(data) if data else None

    def history(self, stream: str) -> list[GoldenRecord]:
        """Return all records, oldest first; raise `BadMessage` if one is unreadable."""
        rows = self.client.lrange(keys.stream_key(stream, "golden-history"), 0, -1)
        return [GoldenRecord.from_json(row) for row in rows]

    def append(self, record: GoldenRecord, *, over: GoldenRecord | None, notes: Sequence[IncidentNote]) -> Appended:
        """Append `record` if the latest record is still `over`, and put `notes` into the stream's inbox with it."""
        stream = record.stream
        return Appended(
            self._append(
                keys=[
                    keys.stream_key(stream, "golden"),
                    keys.stream_key(stream, "golden-history"),
                    keys.stream_key(stream, "inbox"),
                    keys.STREAMS,
                ],
                args=[
                    over.number if over is not None else 0,
                    record.to_json(),
                    stream,
                    *(note.to_json() for note in notes),
                ],
            )
        )

    # --- streams that wait for a baseline

    def bound(self, stream: str) -> StoredBinding:
        """Return what says by what `stream` is judged, in one round trip."""
        (found,) = self.bounds([stream])
        return found

    def bounds(self, names: Sequence[str]) -> list[StoredBinding]:
        """Return the same of several streams, in the same order, in one round trip too."""
        pipe = self.client.pipeline(transaction=False)
        for stream in names:
            pipe.get(keys.stream_key(stream, "golden"))
            pipe.hget(keys.WAITING, stream)
            pipe.hgetall(keys.stream_key(stream, "learning"))
        answers = iter(pipe.execute())
        return [
            StoredBinding(latest, waiting, StoredLearning.of(learning))
            for latest, waiting, learning in zip(answers, answers, answers, strict=True)
        ]

    def note_waiting(self, stream: str, reason: str) -> None:
        """Note that `stream` waits for a baseline. Of more than `_MOST_WAITING` streams no further one is noted."""
        if self.client.hlen(keys.WAITING) >= _MOST_WAITING and not self.client.hexists(keys.WAITING, stream):
            return
        waiting = WaitingStream(stream=stream, reason=reason, since=time.time())
        self.client.hset(keys.WAITING, stream, waiting.to_json())

    def end_waiting(self, stream: str) -> None:
        """Note that `stream` has a baseline now."""
        self.client.hdel(keys.WAITING, stream)

    def waiting(self) -> dict[str, WaitingStream]:
        """Return the streams that wait for a baseline, by name; those that a newer version noted are left out."""
        found = {}
        for stream, row in self.client.hgetall(keys.WAITING).items():
            with suppress(BadMessage):
                found[text(stream)] = WaitingStream.from_json(row)
        return dict(sorted(found.items()))

    # --- mutes

    def mute(self, stream: str, mute: Mute | None, notes: Sequence[IncidentNote] = ()) -> int:
        """Mute `stream`, or with None end its mute.

        Returns
        -------
        1 if that was done, 0 if there was no mute to end, -1 if there is no such stream.
        """
        lasts = max(1, int((mute.until - time.time()) * 1000)) if mute is not None else 0
        parts = (keys.stream_key(stream, "mute"), keys.STREAMS, keys.stream_key(stream, "inbox"))
        said = mute.to_json() if mute is not None else ""
        return int(self._mute(keys=list(parts), args=[stream, said, lasts, *(note.to_json() for note in notes)]))

    def muted(self, stream: str) -> Mute | None:
        """Return the mute of `stream`; None if there is none, it is over, or it cannot be read and mutes nothing."""
        data = self.client.get(keys.stream_key(stream, "mute"))
        try:
            return Mute.from_json(data) if data else None
        except BadMessage:
            return None
