"""Turns camera events into Celery tasks, by consumer group, acknowledging after the send.

    sentinel:ingest, sentinel:ingest:NAME  --CloudEvent-->  embed

Cameras and other programs that are not Celery clients write to `sentinel:ingest`
(or each to a Stream `sentinel:ingest:NAME` of its own) and never to a broker
list: one malformed message there ends a Celery worker.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
import unicodedata
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import PurePosixPath
from typing import Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from common.contracts.batches import Submission
from common.contracts.dead_letters import DeadLetterKind
from common.contracts.events import FRAME_EVENT, SOURCE_EVENT
from common.contracts.ids import check_stream_name, content_id, describe
from common.errors import Backlogged, BadMessage, BrokerUnavailable, SentinelError, StillPreparing
from common.ingest.accept import Ingestor
from common.settings import Settings
from common.sources.capture_time import parse_time
from common.store import Store, keys, open_store
from common.store.client import is_unavailable
from common.store.ingest import RawEntry
from common.store.ingest_streams import IngestStreams

log = logging.getLogger(__name__)

_BLOCK_MS = 500  # how long one read waits; also how soon a stop is noticed
_COUNT = 20  # entries per read: after so many, another camera's Stream has its turn
_CLAIM_AFTER_SECONDS = 30.0  # entries of a process that died are taken over after this
_MOST_TRIES = 3  # an event that fails for an unknown reason becomes a dead letter after this
_TRY_AGAIN_SECONDS = 0.5
_PAUSE_SECONDS = 1.0  # between attempts while Redis is away
_STREAM_OF_SOURCE = "cameras"  # `/cameras/cam7` is stream cam7: the collection's name is not part of it


class CameraEvent(BaseModel):
    """A CloudEvent 1.0 flattened into Stream fields. Extension attributes are allowed and ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    specversion: Literal["1.0"]
    id: str = Field(min_length=1, max_length=512)
    source: str = Field(min_length=1, max_length=4096)
    type: str
    time: str | None = None
    datacontenttype: str | None = None
    dataref: str | None = Field(None, min_length=1, max_length=4096)
    data: bytes | None = Field(None, min_length=1)

    @field_validator("type")
    @classmethod
    def _known_type(cls, value: str) -> str:
        if value not in {FRAME_EVENT, SOURCE_EVENT}:
            raise ValueError(f"the type of an event here is {FRAME_EVENT} or {SOURCE_EVENT}")
        return value

    @field_validator("time")
    @classmethod
    def _a_time(cls, value: str | None) -> str | None:
        if value is not None and parse_time(value) is None:
            raise ValueError(f"{value!r:.40} is no RFC 3339 time, like 2026-11-24T06:15:00Z; leave it out if unknown")
        return value

    @field_validator("source")
    @classmethod
    def _names_a_stream(cls, value: str) -> str:
        stream_of(value)
        return value

    @model_validator(mode="after")
    def _one_payload(self) -> Self:
        if (self.dataref is None) == (self.data is None):
            raise ValueError("an event carries exactly one of dataref (a file URI) and data (an encoded image)")
        if self.type == SOURCE_EVENT and self.dataref is None:
            raise ValueError(f"an event of type {SOURCE_EVENT} names its source by dataref")
        return self

    @property
    def stream(self) -> str:
        """The stream that the event belongs to."""
        return stream_of(self.source)

    @property
    def taken_at(self) -> float | None:
        """When the frame was taken, seconds since the epoch, if the event says so."""
        return parse_time(self.time) if self.time is not None else None

    @property
    def key(self) -> str:
        """What makes the event this event and no other: source and id, as CloudEvents says."""
        return f"{self.source}\n{self.id}"

    @classmethod
    def parse(cls, fields: Mapping[bytes, bytes]) -> CameraEvent:
        """Validate the fields of an entry; raise `BadMessage` naming those that are wrong."""
        try:
            named = {name.decode(): value for name, value in fields.items()}
            texts = {name: value if name == "data" else value.decode() for name, value in named.items()}
        except UnicodeDecodeError as error:
            raise BadMessage(f"a name or value in the event is not UTF-8 text: {error}") from error
        try:
            return cls.model_validate(texts)
        except ValidationError as error:
            raise BadMessage(f"not a CloudEvent 1.0 with a frame: {describe(error)}") from error


