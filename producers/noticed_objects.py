"""The objects that notifications named: each is looked at in the storage, and handed in as the listing would.

What is not to be had now is tried a few times and left to the next listing then, and so is what a process had taken
that was killed: a notification only makes it sooner.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

from common.errors import BrokerUnavailable, SettingsError, StorageUnavailable
from common.settings import Settings
from common.store import Store
from common.store.client import unavailability

log = logging.getLogger(__name__)

_PER_TURN = 200  # objects, after which the listing has its turn
_MOST_TRIES = 3  # of an object that the storage does not give, before it is left to the listing
_MOST_SILENT = 3  # of such in a row, after which all wait
_FIRST_PAUSE_SECONDS, _LAST_PAUSE_SECONDS = 0.5, 30.0


class Watcher(Protocol):
    """What hands objects in: `producers.objects.ObjectWatcher`."""

    @property
    def settings(self) -> Settings:
        """Whose prefixes are watched."""

    @property
    def store(self) -> Store:
        """Where what was noticed waits."""

    def hand_in_one(self, prefix: str, uri: str) -> bool:
        """Hand in what is at `uri` below `prefix` now, unless it was; return whether it is new."""


class NoticedObjects:
    """Hands in, by `watcher`, what was noticed."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._tries: Counter[str] = Counter()
        self._pause = 0.0
        self._held_until = 0.0
        self._said = ""

    def hand_in(self, stop: threading.Event, beat: Callable[[], None]) -> int:
        """Hand in what waits, up to a few hundred objects; return how many were new."""
        if time.monotonic() < self._held_until:
            return 0
        new = silent = 0
        try:
            with unavailability():
                for _ in range(_PER_TURN):
                    uri = None if stop.is_set() else self._watcher.store.noticed_objects.take()
                    if uri is None:
                        break
                    beat()
                    try:
                        new += self._hand_in_one(uri)
                        silent = 0
                    except (StorageUnavailable, SettingsError) as error:
                        self._try_again(uri)
                        silent += 1
                        if silent == _MOST_SILENT:
                            raise
                        self._say(str(error))
        except (BrokerUnavailable, StorageUnavailable, SettingsError) as error:
            self._hold(error)
        else:
            self._pause = 0.0
        return new

    def _hand_in_one(self, uri: str) -> bool:
        prefix = prefix_of(uri, self._watcher.settings.watch_objects)
        if prefix is None:  # the settings have changed since
            return False
        try:
            new = self._watcher.hand_in_one(prefix, uri)
        except (StorageUnavailable, SettingsError):
            raise
        except BrokerUnavailable:
            self._watcher.store.noticed_objects.put_back(uri)
            raise
        except Exception:  # the listing tries it a few times, and makes a dead letter of it then
            log.warning("%s could not be submitted, the next listing tries again", uri, exc_info=True)
            return False
        self._tries.pop(uri, None)
        return new

    def _try_again(self, uri: str) -> None:
        self._tries[uri] += 1
        if self._tries[uri] >= _MOST_TRIES:
            del self._tries[uri]
        else:
            self._watcher.store.noticed_objects.put_back(uri)

    def _hold(self, error: Exception) -> None:
        self._pause = min(max(2 * self._pause, _FIRST_PAUSE_SECONDS), _LAST_PAUSE_SECONDS)
        self._held_until = time.monotonic() + self._pause
        self._say(f"objects of which notifications came wait: {error}")

    def _say(self, text: str) -> None:
        """Log a warning, once while it stays the same."""
        if self._said != text:
            self._said = text
            log.warning("%s", text)


def prefix_of(uri: str, prefixes: Sequence[str]) -> str | None:
    """Return the watched prefix that an object lies below, of which there is at most one.

    Examples
    --------
    >>> prefix_of("s3://site/cameras/dock/1.mp4", ("s3://site/cameras", "s3://site/cam"))
    's3://site/cameras'
    """
    return next((prefix for prefix in prefixes if uri.startswith(f"{prefix}/")), None)
