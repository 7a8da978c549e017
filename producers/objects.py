"""Watched prefixes of object storage: what lies below one is handed in once, each version of an object by itself.

    s3://bucket/prefix/STREAM/...  --listing-->  embed
    notifications  --HTTP, queue-->  noticed  ------^

The first part of a key below the prefix is the stream; whatever stands between it and the object's name, such as dates,
says nothing. Each video and each image is a batch of its own. An object is there once it is whole, so nothing has to
settle. The prefixes are listed every `SENTINEL_OBJECTS_SECONDS`, and what was handed in is remembered in Redis, after
it was: a process that is killed in between hands it in again, and its batch is known by its content.

What notifications name (`producers.noticed_objects`) is looked at in between, by this one process: so an object is
handed in once, whichever way it was found first.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import PurePosixPath
from typing import TypeAlias

from common.contracts.batches import SourceRequest
from common.contracts.dead_letters import DeadLetterKind
from common.contracts.ids import check_stream_name, content_id
from common.errors import BadSource, BrokerUnavailable, Refused, SettingsError, StorageUnavailable
from common.ingest.accept import Ingestor
from common.printable import encodable
from common.settings import Settings
from common.sources.find import is_media_object, media_objects
from common.sources.media_types import natural_order
from common.sources.objects.event_queue import EventQueue
from common.sources.objects.storage import ObjectVersion, list_objects, object_version
from common.store import Store, open_store
from common.store.client import unavailability
from producers.noticed_objects import NoticedObjects
from producers.queued_notifications import QueuedNotifications

log = logging.getLogger(__name__)

_IDLE_SECONDS = 0.5
_BEAT_SECONDS = 1.0  # while the storage is listed
_FIRST_BACKOFF_SECONDS, _LAST_BACKOFF_SECONDS = 0.5, 30.0
_MOST_TRIES = 3  # how often an object may fail for a reason we do not know before it is refused
_MOST_SILENT = 3  # objects in a row that the storage does not give, after which the others are not asked for

Turn: TypeAlias = Callable[[threading.Event, Callable[[], None]], object]
"""What is done in each turn besides; it is given what is set at the end, and what to call meanwhile."""


class ObjectWatcher:
    """Lists the watched prefixes and hands in what is new.

    Parameters
    ----------
    settings : their prefixes, and how the storage is reached
    store : remembers what was handed in
    ingestor : accepts it
    """

    def __init__(self, settings: Settings, store: Store, ingestor: Ingestor) -> None:
        self.settings = settings
        self.store = store
        self.ingestor = ingestor
        self._known: dict[str, set[str]] = {}
        self._tries: dict[str, int] = {}
        self._said: dict[str, str] = {}
        self._backoff = 0.0

    def run(self, stop: threading.Event, beat: Callable[[], None], turn: Turn) -> None:
        """Hand in what appears until `stop` is set; each turn calls `beat`, and `turn` with both."""
        due = dict.fromkeys(self.settings.watch_objects, 0.0)
        while not stop.is_set():
            beat()
            turn(stop, beat)
            for prefix in [prefix for prefix, at in due.items() if time.monotonic() >= at]:
                pause = self._look(prefix, stop, beat)
                due[prefix] = time.monotonic() + pause
            stop.wait(_IDLE_SECONDS)

    def _look(self, prefix: str, stop: threading.Event, beat: Callable[[], None]) -> float:
        """Hand in what is new below `prefix`; return after how many seconds to look again."""
        try:
            with unavailability():
                self.hand_in(prefix, stop, beat)
        except BrokerUnavailable as error:
            self._backoff = min(max(2 * self._backoff, _FIRST_BACKOFF_SECONDS), _LAST_BACKOFF_SECONDS)
            self._say(prefix, f"what is below {prefix} waits until the broker answers again: {error}")
            return self._backoff
        except (StorageUnavailable, SettingsError, BadSource, FileNotFoundError) as error:
            missing = f"{prefix} cannot be listed, there is no such bucket: correct SENTINEL_WATCH_OBJECTS"
            self._say(prefix, missing if isinstance(error, FileNotFoundError) else str(error))
        else:
            self._said.pop(prefix, None)
            self._backoff = 0.0
        return self.settings.objects_seconds

    def hand_in(self, prefix: str, stop: threading.Event | None = None, beat: Callable[[], None] = lambda: None) -> int:
        """Hand in each object below `prefix` that was not, in the order in which they were written; return how many.

        Raises
        ------
        BrokerUnavailable
            While Redis cannot work, or is too full for more.
        StorageUnavailable, SettingsError
            If the storage cannot be listed, or gives none of several objects.
        FileNotFoundError
            If there is no such bucket.
        """
        found = {_version_id(uri, version): (uri, version) for uri, version in self._listed(prefix, beat)}
        known = self._known_below(prefix)
        self._forget_gone(prefix, known, found)
        new = [(version_id, *row) for version_id, row in found.items() if version_id not in known]
        # What failed the last time comes last, so that it is in nobody's way.
        new.sort(key=lambda row: (row[1] in self._said, row[2].modified, natural_order(PurePosixPath(row[1]))))
        handed_in = silent = 0
        for version_id, uri, _ in new:
            if stop is not None and stop.is_set():
                return handed_in
            beat()
            try:
                self._deliver(prefix, uri)
            except StorageUnavailable as error:  # maybe of this object alone
                silent += 1
                if silent == _MOST_SILENT:
                    raise
                self._say(uri, str(error))
                continue
            except SettingsError as error:
                self._say(uri, f"{uri} waits: {error}")
                continue
            except (BrokerUnavailable, Refused):
                raise
            except Exception as error:
                if not self._refuse_at_last(prefix, uri, error):
                    continue
            silent = 0
            self._remember(prefix, uri, version_id)
            handed_in += 1
        return handed_in

    def hand_in_one(self, prefix: str, uri: str) -> bool:
        """Hand in what is at `uri` below `prefix` now, as `hand_in` would; return whether it is new.

        Raises
        ------
        BrokerUnavailable, StorageUnavailable, SettingsError
            As `hand_in` raises them.
        """
        if not is_media_object(uri):
            return False
        try:
            version = object_version(uri, self.settings.object_storage)
        except FileNotFoundError:
            return False
        version_id = _version_id(uri, version)
        if version_id in self._known_below(prefix):
            return False
        self._deliver(prefix, uri)
        self._remember(prefix, uri, version_id)
        return True

    def _known_below(self, prefix: str) -> set[str]:
        """Return the ids of the versions that were handed in."""
        if prefix not in self._known:
            self._known[prefix] = self.store.watched_objects.handed_in(prefix)
        return self._known[prefix]

    def _remember(self, prefix: str, uri: str, version_id: str) -> None:
        self._tries.pop(uri, None)
        self._said.pop(uri, None)
        self.store.watched_objects.add(prefix, version_id)
        self._known[prefix].add(version_id)

    def _listed(self, prefix: str, beat: Callable[[], None]) -> list[tuple[str, ObjectVersion]]:
        """Return the objects below `prefix` that are sources; `beat` is called meanwhile: many take minutes."""
        with ThreadPoolExecutor(1) as pool:
            listing = pool.submit(list_objects, prefix, self.settings.object_storage)
            while wait([listing], _BEAT_SECONDS).not_done:
                beat()
            return list(media_objects(listing.result()))

    def _forget_gone(self, prefix: str, known: set[str], found: Mapping[str, tuple[str, ObjectVersion]]) -> None:
        """Forget what is no longer below `prefix`, whatever becomes of what is new there."""
        if gone := known - found.keys():
            self.store.watched_objects.remove(prefix, gone)
            known -= gone
        there = {uri for uri, _ in found.values()}
        for remembered in (self._tries, self._said):
            for uri in [uri for uri in remembered if uri.startswith(f"{prefix}/") and uri not in there]:
                del remembered[uri]

    def _deliver(self, prefix: str, uri: str) -> None:
        """Submit an object, or write a dead letter if it can be none of a stream."""
        name = stream_of(prefix, uri)
        try:
            stream = check_stream_name(name) if name else None
        except ValueError as error:
            self._bury(name, uri, BadSource(f"{uri} lies in what cannot be a stream: {error}; move it"))
            return
        if stream is None:
            self._bury("", uri, BadSource(f"{uri} lies in no stream: put it below {prefix}/STREAM/"))
            return
        became = self.ingestor.submit(stream, uri)
        log.debug("%s: %s", uri, became)

    def _refuse_at_last(self, prefix: str, uri: str, error: Exception) -> bool:
        """Count a failure for a reason that we do not know; return whether it was the last, and is a dead letter."""
        tries = self._tries[uri] = self._tries.get(uri, 0) + 1
        log.warning("%s could not be submitted (try %d of %d)", uri, tries, _MOST_TRIES, exc_info=error)
        if tries < _MOST_TRIES:
            return False
        self._bury(stream_of(prefix, uri), uri, BadSource(f"{uri} could not be submitted in {tries} tries: {error}"))
        return True

    def _bury(self, stream: str, uri: str, error: BadSource) -> None:
        request = SourceRequest(stream=encodable(stream), uri=encodable(uri))
        self.ingestor.bury(DeadLetterKind.SOURCE, request.stream, request.uri, error, request)

    def _say(self, about: str, text: str) -> None:
        """Log a warning, once while it stays the same."""
        if self._said.get(about) != text:
            self._said[about] = text
            log.warning("%s", text)


def stream_of(prefix: str, uri: str) -> str:
    """Return the name of the stream that an object below `prefix` belongs to, not yet checked; empty: to none.

    Examples
    --------
    >>> stream_of("s3://site/cameras", "s3://site/cameras/dock/2026/11/24/0615.mp4")
    'dock'
    """
    first, slash, _ = uri[len(prefix) + 1 :].partition("/")
    return first if slash else ""


def _version_id(uri: str, version: ObjectVersion) -> str:
    return content_id(uri, version.identity, int(version.modified))


def main(settings: Settings, stop: threading.Event, beat: Callable[[], None]) -> None:
    """Hand in what appears below the watched prefixes until `stop` is set; without any there is nothing to do."""
    store = open_store(settings)
    with closing(Ingestor(settings, store)) as ingestor:
        watcher = ObjectWatcher(settings, store, ingestor)
        if settings.object_events_queue is not None:
            queue = EventQueue(settings.object_events_queue, settings.object_region)
            QueuedNotifications(settings, store, queue).start(stop)
        watcher.run(stop, beat, NoticedObjects(watcher).hand_in)
