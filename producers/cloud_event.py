"""A CloudEvent 1.0 about a frame: its attributes, whatever brings it, and the form in which it stands in a Stream."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from common.contracts.events import FRAME_EVENT, SOURCE_EVENT, event_key
from common.contracts.ids import check_stream_name, describe
from common.errors import BadMessage
from common.sources.capture_time import parse_time

_STREAM_OF_SOURCE = "cameras"  # `/cameras/cam7` is stream cam7: the collection's name is not part of it


class EventAttributes(BaseModel):
    """The attributes of a camera's CloudEvent 1.0, without its data. Extension attributes are allowed and ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    specversion: Literal["1.0"]
    id: str = Field(min_length=1, max_length=512)
    source: str = Field(min_length=1, max_length=4096)
    type: str
    time: str | None = None
    datacontenttype: str | None = None
    dataref: str | None = Field(None, min_length=1, max_length=4096)

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
        """What makes the event this one and no other."""
        return event_key(self.source, self.id)

    @classmethod
    def of(cls, attributes: Mapping[str, object]) -> Self:
        """Validate `attributes`; raise `BadMessage` naming those that are wrong."""
        try:
            return cls.model_validate(attributes)
        except ValidationError as error:
            raise BadMessage(f"not a CloudEvent 1.0 with a frame: {describe(error)}") from error


class CameraEvent(EventAttributes):
    """A camera's event as it stands in a Stream: flattened into the entry's fields."""

    data: bytes | None = Field(None, min_length=1)

    @model_validator(mode="after")
    def _one_payload(self) -> Self:
        if (self.dataref is None) == (self.data is None):
            raise ValueError("an event carries exactly one of dataref (a file URI) and data (an encoded image)")
        if self.type == SOURCE_EVENT and self.dataref is None:
            raise ValueError(f"an event of type {SOURCE_EVENT} names its source by dataref")
        return self

    @classmethod
    def parse(cls, fields: Mapping[bytes, bytes]) -> Self:
        """Validate the fields of an entry; raise `BadMessage` naming those that are wrong."""
        try:
            named = {name.decode(): value for name, value in fields.items()}
            texts = {name: value if name == "data" else value.decode() for name, value in named.items()}
        except UnicodeDecodeError as error:
            raise BadMessage(f"a name or value in the event is not UTF-8 text: {error}") from error
        return cls.of(texts)


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
