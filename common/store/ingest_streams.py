"""All Streams that cameras and users' programs write to: read by one consumer, and repaired if a writer has made them
unusable.

`sentinel:ingest` is shared by every camera that may write to it, and so is `sentinel:truth` by every program that hands
labels in. A Stream `sentinel:ingest:NAME` has a single writer if Redis' access control is set up so: whatever that
writer does to it (the greatest possible id, `MAXLEN 0`) affects no other camera.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import cast

import redis

from common.contracts.dead_letters import StreamRepair
from common.store import keys
from common.store.client import entry_position, load_script, text
from common.store.ingest import Entry, GroupReader, pages

log = logging.getLogger(__name__)

INGEST_GROUP = "bridge"
"""The consumer group of all processes that read such Streams. The name is that of version 0.1."""

_FUTURE_MS = (
    86_400_000  # an id may be a day ahead of Redis' clock: a camera that sets its own ids has a clock of its own
)
_LOOK_SECONDS = 5.0  # how often Streams are listed and checked
_LOOK_SHARE = 0.05  # largest share of the time spent on that, however many keys Redis holds
_SCAN_COUNT = 1000  # keys per step of SCAN
_CREDIT_SECONDS = 30.0  # most time that a quiet Stream may lag behind the busiest in what it was charged
_ASIDE = ":set-aside-"


@dataclass(frozen=True)
class StreamPosition:
    """Last id of a Stream, and the last id delivered to its group; `delivered` is None if the group is missing."""

    last: tuple[int, int]
    delivered: tuple[int, int] | None
    clock_ms: int
    entries: int

    @property
    def is_full(self) -> bool:
        """Whether its last id is so far in the future that hardly any id is left after it."""
        return self.last[0] > self.clock_ms + _FUTURE_MS

    @property
    def trouble(self) -> str | None:
        """What prevents entries from being written or read; None if nothing does."""
        if self.is_full:
            return f"its last id is {self.last[0]}-{self.last[1]}, far in the future, which leaves no room after it"
        if self.delivered is not None and self.delivered > self.last:
            return (
                f"its group stands at {self.delivered[0]}-{self.delivered[1]}, beyond its last id "
                f"{self.last[0]}-{self.last[1]}, so that new entries would never be read"
            )
        return None


@dataclass(frozen=True)
class Page:
    """Some entries of one Stream."""

    stream: str
    entries: list[Entry]


class IngestStreams:
    """One consumer of the group on a root, such as `sentinel:ingest`, and on every `sentinel:ingest:NAME`.

    Time is shared fairly: the next page is read from the Stream that was charged
    the least time recently, so a Stream with costly entries delays only itself.

    A Stream whose last id is far ahead of Redis' clock cannot be written to any
    more. It is renamed, read to its end under the new name, and started again.
    A group whose last delivered id is beyond the Stream's last id would never get
    a new entry; it is reset to the beginning.

    Parameters
    ----------
    consumer : name of this process in the group
    claim_after : seconds after which the unacknowledged entries of another process are claimed
    root : key of the Stream that all share
    """

    def __init__(self, client: redis.Redis, consumer: str, *, claim_after: float, root: str = keys.INGEST) -> None:
        self.client = client
        self._root = root
        self._consumer = consumer
        self._claim_after = claim_after
        self._position = load_script(client, "inspect_ingest")
        self._set_aside = load_script(client, "set_ingest_aside")
        self._readers: dict[str, GroupReader] = {}
        self._spent: dict[str, float] = {}
        self._held: dict[str, list[Entry]] = {}  # read by `_wait`, not yet returned
        self._next_look = 0.0

    def read(self, *, count: int, block_ms: int) -> Page | None:
        """Return up to `count` entries of one Stream; None if there were none within `block_ms` milliseconds."""
        if time.monotonic() >= self._next_look:
            self._look()
        page = self._next_page(count)
        if page is None:
            self._wait(count, block_ms)
            page = self._next_page(count)
        return page

    def acknowledge(self, stream: str, entry_id: str) -> None:
        """Acknowledge and delete an entry."""
        self._readers[stream].acknowledge(entry_id)

    def charge(self, stream: str, seconds: float) -> None:
        """Add the seconds that handling entries of `stream` took to what it was charged."""
        self._spent[stream] = self._spent.get(stream, 0.0) + seconds
        most = max(self._spent.values())
        self._spent = {name: max(spent, most - _CREDIT_SECONDS) for name, spent in self._spent.items()}

    def resume(self) -> None:
        """Read the unacknowledged entries again, because handling them was interrupted."""
        self._held.clear()
        for reader in self._readers.values():
            reader.resume()

    def _next_page(self, count: int) -> Page | None:
        for stream in sorted(self._readers, key=lambda name: self._spent.get(name, 0.0)):
            entries = self._held.pop(stream, None) or self._read_one(stream, count)
            if entries:
                return Page(stream, entries)
        return None

    def _read_one(self, stream: str, count: int) -> list[Entry]:
        try:
            return list(self._readers[stream].read(count=count, block_ms=None))
        except redis.ResponseError as error:
            if not _is_gone(error):
                raise
            self._drop(stream)
            return []

    def _wait(self, count: int, block_ms: int) -> None:
        """Wait up to `block_ms` milliseconds for new entries on any Stream."""
        streams = dict.fromkeys(self._readers, ">")
        if not streams:
            time.sleep(block_ms / 1000)
            return
        try:
            answer = self.client.xreadgroup(INGEST_GROUP, self._consumer, streams, count=count, block=block_ms)  # type: ignore[arg-type]
        except redis.ResponseError as error:
            if not _is_gone(error):
                raise
            self._next_look = 0.0  # a Stream was deleted: list them again
            return
        self._held.update(pages(answer))

    # --- keeping them readable ------------------------------------------------------------------

    def _look(self) -> None:
        """List the Streams, and repair those that cannot be written to or read."""
        began = time.monotonic()
        found = ingest_streams(self.client, self._root)
        for stream in self._readers.keys() - set(found):
            self._drop(stream)
        for stream in found:
            try:
                self._join(stream)
                self._mend(stream)
            except redis.ResponseError as error:
                if not _is_gone(error):
                    raise
                if stream != self._root:  # reading it creates it
                    self._drop(stream)
        took = time.monotonic() - began
        self._next_look = began + max(_LOOK_SECONDS, took / _LOOK_SHARE)

    def _join(self, stream: str) -> None:
        if stream not in self._readers:
            self._readers[stream] = GroupReader(
                self.client,
                stream,
                INGEST_GROUP,
                self._consumer,
                claim_after=self._claim_after,
                consume=True,
                make_stream=stream == self._root,
            )

    def _drop(self, stream: str) -> None:
        self._readers.pop(stream, None)
        self._spent.pop(stream, None)
        self._held.pop(stream, None)
        if stream == self._root:
            self._next_look = 0.0  # create it again at the next read

    def _mend(self, stream: str) -> None:
        position = self._position_of(stream)
        if _ASIDE in stream:
            if not position.entries:
                self.client.delete(stream)
                self._drop(stream)
                return
        elif position.is_full:
            aside = f"{self._root}:{stream.removeprefix(self._root).lstrip(':')}{_ASIDE}{time.time_ns()}"
            last = f"{position.last[0]}-{position.last[1]}"
            if self._set_aside(keys=[stream, aside], args=[INGEST_GROUP, last]):
                self._note(stream, position, f"it was begun anew; what it held is read from {aside}")
                self._held.pop(stream, None)
                self._join(aside)
            return
        if position.delivered is not None and position.delivered > position.last:
            # Handled entries are deleted, so every entry that exists is still to be handled.
            self.client.xgroup_setid(stream, INGEST_GROUP, "0")
            self._note(stream, position, "its group was set back to its beginning")

    def _position_of(self, stream: str) -> StreamPosition:
        return position_of(self._position(keys=[stream], args=[INGEST_GROUP]))

    def _note(self, stream: str, position: StreamPosition, what: str) -> None:
        earlier = self.client.hget(keys.INGEST_REPAIRS, stream)
        times = StreamRepair.from_json(earlier).times if earlier else 0
        repair = StreamRepair(
            stream_key=stream, why=position.trouble or "", what=what, time=time.time(), times=times + 1
        )
        self.client.hset(keys.INGEST_REPAIRS, stream, repair.to_json())
        log.error(
            "%s: %s. Whoever may write to it did that: give each writer a Stream of its own. Mended: %s",
            stream, repair.why, what,
        )  # fmt: skip


def ingest_streams(client: redis.Redis, root: str = keys.INGEST) -> list[str]:
    """Return the key of the Stream that all writers share, which need not exist, and of those that have one writer."""
    found = []
    for key in client.scan_iter(match=f"{root}:*", count=_SCAN_COUNT, _type="stream"):
        try:
            found.append(text(key))
        except UnicodeDecodeError:
            log.error("the Stream %r has a name that is not UTF-8, and is not read: rename it", key)
    return [root, *sorted(found)]


def ingest_troubles(client: redis.Redis, root: str = keys.INGEST) -> dict[str, str]:
    """Return key -> what is wrong, for the Streams that cannot be written to or read; `sentinel doctor` shows it."""
    script = load_script(client, "inspect_ingest")
    troubles = {}
    for stream in ingest_streams(client, root):
        try:
            trouble = position_of(script(keys=[stream], args=[INGEST_GROUP])).trouble
        except redis.ResponseError as error:
            if not _is_gone(error):
                raise
            if client.type(stream) not in {b"none", b"stream"}:
                troubles[stream] = "the key holds something that is no Stream, so that nothing can be written to it"
            continue
        if trouble is not None and _ASIDE not in stream:
            troubles[stream] = trouble
    return troubles


def ingest_repairs(client: redis.Redis) -> list[StreamRepair]:
    """Return the latest repair of each Stream that was repaired."""
    return [StreamRepair.from_json(text(row)) for row in client.hvals(keys.INGEST_REPAIRS)]


def position_of(answer: object) -> StreamPosition:
    """Parse the reply of `inspect_ingest.lua`."""
    last, delivered, clock, entries = (text(part) for part in cast("list[object]", answer))
    return StreamPosition(
        entry_position(last), entry_position(delivered) if delivered else None, int(clock), int(entries)
    )


def _is_gone(error: redis.ResponseError) -> bool:
    """Return whether `error` means that a Stream or its group does not exist, or that the key is not a Stream."""
    said = str(error)
    return any(reply in said for reply in ("NOGROUP", "no such key", "requires the key to exist", "WRONGTYPE"))
