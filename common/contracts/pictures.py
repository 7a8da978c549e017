"""Small pictures of what cameras saw, for people to look at."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import Field

from common.contracts.ids import Message
from common.contracts.stored import StoredMessage


class PictureNote(StoredMessage):
    """What a picture shows. The picture itself is a JPEG that is stored under the same id."""

    id: str = Field(description="derived from the batch and the frame: a chunk that is redelivered has the same ones")
    source: str
    time: float = Field(description="seconds from the start of the source")
    taken_at: float | None = Field(description="capture time, seconds since the epoch; None: unknown")
    width: int = Field(gt=0, description="pixels")
    height: int = Field(gt=0, description="pixels")


@dataclass(frozen=True)
class Picture:
    """A picture with its note; `jpeg` is the encoded image."""

    note: PictureNote
    jpeg: bytes


class Reference(Message):
    """The latest picture of a window with which nothing was wrong, by one baseline and one segment of it."""

    golden_id: str
    segment: str
    note: PictureNote


class IncidentPictures(Message):
    """The pictures that are kept of an incident."""

    first: tuple[PictureNote, ...] = Field((), description="of its first windows")
    latest: tuple[PictureNote, ...] = Field((), description="of its latest windows, oldest first")


class StreamPictures(Message):
    """The pictures that are kept of a stream."""

    latest: PictureNote | None = Field(None, description="of the frame that a worker saw last")
    ring: tuple[PictureNote, ...] = Field((), description="the latest ones, oldest first")
    references: tuple[Reference, ...] = ()
    incidents: dict[str, IncidentPictures] = Field({}, description="by the id of the incident")
