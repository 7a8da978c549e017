"""Retrying dead letters, one by one: one that fails keeps the others from nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing

import redis
from pydantic import Field

from common.contracts.dead_letters import DeadLetter, DeadLetterKind
from common.contracts.ids import Message
from common.errors import BadMessage, SentinelError
from common.ingest.accept import Ingestor
from common.ingest.retry import retry
from common.printable import encodable
from common.queries import dead_letters
from common.settings import Settings
from common.store import Store


class Retried(Message):
    """What became of a dead letter that was tried again."""

    id: str
    kind: DeadLetterKind
    subject: str
    became: str = Field("", description="what became of the work; empty: it stays a dead letter")
    error: str = Field("", description="why it stays; empty: it does not")


def chosen_letters(store: Store, beginning: str) -> list[DeadLetter]:
    """Return the dead letter whose id begins with `beginning`; all for an empty one.

    Raises
    ------
    BadMessage
        If that is not exactly one.
    """
    found = [letter for letter in dead_letters(store) if letter.id.startswith(beginning)]
    if beginning and len(found) != 1:
        raise BadMessage(f"{len(found)} dead letters begin with {beginning!r}: see `sentinel dead list`")
    return found


def retry_letters(store: Store, settings: Settings, letters: Sequence[DeadLetter]) -> Iterator[Retried]:
    """Try each of `letters` again, and yield what became of it; what fails again comes back with its new reason."""
    with closing(Ingestor(settings, store)) as ingestor:
        for letter in letters:
            about = {"id": letter.id, "kind": letter.kind, "subject": letter.subject}
            try:
                yield Retried(**about, became=retry(letter, store, ingestor))
            except (SentinelError, OSError, redis.RedisError) as error:
                yield Retried(**about, error=encodable(str(error)))
