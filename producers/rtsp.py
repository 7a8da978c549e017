"""Fetches live cameras, the streams with a `url` in sentinel.toml, and hands in what they send in short segments.

    camera --packets--> reader (a thread each) --segments--> spool on disk --oldest first--> ingest

Packets are copied, never decoded. While all is quiet a segment is judged by its key frames, in doubt by as many frames
as its baseline asks for (`producers.cameras.attention`). What cannot be handed in now (Redis is away or full, a stream
has no baseline yet, six segments of a stream are being judged) waits in the spool, which is bounded; so a slow or
broken stack loses the oldest footage, and this process lives. A segment counts once, whatever is killed: its batch is
named by its file.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Collection
from contextlib import closing, suppress
from functools import partial

from filelock import FileLock, Timeout

from common.contracts.batches import SourceRequest
from common.contracts.dead_letters import DeadLetterKind
from common.errors import BrokerUnavailable, Refused, SentinelError, SettingsError
from common.ingest.accept import Ingestor, event_batch_id
from common.resource_limits import limit_memory, return_large_buffers
from common.settings import Settings
from common.store import Store, open_store
from common.store.client import unavailability
from common.stream_config import stream_config
from producers.cameras.attention import Attention
from producers.cameras.reader import Camera, Reader
from producers.cameras.segments import Segment
from producers.cameras.spool import Shelf, Spool

log = logging.getLogger(__name__)

_TURN_SECONDS = 0.5
_MOST_JUDGING = 6  # segments of one stream that are handed in and not judged: the rest waits where it can be removed
_HAND_IN_SECONDS = 2.0  # per turn
_HOLD_SECONDS = 5.0  # for which a stream waits whose segment cannot be accepted yet, and all while Redis cannot work
_REPORT_SECONDS = 5.0
_STOP_SECONDS = 2.0  # for all readers together to end their segments
_SECONDS_PER_DAY = 86_400.0
_BYTES_PER_MB = 1_000_000


class Cameras:
    """The one process that fetches the live cameras of a spool."""

    def __init__(self, settings: Settings, store: Store, ingestor: Ingestor) -> None:
        self.settings = settings
        self.store = store
        self.ingestor = ingestor
        self.attention = Attention(settings, store, ingestor.baselines)
        self.spool = Spool(settings.live_dir, settings.spool_mb * _BYTES_PER_MB)
        self._arrived: queue.SimpleQueue[Segment] = queue.SimpleQueue()
        self._readers: dict[str, Reader] = {}
        self._held: dict[str, float] = {}  # stream -> until when, on the monotonic clock
        self._said: dict[str, str] = {}
        self._hold_all = self._next_report = 0.0
        self._last_turn = ""
        self._lock = FileLock(settings.live_dir / ".lock")

    def run(self, stop: threading.Event, beat: Callable[[], None] = lambda: None) -> None:
        """Fetch until `stop` is set; each turn calls `beat`."""
        try:
            while not stop.is_set():
                beat()
                self.step(beat)
                stop.wait(_TURN_SECONDS)
        finally:
            self.close()

    def step(self, beat: Callable[[], None] = lambda: None) -> None:
        """One turn: follow sentinel.toml, take in what arrived, make room, hand in what waits, say how it goes."""
        self._follow_config()
        self._take_in()
        self._with_redis(self._note_judged)
        self.spool.make_room(self._incidents() if self.spool.size > self.spool.most else {})
        self._with_redis(partial(self._hand_in, beat))
        self._with_redis(self._report)

    def _with_redis(self, action: Callable[[], None]) -> None:
        """Do something that needs Redis; while Redis cannot work nothing is done, and footage waits in the spool."""
        if time.monotonic() < self._hold_all:
            return
        try:
            with unavailability():
                action()
        except BrokerUnavailable as error:
            self._hold_all = time.monotonic() + _HOLD_SECONDS
            self._say("", f"live cameras are stored, and wait to be handed in: {error}")

    def close(self) -> None:
        """End the readers; what they have stored is handed in by the next process."""
        _end(self._readers.values())
        self._lock.release()

    def _follow_config(self) -> None:
        """Read the cameras that sentinel.toml names now; one whose table has changed is opened anew."""
        try:
            tables = stream_config(self.settings).streams
        except SettingsError as error:
            self._say("", f"no camera is fetched: {error}")
            return
        wanted = {name: Camera.of_table(name, table) for name, table in tables.items() if table.url is not None}
        if not self._lock.is_locked:
            if not self._take_lock():
                return
            self.spool.open(wanted, time.time() - self.settings.retention_days * _SECONDS_PER_DAY)
        changed = [stream for stream, reader in self._readers.items() if wanted.get(stream) != reader.camera]
        _end([self._readers.pop(stream) for stream in changed])
        self._take_in()
        for stream in changed:
            if stream not in wanted:
                self.spool.leave(stream)
        for stream in wanted.keys() - self._readers.keys():
            self._readers[stream] = Reader(wanted[stream], self.settings, self._arrived.put)
            self._readers[stream].start()

    def _take_lock(self) -> bool:
        """Return whether the spool is this process's alone from now on; another one that has it fetches."""
        self.settings.live_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            self._say("", f"another process fetches the cameras into {self.settings.live_dir}: this one waits")
            return False
        return True

    def _take_in(self) -> None:
        with suppress(queue.Empty):
            while True:
                self.spool.add(self._arrived.get_nowait())

    def _note_judged(self) -> None:
        """Move what was judged; asked where a stream has as much in hand as it may, or there is no room."""
        full = self.spool.size > self.spool.most
        for stream, shelf in self.spool.shelves.items():
            if shelf.judging and (full or len(shelf.judging) >= _MOST_JUDGING):
                ids = {batch_id_of(segment): segment for segment in shelf.judging}
                for batch_id in self.store.batches.finished(stream, list(ids)):
                    self.spool.judged(ids[batch_id])

    def _hand_in(self, beat: Callable[[], None]) -> None:
        """Hand in the oldest segments of each stream, one of each in turn, for a while: then room has to be made."""
        handed, until = True, time.monotonic() + _HAND_IN_SECONDS
        while handed:
            handed = False
            for stream, shelf in self._in_turn():
                if time.monotonic() > until:
                    return
                self._last_turn = stream
                if shelf.waiting and len(shelf.judging) < _MOST_JUDGING and not self._is_held(stream):
                    beat()
                    handed |= self._hand_in_one(shelf.waiting[0])

    def _in_turn(self) -> list[tuple[str, Shelf]]:
        """Return the streams, those first that come after the one that had its turn last."""
        rows = sorted(self.spool.shelves.items())
        return sorted(rows, key=lambda row: row[0] <= self._last_turn)

    def _is_held(self, stream: str) -> bool:
        return time.monotonic() < self._held.get(stream, 0.0)

    def _hand_in_one(self, segment: Segment) -> bool:
        """Hand a segment in; return whether it waits no longer. What can never be judged becomes a dead letter."""
        stream, uri = segment.stream, str(segment.path)
        if not segment.path.exists():  # its stream was forgotten
            self.spool.judged(segment)
            return True
        if self.store.batches.known(stream, batch_id_of(segment)):
            # By the process before this one. It is not opened again: new footage waits behind all that is stored.
            self.spool.handed_in(segment)
            if self.store.batches.finished(stream, [batch_id_of(segment)]):
                self.spool.judged(segment)
            return True
        try:
            self.ingestor.accept_file(
                stream, uri, event_key=_event_key(segment), taken_at=segment.began, continues=True,
                sparse=self.attention.is_quiet(segment),
            )  # fmt: skip
        except Refused as error:
            self.ingestor.bury(
                DeadLetterKind.SOURCE, stream, uri, error, SourceRequest(stream=stream, uri=uri), version=uri
            )
            self.spool.judged(segment)
            return True
        except BrokerUnavailable:
            raise
        except SentinelError as error:
            self._held[stream] = time.monotonic() + _HOLD_SECONDS
            self._say(stream, f"stream {stream}: what its camera sends is stored, and waits: {error}")
            return False
        self._said.pop(stream, None)
        self._said.pop("", None)
        self.spool.handed_in(segment)
        return True

    def _incidents(self) -> dict[str, float]:
        """Return since when streams have an open incident of their footage; none while Redis is away."""
        found = {}
        with suppress(BrokerUnavailable), unavailability():
            for stream in self.spool.shelves:
                since = [row.since_time for row in self.store.streams.open_incidents(stream) if row.is_of_footage]
                if since:
                    found[stream] = min(since)
        return found

    def _report(self) -> None:
        now = time.monotonic()
        if now < self._next_report:
            return
        self._next_report = now + _REPORT_SECONDS
        lost = self.spool.lost
        self.store.cameras.put(
            reader.state.model_copy(update={"lost": lost.get(stream, 0)}) for stream, reader in self._readers.items()
        )

    def _say(self, about: str, text: str) -> None:
        """Log a warning, once while it stays the same."""
        if self._said.get(about) != text:
            self._said[about] = text
            log.warning("%s", text)


def _end(readers: Collection[Reader]) -> None:
    """Stop all, then wait for all of them together."""
    for reader in readers:
        reader.stop()
    deadline = time.monotonic() + _STOP_SECONDS
    for reader in readers:
        reader.join(max(0.0, deadline - time.monotonic()))


def _event_key(segment: Segment) -> str:
    return f"live {segment.path.name}"


def batch_id_of(segment: Segment) -> str:
    """Return the id of the batch that a segment becomes."""
    return event_batch_id(segment.stream, _event_key(segment), str(segment.path))


def main(settings: Settings, stop: threading.Event, beat: Callable[[], None]) -> None:
    """Fetch the live cameras of sentinel.toml until `stop` is set."""
    return_large_buffers()
    limit_memory(settings.max_memory_mb)
    store = open_store(settings)
    with closing(Ingestor(settings, store)) as ingestor:
        Cameras(settings, store, ingestor).run(stop, beat)
