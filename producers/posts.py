"""What a request to post a frame says of it: its type, its id and its time, in plain HTTP or as a CloudEvent 1.0.

plain        Content-Type: image/jpeg, Idempotency-Key: ..., ?time=...        body: the file
binary       Content-Type: image/jpeg, ce-specversion, ce-id, ce-source, ...  body: the file
structured   Content-Type: application/cloudevents+json                       body: JSON with data_base64
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from urllib.parse import unquote

from starlette.datastructures import Headers, QueryParams

from common.contracts.batches import SourceKind
from common.errors import BadMessage
from common.modalities.registry import suffixes
from common.sources.capture_time import parse_time
from common.sources.media_types import kind_of, suffix_of
from producers.cloud_event import EventAttributes

STRUCTURED = "application/cloudevents+json"
_ATTRIBUTE = "ce-"
_LONGEST_KEY = 512  # as the id of a CloudEvent
_PLAIN = "post"


class Problem(Exception):
    """Why a post is not accepted.

    Attributes
    ----------
    status : of the answer
    reason : for whoever posted
    retry_after : seconds after which it may be tried again; None: it is refused for good
    """

    def __init__(self, status: int, reason: str, retry_after: int | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.retry_after = retry_after


@dataclass(frozen=True)
class Post:
    """One frame, or clip, as its sender describes it.

    Attributes
    ----------
    suffix : of the file that it becomes; empty for a structured event, whose body says it
    key : what makes it this one and no other; None: its content and time
    taken_at : capture time, seconds since the epoch; None: unknown
    """

    suffix: str
    key: str | None
    taken_at: float | None

    @property
    def structured(self) -> bool:
        return not self.suffix


def post_of(stream: str, headers: Headers, query: QueryParams) -> Post:
    """Return what the head of a request says; raise `Problem` if such a post is refused."""
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem(415, "send the file as it is, without Content-Encoding")
    media_type = headers.get("content-type", "")
    if media_type.partition(";")[0].strip().lower() == STRUCTURED:
        return Post("", None, None)
    suffix = _suffix(media_type)
    attributes = _attributes(headers)
    if attributes:
        return post_of_event(stream, suffix, attributes)
    key = headers.get("idempotency-key")
    if key is not None and not 0 < len(key) <= _LONGEST_KEY:
        raise Problem(400, f"an Idempotency-Key has 1 to {_LONGEST_KEY} characters")
    time = query.get("time")
    taken_at = parse_time(time) if time is not None else None
    if time is not None and taken_at is None:
        raise Problem(400, "time is no RFC 3339 time, like 2026-11-24T06:15:00Z; leave it out if it is unknown")
    return Post(suffix, None if key is None else f"{_PLAIN}\n{key}", taken_at)


def structured_event(body: bytes) -> dict[str, object]:
    """Return the members of a structured CloudEvent, unchecked; raise `Problem` if it is no JSON object."""
    try:
        event = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Problem(400, "the body is no JSON") from error
    if not isinstance(event, dict):
        raise Problem(400, "the body is no JSON object: send events one by one")
    return event


def structured_post(stream: str, event: dict[str, object]) -> tuple[Post, bytes]:
    """Return what a structured CloudEvent with `data_base64` says, and its data; raise `Problem` if it is refused."""
    encoded = event.get("data_base64")
    if not isinstance(encoded, str):
        raise Problem(400, "the event has no data_base64: send the encoded image itself, in base 64")
    try:
        data = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Problem(400, "data_base64 is not base 64") from error
    media_type = event.get("datacontenttype")
    return post_of_event(stream, _suffix(media_type if isinstance(media_type, str) else ""), event), data


def content_key(digest: str, taken_at: float) -> str:
    """Return what identifies a post that came without an id.

    Parameters
    ----------
    digest : of its content
    taken_at : when it was taken, or, if that is unknown, when it came: a camera that is frozen sends equal frames
    """
    return f"{_PLAIN}\n{digest}\n{taken_at!r}"


def _attributes(headers: Headers) -> dict[str, object]:
    """Return the attributes of a CloudEvent in binary mode, in which percent signs stand for bytes of UTF-8."""
    named = {name[len(_ATTRIBUTE) :]: value for name, value in headers.items() if name.startswith(_ATTRIBUTE)}
    try:
        return {name: unquote(value, errors="strict") for name, value in named.items()}
    except UnicodeDecodeError as error:
        raise Problem(400, "an attribute of the event is not UTF-8") from error


def post_of_event(stream: str, suffix: str, attributes: dict[str, object]) -> Post:
    """Return what the attributes of a CloudEvent say of the file that comes with it; raise `Problem` as `event_of`."""
    event = event_of(stream, attributes)
    if event.dataref is not None:
        raise Problem(400, "dataref is not followed here: send the data itself")
    return Post(suffix, event.key, event.taken_at)


def event_of(stream: str, attributes: dict[str, object]) -> EventAttributes:
    """Return the attributes of a CloudEvent of `stream`; raise `Problem` if they are wrong, or of another stream."""
    try:
        event = EventAttributes.of(attributes)
    except BadMessage as error:
        raise Problem(400, str(error)) from error
    if event.stream != stream:
        raise Problem(400, f"the source of the event names stream {event.stream!r}, and it was sent to {stream!r}")
    return event


def _suffix(media_type: str) -> str:
    """Return the suffix of files of this type, which their content has to bear out."""
    suffix = suffix_of(media_type)
    if suffix is None:
        stills = " ".join(sorted(name for name in suffixes() if kind_of(name) is SourceKind.IMAGE))
        raise Problem(
            415, f"say in Content-Type what it is: a type like image/jpeg or video/mp4, of which stills are {stills}"
        )
    return suffix
