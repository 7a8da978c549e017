"""Dead letters: work that was given up."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from common.contracts.ids import Message
from common.contracts.stored import StoredMessage


class DeadLetterKind(StrEnum):
    """What kind of work was given up. It determines how a retry is made."""

    SOURCE = "source"
    """A file or folder that a producer could not accept. Retry: submit it again."""
    EVENT = "event"
    """A camera event that was not valid or not acceptable. Retry: write it to its Stream again."""
    CHUNK = "chunk"
    """A chunk that a worker could not embed. Retry: a new batch of only its frames."""
    TASK = "task"
    """A Celery task that is not valid, or a source of a schedule that failed. Retry: send the task again."""
    STATE = "state"
    """Stored state that this version cannot read. There is nothing to retry: drop the dead letter."""


class RawTask(Message):
    """A Celery task as it was sent."""

    name: str
    queue: str
    args: str = Field(description="JSON")
    kwargs: str = Field(description="JSON")


class StreamRepair(Message):
    """A repair of a Stream of camera events that could no longer be written to or read."""

    stream_key: str
    why: str = Field(description="what was wrong with it")
    what: str = Field(description="what was done")
    time: float = Field(description="seconds since the epoch, of the latest repair")
    times: int = Field(ge=1, description="repairs so far")


class DeadLetter(StoredMessage):
    """Work that was given up, with its reason and everything needed to try it again."""

    id: str = Field(description="content id: the same failure of the same content is one dead letter")
    kind: DeadLetterKind
    stream: str
    subject: str = Field(description="the file, URI or event that it is about")
    reason: str
    original: str = Field(description="JSON of what was given up")
    traceback: str = ""
    time: float = Field(description="seconds since the epoch")
    entry_id: str = ""
