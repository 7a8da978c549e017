"""What takes in entries of Streams that others write to: back-pressure, tries, dead letters, acknowledging afterwards.

Whatever stands in an entry, and whatever is wrong with handling it, it stops neither the process nor what stands behind
it. An error that will pass (Redis is away or full) leaves the entry where it is.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

from common.contracts.dead_letters import DeadLetterKind
from common.contracts.ids import content_id
from common.errors import Backlogged, BrokerUnavailable, SentinelError, StillPreparing, StorageUnavailable
from common.store import Store
from common.store.client import is_unavailable
from common.store.event_log import dead_letter
from common.store.ingest import RawEntry
from common.store.ingest_streams import IngestStreams

log = logging.getLogger(__name__)

_BLOCK_MS = 500  # how long one read waits; also how soon a stop is noticed
_CLAIM_AFTER_SECONDS = 30.0  # entries of a process that died are taken over after this
# An entry becomes a dead letter after this if it fails for an unknown reason, or object storage does not answer: that
# may last, and other cameras' entries stand behind it.
_MOST_TRIES = 3
_TRY_AGAIN_SECONDS = 0.5
_PAUSE_SECONDS = 1.0  # between attempts while Redis is away

Fields = Mapping[bytes, bytes]


class EntryReader(ABC):
    """One process that takes entries in. Any number may run: the consumer groups share the entries out.

    Parameters
    ----------
    store : where the Streams are and dead letters go
    what : the entries, in the plural, for logs
    root : key of the Stream that all writers share
    count : entries per read: after so many, another writer's Stream has its turn
    """

    def __init__(self, store: Store, what: str, *, root: str, count: int) -> None:
        self.store = store
        self._what = what
        self._count = count
        consumer = f"{socket.gethostname()}-{os.getpid()}"
        self._streams = IngestStreams(store.client, consumer, claim_after=_CLAIM_AFTER_SECONDS, root=root)
        self._stop = threading.Event()
        self._beat: Callable[[], None] = lambda: None

    @abstractmethod
    def accept(self, fields: Fields) -> object:
        """Take one entry in; it may come again, and must count once. What is wrong with it is a `SentinelError`."""

    @abstractmethod
    def stream_named(self, fields: Fields) -> str:
        """Return the stream that an entry names, or an empty string."""

    def run(self, stop: threading.Event, beat: Callable[[], None] = lambda: None) -> None:
        """Work until `stop` is set; while Redis cannot work, wait and go on with what was not acknowledged.

        Each turn calls `beat`, for others to see.
        """
        self._stop, self._beat = stop, beat
        while not stop.is_set():
            beat()
            try:
                self.step()
            except Exception as error:
                if not will_pass(error):
                    raise
                log.warning("%s wait (%s), trying again", self._what, error)
                self._streams.resume()
                stop.wait(_PAUSE_SECONDS)

    def step(self) -> int:
        """Take in what one writer's Stream holds, waiting briefly for it; return the number of entries handled.

        While Redis holds too much, what was sent stays where it is, in its order.
        """
        page = self._streams.read(count=self._count, block_ms=_BLOCK_MS)
        if page is None:
            return 0
        began, handled = time.monotonic(), 0
        for entry_id, fields in page.entries:
            if not self._wait_for_room():
                break
            self.take(page.stream, entry_id, fields)
            self._streams.acknowledge(page.stream, entry_id)
            handled += 1
        self._streams.charge(page.stream, time.monotonic() - began)
        return handled

    def _wait_for_room(self) -> bool:
        """Return once Redis has room for more work; False if the process is to stop."""
        said = False
        while True:
            try:
                self.store.require_room()
                return True
            except Backlogged as error:
                if not said:
                    log.warning("%s wait: %s", self._what, error)
                said = True
            self._beat()
            if self._stop.wait(_PAUSE_SECONDS):
                return False

    def take(self, stream_key: str, entry_id: str, fields: Fields) -> None:
        """Take an entry in, whatever is wrong with it ends as a dead letter."""
        tries = 0
        while True:
            try:
                self.accept(fields)
                return
            except Exception as error:
                if will_pass(error):
                    raise
                tries += 1
                if not may_pass(error) or tries >= _MOST_TRIES:
                    self._bury(stream_key, entry_id, fields, error)
                    return
                log.warning(
                    "entry %s of %s failed, try %d of %d", entry_id, stream_key, tries, _MOST_TRIES, exc_info=True
                )
                self._stop.wait(_TRY_AGAIN_SECONDS)

    def _bury(self, stream_key: str, entry_id: str, fields: Fields, error: Exception) -> None:
        stream = self.stream_named(fields)
        subject = f"event {fields.get(b'id', entry_id.encode()).decode(errors='replace')}"
        original = RawEntry.of(fields, stream_key)
        # Two Streams may give two entries one id, and so may one Stream that was begun anew.
        version = content_id(entry_id, original.to_json())
        letter = dead_letter(DeadLetterKind.EVENT, stream, subject, error, original, version=version)
        if self.store.event_log.bury(letter):
            log.warning("stream %s: %s", stream or "?", error)


def will_pass(error: Exception) -> bool:
    """Return whether nothing is wrong with the entry that met `error`: Redis or the broker cannot work now, or the
    backbone is being loaded for a stream that begins to learn."""
    return isinstance(error, BrokerUnavailable | StillPreparing) or is_unavailable(error)


def may_pass(error: Exception) -> bool:
    """Return whether `error`, which `will_pass` does not know, is worth a few more tries: nobody knows its reason, or
    object storage does not answer."""
    return isinstance(error, StorageUnavailable) or not isinstance(error, SentinelError)
