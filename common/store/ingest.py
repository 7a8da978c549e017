"""Reading a Redis Stream by a consumer group: each entry is delivered at least once until it is acknowledged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Self

import redis
from pydantic import field_validator

from common.contracts.ids import Message
from common.store import keys
from common.store.client import fields_of, text

Entry = tuple[str, dict[bytes, bytes]]
"""Id and fields of a Stream entry; names and values are the writer's bytes."""

_BEGINNING = "0"


class RawEntry(Message):
    """A Stream entry, byte for byte. It is stored in dead letters of kind EVENT, so that they can be retried.

    Names and values are decoded as latin-1, which has a character for every byte, to be stored as JSON.
    """

    fields: tuple[tuple[str, str], ...]
    stream_key: str = keys.INGEST

    @field_validator("fields", mode="before")
    @classmethod
    def _open_version_0_1(cls, fields: object) -> object:
        """Convert the object that version 0.1 wrote: names were text, values latin-1."""
        if isinstance(fields, dict):
            return tuple((str(name).encode().decode("latin-1"), value) for name, value in fields.items())
        return fields

    @classmethod
    def of(cls, fields: Mapping[bytes, bytes], stream_key: str) -> Self:
        pairs = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in fields.items())
        return cls(fields=pairs, stream_key=stream_key)

    def send(self, client: redis.Redis) -> str:
        """Write the entry to its Stream again; return a sentence that describes what was done."""
        restored = {name.encode("latin-1"): value.encode("latin-1") for name, value in self.fields}
        client.xadd(self.stream_key, restored)  # type: ignore[arg-type]
        return f"put on {self.stream_key} again"


def offer(client: redis.Redis, fields: Mapping[str, str | bytes] | Mapping[bytes, bytes]) -> None:
    """Write an event to `sentinel:ingest`, as a camera does."""
    client.xadd(keys.INGEST, dict(fields.items()))


class GroupReader:
    """One consumer of one group on one Stream.

    Entries are read in this order: those that this consumer read earlier and did
    not acknowledge (after a restart, or when Redis was unavailable), those that
    another consumer has left unacknowledged for `claim_after` seconds, new ones.

    Parameters
    ----------
    claim_after : seconds after which another consumer's unacknowledged entries are claimed
    consume : delete an entry when it is acknowledged, so that the Stream holds only unfinished work
    make_stream : create the Stream if it does not exist; if False, reading a missing one raises `redis.ResponseError`
    """

    def __init__(
        self,
        client: redis.Redis,
        stream: str,
        group: str,
        consumer: str,
        *,
        claim_after: float,
        consume: bool = False,
        make_stream: bool = True,
    ) -> None:
        self.client = client
        self.stream = stream
        self.group = group
        self.consumer = consumer
        self._consume = consume
        self._make_stream = make_stream
        self._claim_after_ms = int(claim_after * 1000)
        self._own_after: str | None = _BEGINNING
        self._create()

    def _create(self) -> None:
        try:
            self.client.xgroup_create(self.stream, self.group, id=_BEGINNING, mkstream=self._make_stream)
        except redis.ResponseError as error:
            if "BUSYGROUP" not in str(error):  # the group exists already
                raise

    def resume(self) -> None:
        """Make the next read start with the entries that were read and not acknowledged."""
        self._own_after = _BEGINNING

    def read(self, *, count: int, block_ms: int | None) -> Iterator[Entry]:
        """Yield up to `count` unacknowledged entries, then new ones.

        `block_ms` is how long to wait for new entries, in milliseconds; None: do not wait.
        """
        try:
            if own := self._own(count):
                yield from own
                return
            yield from self._abandoned(count)
            answer = self.client.xreadgroup(self.group, self.consumer, {self.stream: ">"}, count=count, block=block_ms)
        except redis.ResponseError as error:
            if "NOGROUP" not in str(error):  # Redis lost its data: create the group again
                raise
            self._create()
            return
        for _, entries in pages(answer):
            yield from entries

    def _own(self, count: int) -> list[Entry]:
        """Return the next entries that this consumer read earlier and has not acknowledged."""
        while self._own_after is not None:
            answer = self.client.xreadgroup(self.group, self.consumer, {self.stream: self._own_after}, count=count)
            entries = [entry for _, page in pages(answer) for entry in page]
            self._own_after = entries[-1][0] if entries else None
            for entry_id in [entry_id for entry_id, fields in entries if not fields]:
                self.acknowledge(entry_id)  # deleted while it was pending
            if left := [entry for entry in entries if entry[1]]:
                return left
        return []

    def _abandoned(self, count: int) -> Iterator[Entry]:
        claimed = self.client.xautoclaim(
            self.stream, self.group, self.consumer, min_idle_time=self._claim_after_ms, count=count
        )
        for entry_id, fields in claimed[1]:
            if fields is not None:  # trimmed away while it was pending
                yield text(entry_id), fields_of(fields)

    def acknowledge(self, entry_id: str) -> None:
        pipe = self.client.pipeline()
        pipe.xack(self.stream, self.group, entry_id)
        if self._consume:
            pipe.xdel(self.stream, entry_id)
        pipe.execute()


def pages(answer: object) -> list[tuple[str, list[Entry]]]:
    """Return the entries in a reply of XREADGROUP, by Stream. The reply is a list of pairs, or with RESP3 a map."""
    if not answer:
        return []
    if isinstance(answer, dict):
        rows = [(stream, [row for page in found for row in page]) for stream, found in answer.items()]
    else:
        rows = list(answer)  # type: ignore[call-overload]
    return [(text(stream), [(text(at), fields_of(fields)) for at, fields in found]) for stream, found in rows]
