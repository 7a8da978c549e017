"""Frames that come over MQTT: images, clips and CloudEvents 1.0 on the topics of SENTINEL_MQTT_IN_TOPICS.

plain        the file                                                       JPEG or PNG, or what Content Type says
binary       the file, attributes as user properties of MQTT 5              likewise
structured   JSON with data_base64, or with dataref to an allowed folder    told by its first brace, or Content Type

A frame goes the way of one that is posted over HTTP: into the spool, and to the ingestor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from common.contracts.dead_letters import DeadLetterKind
from common.contracts.events import FRAME_EVENT
from common.errors import BadSource
from common.ingest.accept import Ingestor, event_batch_id
from common.settings import Settings
from common.sources.capture_time import is_plausible
from common.sources.identity import digest_of
from common.sources.media_types import suffix_of
from common.store import keys
from common.store.ingest import RawEntry
from common.topic_patterns import check_topic_patterns, stream_of_topic
from producers.camera_events import accept_dataref
from producers.cloud_event import EventAttributes
from producers.mqtt_delivery import Delivery, NotAFrame
from producers.posts import (
    STRUCTURED,
    Post,
    Problem,
    content_key,
    event_of,
    post_of_event,
    structured_event,
    structured_post,
)
from producers.spool import Spool
from producers.spooled import accept_stored

_SIGNATURES = {b"\xff\xd8\xff": ".jpg", b"\x89PNG\r\n\x1a\n": ".png"}
"""First bytes of the images that need no Content Type, and the suffix of such files."""
_STILLS = frozenset(_SIGNATURES.values())
_BASE64 = 4 / 3
_MOST_BURIED_BYTES = 50_000_000  # of images in dead letters, since the start: Redis has other work to hold
_HEAD_BYTES = 64_000  # of a structured event beside its data


@dataclass(frozen=True)
class _Frame:
    """What a message brings: a file with what is said of it, or an event that names a file."""

    stream: str
    post: Post | None = None
    content: bytes = b""
    event: EventAttributes | None = None


class MqttFrames:
    """Takes frames in; see `mqtt_delivery.Taker`."""

    def __init__(self, settings: Settings, ingestor: Ingestor, spool: Spool) -> None:
        self._settings = settings
        self._patterns = check_topic_patterns(settings.mqtt_in_topics)
        self._ingestor = ingestor
        self._store = ingestor.store
        self._spool = spool
        self._buried_bytes = 0

    @property
    def filters(self) -> Sequence[str]:
        return [pattern.filter for pattern in self._patterns]

    @property
    def most_bytes(self) -> int:
        return max(self._settings.mqtt_in_max_bytes, self._most_structured)

    @property
    def _most_structured(self) -> int:
        return int(self._settings.max_data_bytes * _BASE64) + _HEAD_BYTES

    def take(self, delivery: Delivery, subscriber: str) -> None:
        """Accept what a message brings."""
        frame = self._frame_of(delivery)
        self._store.require_room()
        if frame.event is not None:
            accept_dataref(self._ingestor, frame.event)
        elif frame.post is not None:
            key = frame.post.key or self._key_of(delivery, frame.content, subscriber)
            self._accept(frame.stream, frame.post, frame.content, key)

    def bury(self, delivery: Delivery, error: Exception) -> None:
        """Keep a frame as a camera event, which `sentinel dead retry` writes to the Stream of those."""
        frame = self._frame_of(delivery)
        fields = _as_camera_event(frame, delivery)
        buried_bytes = self._buried_bytes + len(frame.content)
        is_still = frame.post is None or frame.post.suffix in _STILLS
        if not is_still or buried_bytes > _MOST_BURIED_BYTES:
            raise NotAFrame(f"stream {frame.stream}: {error}") from error
        original = RawEntry.of(fields, keys.INGEST)
        self._ingestor.bury(
            DeadLetterKind.EVENT,
            frame.stream,
            f"event {fields[b'id'].decode()}",
            error,
            original,
            version=digest_of(original.to_json().encode()),
        )
        self._buried_bytes = buried_bytes

    def _frame_of(self, delivery: Delivery) -> _Frame:
        """Return what a message brings; raise `NotAFrame` if that is nothing that could be taken."""
        try:
            stream = stream_of_topic(delivery.topic, self._patterns)
        except ValueError as error:
            raise NotAFrame(f"its topic names no stream: {error}") from error
        if stream is None:
            raise NotAFrame("its topic is none of SENTINEL_MQTT_IN_TOPICS")
        structured = _is_structured(delivery)
        most = self._most_structured if structured else self._settings.mqtt_in_max_bytes
        if delivery.size > most:
            setting = "SENTINEL_MAX_DATA_BYTES" if structured else "SENTINEL_MQTT_IN_MAX_BYTES"
            raise NotAFrame(f"its payload has {delivery.size} bytes, more than the {most} that {setting} allows")
        if not delivery.payload:
            raise NotAFrame("its payload is empty")
        try:
            return _of_structured(stream, delivery.payload) if structured else _of_file(stream, delivery)
        except Problem as error:
            raise NotAFrame(error.reason) from error

    def _key_of(self, delivery: Delivery, content: bytes, subscriber: str) -> str:
        """Return what identifies a frame that came without an id: its content and when it came first.

        A dead letter is known by the same, so `delivery` is told when it came first.
        """
        digest = digest_of(content)
        if delivery.identifier is not None:
            deliveries = self._store.mqtt_deliveries
            known = deliveries.arrival(subscriber, delivery.identifier, digest) if delivery.again else None
            if known is None:
                deliveries.remember(subscriber, delivery.identifier, digest, delivery.arrived_at)
            else:
                delivery.arrived_at = known
        return content_key(digest, delivery.arrived_at)

    def _accept(self, stream: str, post: Post, content: bytes, key: str) -> None:
        path = self._spool.new_file(stream, event_batch_id(stream, key), post.suffix)
        with self._spool.receiving() as room:
            room.take(len(content))
            self._spool.store(path, content)
        try:
            accept_stored(self._ingestor, self._spool, stream, path, event_key=key, taken_at=post.taken_at)
        except BadSource as error:
            raise NotAFrame(str(error).replace(str(path), "its payload")) from error


def _is_structured(delivery: Delivery) -> bool:
    media_type = delivery.content_type.partition(";")[0].strip().lower()
    return media_type == STRUCTURED or delivery.payload[:64].lstrip().startswith(b"{")


def _of_structured(stream: str, payload: bytes) -> _Frame:
    attributes = structured_event(payload)
    if attributes.get("dataref") is not None and "data_base64" not in attributes:
        return _Frame(stream, event=event_of(stream, attributes))
    post, content = structured_post(stream, attributes)
    return _Frame(stream, post, content)


def _of_file(stream: str, delivery: Delivery) -> _Frame:
    suffix = next((suffix for start, suffix in _SIGNATURES.items() if delivery.payload.startswith(start)), None)
    suffix = suffix or suffix_of(delivery.content_type)
    if suffix is None:
        raise NotAFrame(
            "its payload is no JPEG, PNG or CloudEvent in JSON, and its Content Type names no type that is read"
        )
    if "specversion" in delivery.attributes:
        return _Frame(stream, post_of_event(stream, suffix, dict(delivery.attributes)), delivery.payload)
    return _Frame(stream, Post(suffix, None, None), delivery.payload)


def _as_camera_event(frame: _Frame, delivery: Delivery) -> Mapping[bytes, bytes]:
    """Return a frame as the fields of a camera event of the same identity."""
    if frame.event is not None:
        attributes = frame.event.model_dump(exclude_none=True)
        return {name.encode(): str(value).encode() for name, value in attributes.items()}
    key = frame.post.key if frame.post is not None else None
    source, _, own_id = key.partition("\n") if key is not None else ("", "", "")
    fields = {
        "specversion": "1.0",
        "id": own_id or f"mqtt-{digest_of(frame.content)}-{delivery.arrived_at!r}",
        "source": source or f"/cameras/{quote(frame.stream)}",
        "type": FRAME_EVENT,
    }
    taken_at = frame.post.taken_at if frame.post is not None else None
    if taken_at is not None and is_plausible(taken_at):  # another one is not believed, and some have no such text
        fields["time"] = datetime.fromtimestamp(taken_at, UTC).isoformat()
    return {name.encode(): value.encode() for name, value in fields.items()} | {b"data": frame.content}
