"""Notifications of object storage that come by a queue, read in a thread of process `objects`.

    queue  --message-->  noticed  --then-->  the queue is told to forget it

A message that is no notification, or names nothing below a watched prefix, is deleted too: nothing is lost with it.
"""

from __future__ import annotations

import logging
import random
import threading
import time

from common.errors import BadMessage, BrokerUnavailable, SettingsError, StorageUnavailable
from common.settings import Settings
from common.sources.objects.event_queue import EventQueue
from common.store import Store
from common.store.client import unavailability
from producers.object_events import note_notification

log = logging.getLogger(__name__)

_FIRST_PAUSE_SECONDS, _LAST_PAUSE_SECONDS = 1.0, 60.0
_JITTER = 0.5  # of a pause, more or less
_SAY_SECONDS = 60.0  # between two lines about messages that are refused


class QueuedNotifications:
    """Reads a queue."""

    def __init__(self, settings: Settings, store: Store, queue: EventQueue) -> None:
        self._settings = settings
        self._store = store
        self._queue = queue
        self._refused = 0
        self._say_at = 0.0
        self._said = ""

    def start(self, stop: threading.Event) -> None:
        """Read in a thread until `stop` is set; it ends with the process."""
        threading.Thread(target=self.run, args=(stop,), name="notifications", daemon=True).start()

    def run(self, stop: threading.Event) -> None:
        """Read until `stop` is set. While the queue or Redis is away, or has no room, messages stay in the queue."""
        pause = _FIRST_PAUSE_SECONDS
        while not stop.is_set():
            try:
                self.step()
                pause, self._said = _FIRST_PAUSE_SECONDS, ""
                continue
            except (StorageUnavailable, SettingsError, BrokerUnavailable) as error:
                self._say(f"notifications wait: {error}")
            except Exception:  # without this thread every object waits for the next listing
                log.exception("notifications could not be read, trying again")
            stop.wait(pause * random.uniform(1 - _JITTER, 1 + _JITTER))
            pause = min(2 * pause, _LAST_PAUSE_SECONDS)

    def step(self) -> int:
        """Note what some messages name; return how many there were."""
        messages = self._queue.receive()
        for message in messages:
            with unavailability():
                self._note(message.body)
            self._queue.delete(message)
        return len(messages)

    def _note(self, body: str) -> None:
        try:
            found = note_notification(body, self._settings, self._store)
        except BadMessage as error:
            self._refuse(1, str(error))
            return
        if found.refused:
            self._refuse(found.refused, found.reason)

    def _refuse(self, count: int, reason: str) -> None:
        """Count what is refused, and say so now and then: who writes to the queue decides how often."""
        self._refused += count
        if time.monotonic() >= self._say_at:
            self._say_at = time.monotonic() + _SAY_SECONDS
            log.warning(
                "%d notifications of %s were refused since the start, the last one because %s",
                self._refused, self._queue.url, reason,
            )  # fmt: skip

    def _say(self, text: str) -> None:
        """Log a warning, once while it stays the same."""
        if self._said != text:
            self._said = text
            log.warning("%s", text)
