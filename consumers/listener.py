"""What every consumer runs: one consumer group on `sentinel:events`, and one thing to do with each event."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable, Mapping
from functools import cached_property

import redis
from kombu.exceptions import OperationalError

from common.contracts.dead_letters import DeadLetterKind
from common.contracts.events import Event
from common.errors import BrokerUnavailable
from common.store import Store, keys
from common.store.client import is_unavailable
from common.store.event_log import dead_letter, read_event
from common.store.ingest import GroupReader, RawEntry

log = logging.getLogger(__name__)

_BLOCK_MS = 500  # how long one read waits for an event; also how soon a stop is noticed
_COUNT = 100  # events per read
_CLAIM_AFTER_SECONDS = 30.0  # events that a consumer took before it died go to another one after this
_PAUSE_SECONDS = 1.0  # between attempts while Redis is away


def keep_running(step: Callable[[], object], stop: threading.Event, beat: Callable[[], None]) -> None:
    """Call `step` until `stop` is set, and `beat` before each call.

    After an error of Redis, of the broker or of the operating system (a full disk, a file that may not be written)
    it waits and goes on.
    """
    while not stop.is_set():
        beat()
        try:
            step()
        except (redis.RedisError, OperationalError, BrokerUnavailable, OSError) as error:
            log.warning("trying again after %s: %s", type(error).__name__, error)
            stop.wait(_PAUSE_SECONDS)


class Listener:
    """Hands every event to `handle`, at least once, and acknowledges it afterwards.

    An event that cannot be handled becomes a dead letter and is acknowledged
    too: it stops neither this process nor the events behind it. An error that
    will pass (Redis or the broker is away or full, any `OSError`) is raised, and
    the event comes again later. Processes of one group share the events out;
    each group gets all of them. A new group begins with the oldest that is kept.

    Parameters
    ----------
    store : where events come from and dead letters go
    group : name of the consumer group; Redis remembers by it how far it has read
    handle : what to do with an event; it may be called again with the same one
    """

    def __init__(self, store: Store, group: str, handle: Callable[[Event], None]) -> None:
        self._store = store
        self._group = group
        self._handle = handle

    @cached_property
    def _reader(self) -> GroupReader:
        """Made at the first read, when Redis may be away or full: `keep_running` then comes back."""
        consumer = f"{socket.gethostname()}-{os.getpid()}"
        return GroupReader(self._store.client, keys.EVENTS, self._group, consumer, claim_after=_CLAIM_AFTER_SECONDS)

    def step(self) -> int:
        """Handle the events that are there, waiting briefly for the first; return how many there were."""
        handled = 0
        for entry_id, fields in self._reader.read(count=_COUNT, block_ms=_BLOCK_MS):
            try:
                self._handle(read_event(entry_id, fields))
            except Exception as error:
                if _will_pass(error):
                    raise
                self._bury(entry_id, fields, error)
            self._reader.acknowledge(entry_id)
            handled += 1
        return handled

    def _bury(self, entry_id: str, fields: Mapping[bytes, bytes], error: Exception) -> None:
        log.warning("entry %s of %s becomes a dead letter: %s", entry_id, keys.EVENTS, error)
        letter = dead_letter(
            DeadLetterKind.EVENT, "", f"entry {entry_id}", error, RawEntry.of(fields, keys.EVENTS), version=entry_id
        )
        self._store.event_log.bury(letter)


def _will_pass(error: Exception) -> bool:
    """Return whether the event is not to blame: Redis, the broker or a disk is away, or full."""
    return isinstance(error, BrokerUnavailable | OSError) or is_unavailable(error)