def stream_of(source: str) -> str:
    """Return the stream that the `source` of a camera event names: its path, less a leading `cameras`.

    Examples
    --------
    >>> stream_of("https://site.example/cameras/dock%203/left")
    'dock 3/left'

    Raises
    ------
    ValueError
        If it names none, or one that no stream may be called.
    """
    # urlsplit leaves out control characters without a word, and two streams would be one.
    if any(unicodedata.category(character).startswith("C") for character in source):
        raise ValueError(f"{source!r} has a control character")
    path = PurePosixPath(unquote(urlsplit(source).path, errors="strict"))
    parts = [part for part in path.parts if part.strip("/")]
    if len(parts) > 1 and parts[0] == _STREAM_OF_SOURCE:
        parts = parts[1:]
    return check_stream_name("/".join(parts))


class CameraEvents:
    """One process that takes camera events in. Any number may run: the consumer groups share the entries out."""

    def __init__(self, store: Store, ingestor: Ingestor) -> None:
        self.store = store
        self.ingestor = ingestor
        consumer = f"{socket.gethostname()}-{os.getpid()}"
        self._frames = IngestStreams(store.client, consumer, claim_after=_CLAIM_AFTER_SECONDS)
        self._stop = threading.Event()
        self._beat: Callable[[], None] = lambda: None

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
                if not _will_pass(error):
                    raise
                log.warning("camera events wait (%s), trying again", error)
                self._frames.resume()
                stop.wait(_PAUSE_SECONDS)

    def step(self) -> int:
        """Accept what one camera's Stream holds, waiting briefly for it; return the number of entries handled.

        While Redis holds too much, what was sent stays where it is, in its order.
        """
        page = self._frames.read(count=_COUNT, block_ms=_BLOCK_MS)
        if page is None:
            return 0
        began, handled = time.monotonic(), 0
        for entry_id, fields in page.entries:
            if not self._wait_for_room():
                break
            self._accept_frame(page.stream, entry_id, fields)
            self._frames.acknowledge(page.stream, entry_id)
            handled += 1
        self._frames.charge(page.stream, time.monotonic() - began)
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
                    log.warning("camera events wait: %s", error)
                said = True
            self._beat()
            if self._stop.wait(_PAUSE_SECONDS):
                return False

    def _accept_frame(self, stream_key: str, entry_id: str, fields: Mapping[bytes, bytes]) -> Submission:
        """Accept the frame that an entry brings; whatever is wrong with the entry ends as a dead letter."""
        stream = ""
        tries = 0
        while True:
            try:
                event = CameraEvent.parse(fields)
                stream = event.stream
                return self._accept(event)
            except Exception as error:
                if _will_pass(error):
                    raise
                tries += 1
                if isinstance(error, SentinelError) or tries >= _MOST_TRIES:
                    self._bury(stream_key, stream, entry_id, fields, error)
                    return Submission.REJECTED
                log.warning(
                    "entry %s of %s failed, try %d of %d", entry_id, stream_key, tries, _MOST_TRIES, exc_info=True
                )
                self._stop.wait(_TRY_AGAIN_SECONDS)

    def _accept(self, event: CameraEvent) -> Submission:
        if event.data is not None:
            return self.ingestor.accept_data(event.stream, event.data, event_key=event.key, taken_at=event.taken_at)
        uri, key = event.dataref or "", event.key if event.type == FRAME_EVENT else None
        became = self.ingestor.accept_file(event.stream, uri, event_key=key, taken_at=event.taken_at)
        if became is Submission.CHANGED:
            return self.ingestor.accept_one_by_one(event.stream, uri, event_key=key)
        return became

    def _bury(
        self, stream_key: str, stream: str, entry_id: str, fields: Mapping[bytes, bytes], error: Exception
    ) -> None:
        subject = f"event {fields.get(b'id', entry_id.encode()).decode(errors='replace')}"
        original = RawEntry.of(fields, stream_key)
        # Two Streams may give two entries one id, and so may one Stream that was begun anew.
        version = content_id(entry_id, original.to_json())
        self.ingestor.bury(DeadLetterKind.EVENT, stream, subject, error, original, version=version)


def _will_pass(error: Exception) -> bool:
    """Return whether nothing is wrong with the entry that met `error`: Redis or the broker cannot work now, or the
    backbone is being loaded for a stream that begins to learn."""
    return isinstance(error, BrokerUnavailable | StillPreparing) or is_unavailable(error)


def main(settings: Settings, stop: threading.Event, beat: Callable[[], None]) -> None:
    """Accept what cameras write to `sentinel:ingest` and its siblings until `stop` is set."""
    store = open_store(settings)
    with closing(Ingestor(settings, store)) as ingestor:
        log.info("reading %s", keys.INGEST)
        CameraEvents(store, ingestor).run(stop, beat)
