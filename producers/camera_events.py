"""Turns camera events into Celery tasks, by consumer group, acknowledging after the send.

    sentinel:ingest  --CloudEvent-->  embed

Cameras and other programs that are not Celery clients write to `sentinel:ingest`
and never to a broker list: one malformed message there ends a Celery worker.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import PurePosixPath
from typing import Literal, Self
from urllib.parse import unquote, urlsplit

import redis
from kombu.exceptions import OperationalError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from common.contracts.batches import Submission
from common.contracts.dead_letters import DeadLetterKind
from common.contracts.events import FRAME_EVENT, SOURCE_EVENT
from common.contracts.ids import describe
from common.errors import Backlogged, BadMessage, BrokerUnavailable, Refused, SentinelError
from common.ingest.accept import Ingestor
from common.settings import Settings
from common.sources.capture_time import parse_time
from common.store import Store, keys, open_store
from common.store.ingest import GroupReader, RawEntry

log = logging.getLogger(__name__)

_BLOCK_MS = 500  # how long one read waits; also how soon a stop is noticed
_COUNT = 100  # entries a read
_CLAIM_AFTER_SECONDS = 30.0  # entries of a bridge that died are taken over after this
_PAUSE_SECONDS = 1.0  # between attempts while Redis is away
_STREAM_OF_SOURCE = "cameras"  # `/cameras/cam7` is stream cam7: the collection's name is not part of it


class CameraEvent(BaseModel):
    """A CloudEvent 1.0 flattened into Stream fields. Extension attributes are allowed and ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    specversion: Literal["1.0"]
    id: str = Field(min_length=1, max_length=512)
    source: str = Field(min_length=1, max_length=512)
    type: str
    time: str | None = None
    datacontenttype: str | None = None
    dataref: str | None = Field(None, min_length=1, max_length=4096)
    data: bytes | None = Field(None, min_length=1)

    @field_validator("type")
    @classmethod
    def _known_type(cls, value: str) -> str:
        if value not in {FRAME_EVENT, SOURCE_EVENT}:
            raise ValueError(f"only {FRAME_EVENT} and {SOURCE_EVENT} are taken here")
        return value

    @field_validator("time")
    @classmethod
    def _a_time(cls, value: str | None) -> str | None:
        if value is not None and parse_time(value) is None:
            raise ValueError(f"{value!r:.40} is no RFC 3339 time, like 2026-11-24T06:15:00Z; leave it out if unknown")
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
        """The stream that the event belongs to: the path of its source, less a leading `cameras`."""
        path = PurePosixPath(unquote(urlsplit(self.source).path))
        parts = [part for part in path.parts if part != "/"]
        if len(parts) > 1 and parts[0] == _STREAM_OF_SOURCE:
            parts = parts[1:]
        return "/".join(parts)

    @property
    def taken_at(self) -> float | None:
        """When the frame was taken, seconds since the epoch, if the event says so."""
        return parse_time(self.time) if self.time is not None else None

    @property
    def key(self) -> str:
        """What makes the event this event and no other: source and id, as CloudEvents says."""
        return f"{self.source}\n{self.id}"

    @classmethod
    def parse(cls, fields: dict[str, bytes]) -> CameraEvent:
        """Validate the fields of an entry; raise `BadMessage` naming those that are wrong."""
        try:
            texts = {name: value if name == "data" else value.decode() for name, value in fields.items()}
            return cls.model_validate(texts)
        except UnicodeDecodeError as error:
            raise BadMessage(f"a field of the event is not UTF-8 text: {error}") from error
        except ValidationError as error:
            raise BadMessage(f"not a CloudEvent 1.0 with a frame: {describe(error)}") from error


class CameraEvents:
    """One bridge process. Any number may run: the consumer group shares the entries out."""

    def __init__(self, store: Store, ingestor: Ingestor) -> None:
        self.store = store
        self.ingestor = ingestor
        consumer = f"{socket.gethostname()}-{os.getpid()}"
        self._frames = GroupReader(
            store.client, keys.INGEST, "bridge", consumer, claim_after=_CLAIM_AFTER_SECONDS, consume=True
        )
        self._stop = threading.Event()
        self._beat: Callable[[], None] = lambda: None

    def run(self, stop: threading.Event, beat: Callable[[], None] = lambda: None) -> None:
        """Work until `stop` is set; while Redis is away, wait and go on. Each turn calls `beat`, for others to see."""
        self._stop, self._beat = stop, beat
        while not stop.is_set():
            beat()
            try:
                self.step()
            except (redis.RedisError, OperationalError, BrokerUnavailable, OSError) as error:
                log.warning("Redis does not answer (%s), trying again", error)
                stop.wait(_PAUSE_SECONDS)

    def step(self) -> int:
        """Take in what cameras sent, waiting briefly for more; return the number of entries handled.

        While Redis holds too much, what was sent stays where it is, in its order.
        """
        handled = 0
        for entry_id, fields in self._frames.read(count=_COUNT, block_ms=_BLOCK_MS):
            if not self._wait_for_room():
                break
            self._take_frame(entry_id, fields)
            self._frames.acknowledge(entry_id)
            handled += 1
        return handled

    def _wait_for_room(self) -> bool:
        """Return once Redis has room for more work; False if the bridge is to stop."""
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

    def _take_frame(self, entry_id: str, fields: dict[str, bytes]) -> Submission:
        stream = ""
        try:
            event = CameraEvent.parse(fields)
            stream = event.stream
            if event.data is not None:
                return self.ingestor.accept_data(stream, event.data, event_key=event.key, taken_at=event.taken_at)
            key = event.key if event.type == FRAME_EVENT else None
            became = self.ingestor.accept_file(stream, event.dataref or "", event_key=key, taken_at=event.taken_at)
            if became is Submission.CHANGED:
                return self.ingestor.accept_one_by_one(stream, event.dataref or "", event_key=key)
            return became
        except (Refused, SentinelError) as error:
            if isinstance(error, BrokerUnavailable):
                raise
            subject = fields.get("id", entry_id.encode()).decode(errors="replace")
            self.ingestor.bury(
                DeadLetterKind.EVENT, stream, f"event {subject}", error, RawEntry.of(fields), version=entry_id
            )
            return Submission.REJECTED


def main(settings: Settings, stop: threading.Event, beat: Callable[[], None]) -> None:
    """Accept what cameras write to `sentinel:ingest` until `stop` is set."""
    store = open_store(settings)
    with closing(Ingestor(settings, store)) as ingestor:
        log.info("reading %s", keys.INGEST)
        CameraEvents(store, ingestor).run(stop, beat)
