"""Work that was given up."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from pydantic import Field

from common.contracts.ids import Message


class DeadLetterKind(StrEnum):
    """What kind of work ended as a dead letter; it decides how a retry is made."""

    SOURCE = "source"
    """A file or folder that a producer could not accept. Retry: hand it in again."""
    EVENT = "event"
    """A camera event that broke its contract. Retry: put it on `sentinel:ingest` again."""
    CHUNK = "chunk"
    """A chunk that a worker could not embed. Retry: a new batch of just its frames."""
    TASK = "task"
    """A Celery task that no worker could make sense of. Retry: send it again."""


class RawTask(Message):
    """A Celery task as it was sent."""

    name: str
    queue: str
    args: str = Field(description="JSON")
    kwargs: str = Field(description="JSON")


class RawEntry(Message):
    """The fields of a Stream entry as they were, latin-1 so that every byte survives JSON."""

    fields: dict[str, str]

    @classmethod
    def of(cls, fields: dict[str, bytes]) -> Self:
        """Keep the fields of an entry."""
        return cls(fields={name: value.decode("latin-1") for name, value in fields.items()})

    def restored(self) -> dict[str, bytes]:
        """Return the fields as they were."""
        return {name: value.encode("latin-1") for name, value in self.fields.items()}


class DeadLetter(Message):
    """Work that was given up, with its reason and everything needed to try it again."""

    id: str = Field(description="content id: the same trouble with the same content is one letter")
    kind: DeadLetterKind
    stream: str
    subject: str = Field(description="the file, URI or event that it is about")
    reason: str
    original: str = Field(description="JSON of what was given up")
    traceback: str = ""
    time: float = Field(description="seconds since the epoch")
    entry_id: str = ""
