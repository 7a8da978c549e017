"""Reading a Redis Stream by consumer group, so that an entry is handled at least once and then acknowledged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Self

import redis

from common.contracts.ids import Message
from common.store import keys
from common.store.client import fields_of, text


class RawEntry(Message):
    """The fields of a Stream entry as they were, latin-1 so that every byte survives JSON."""

    fields: dict[str, str]
    stream_key: str = keys.INGEST

    @classmethod
    def of(cls, fields: dict[str, bytes], stream_key: str = keys.INGEST) -> Self:
        return cls(fields={name: value.decode("latin-1") for name, value in fields.items()}, stream_key=stream_key)

    def send(self, client: redis.Redis) -> str:
        """Put the entry on its Stream again; return what was done."""
        restored: dict[str, bytes] = {name: value.encode("latin-1") for name, value in self.fields.items()}
        client.xadd(self.stream_key, dict(restored.items()))
        return f"put on {self.stream_key} again"


def offer(client: redis.Redis, fields: Mapping[str, str | bytes]) -> None:
    """Put an event on `sentinel:ingest`, as a camera does."""
    client.xadd(keys.INGEST, dict(fields.items()))


class GroupReader:
    """One consumer of one group on one Stream.

    Entries that another consumer took and never acknowledged (it was killed)
    come to this one after `claim_after` seconds. With `consume`, entries are
    deleted once acknowledged, so the Stream holds just what is still to be done.
    """

    def __init__(
        self, client: redis.Redis, stream: str, group: str, consumer: str, *, claim_after: float, consume: bool = False
    ) -> None:
        self.client = client
        self.stream = stream
        self.group = group
        self.consumer = consumer
        self._consume = consume
        self._claim_after_ms = int(claim_after * 1000)
        self._create()

    def _create(self) -> None:
        try:
            self.client.xgroup_create(self.stream, self.group, id="0", mkstream=True)
        except redis.ResponseError as error:
            if "BUSYGROUP" not in str(error):  # the group exists: that is what we want
                raise

    def read(self, *, count: int, block_ms: int) -> Iterator[tuple[str, dict[str, bytes]]]:
        """Yield abandoned entries first, then new ones; wait up to `block_ms` for the latter."""
        try:
            yield from self._abandoned(count)
            answer = self.client.xreadgroup(self.group, self.consumer, {self.stream: ">"}, count=count, block=block_ms)
        except redis.ResponseError as error:
            if "NOGROUP" not in str(error):  # Redis came back empty: begin anew
                raise
            self._create()
            return
        for _, entries in _pairs(answer):
            for entry_id, fields in entries:
                yield text(entry_id), fields_of(fields)

    def _abandoned(self, count: int) -> Iterator[tuple[str, dict[str, bytes]]]:
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


def _pairs(answer: object) -> list[tuple[bytes, list[tuple[bytes, object]]]]:
    """XREADGROUP answers a list of pairs, or with RESP3 a map: give both the same shape."""
    if not answer:
        return []
    if isinstance(answer, dict):
        return [(stream, [row for page in pages for row in page]) for stream, pages in answer.items()]
    return list(answer)  # type: ignore[call-overload,no-any-return]
