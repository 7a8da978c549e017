"""Turns camera events into Celery tasks, by consumer group, acknowledging after the send.

    sentinel:ingest, sentinel:ingest:NAME  --CloudEvent-->  embed

Cameras and other programs that are not Celery clients write to `sentinel:ingest`
(or each to a Stream `sentinel:ingest:NAME` of its own) and never to a broker
list: one malformed message there ends a Celery worker.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import closing

from common.contracts.batches import Submission
from common.contracts.events import FRAME_EVENT
from common.errors import BadMessage
from common.ingest.accept import Ingestor
from common.settings import Settings
from common.store import Store, keys, open_store
from producers.cloud_event import CameraEvent, EventAttributes
from producers.entry_reader import EntryReader, Fields

log = logging.getLogger(__name__)

_COUNT = 20  # entries per read: after so many, another camera's Stream has its turn


class CameraEvents(EntryReader):
    """One process that takes camera events in."""

    def __init__(self, store: Store, ingestor: Ingestor) -> None:
        super().__init__(store, "camera events", root=keys.INGEST, count=_COUNT)
        self.ingestor = ingestor

    def accept(self, fields: Fields) -> Submission:
        """Accept the frame or the source that an entry brings."""
        event = CameraEvent.parse(fields)
        if event.data is not None:
            return self.ingestor.accept_data(event.stream, event.data, event_key=event.key, taken_at=event.taken_at)
        return accept_dataref(self.ingestor, event)

    def stream_named(self, fields: Fields) -> str:
        """Return the stream of an entry that is a camera event, else an empty string."""
        try:
            return CameraEvent.parse(fields).stream
        except BadMessage:
            return ""


def accept_dataref(ingestor: Ingestor, event: EventAttributes) -> Submission:
    """Accept the file or folder that an event names by `dataref`; it lies under an allowed root, or is refused."""
    uri, key = event.dataref or "", event.key if event.type == FRAME_EVENT else None
    became = ingestor.accept_file(event.stream, uri, event_key=key, taken_at=event.taken_at)
    if became is Submission.CHANGED:
        return ingestor.accept_one_by_one(event.stream, uri, event_key=key)
    return became


def main(settings: Settings, stop: threading.Event, beat: Callable[[], None]) -> None:
    """Accept what cameras write to `sentinel:ingest` and its siblings until `stop` is set."""
    store = open_store(settings)
    with closing(Ingestor(settings, store)) as ingestor:
        log.info("reading %s", keys.INGEST)
        CameraEvents(store, ingestor).run(stop, beat)
