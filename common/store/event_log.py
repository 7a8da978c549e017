"""The Streams that people and programs read: events and dead letters."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Iterator, Mapping

import redis
from pydantic import ValidationError

from common.contracts.dead_letters import DeadLetter, DeadLetterKind
from common.contracts.events import Event, EventType
from common.contracts.ids import Message, content_id, describe
from common.errors import BadMessage, Refused
from common.store import keys
from common.store.client import fields_of, load_script, text
from common.store.streams import dead_letter_fields

log = logging.getLogger(__name__)

_PAGE = 500  # entries read at a time


class EventLog:
    """Writes and reads `sentinel:events` and `sentinel:dead`; `max_events` bounds both."""

    def __init__(self, client: redis.Redis, *, max_events: int) -> None:
        self.client = client
        self._max_events = max_events
        self._bury = load_script(client, "bury")

    def announce(self, event: Event) -> None:
        self.client.xadd(keys.EVENTS, event_fields(event), maxlen=self._max_events, approximate=True)  # type: ignore[arg-type]

    def events(self, *, after: str = "-", limit: int | None = None, newest_first: bool = False) -> Iterator[Event]:
        """Yield events, oldest first from `after` on (exclusive), or newest first.

        An entry that is no event is left out, with a line in the log.
        """
        for entry_id, fields in self._entries(keys.EVENTS, after=after, newest_first=newest_first, limit=limit):
            try:
                yield read_event(entry_id, fields)
            except BadMessage as error:
                log.warning("%s: it is left out", error)

    def bury(self, letter: DeadLetter) -> bool:
        """Write `letter` unless the same trouble with the same content is there already."""
        fields = [item for pair in dead_letter_fields(letter).items() for item in pair]
        return bool(self._bury(keys=[keys.DEAD, keys.DEAD_IDS], args=[letter.id, self._max_events, *fields]))

    def dead_letters(self) -> Iterator[DeadLetter]:
        """Yield the dead letters, oldest first."""
        for entry_id, fields in self._entries(keys.DEAD, after="-", newest_first=False, limit=None):
            yield read_dead_letter(entry_id, fields)

    def drop(self, letter: DeadLetter) -> None:
        """Forget `letter`; the same trouble may be reported again."""
        pipe = self.client.pipeline()
        pipe.xdel(keys.DEAD, letter.entry_id)
        pipe.hdel(keys.DEAD_IDS, letter.id)
        pipe.execute()

    def trim(self, seconds: float) -> None:
        """Forget events older than `seconds`. Dead letters stay until somebody drops them."""
        oldest = int((time.time() - seconds) * 1000)
        self.client.xtrim(keys.EVENTS, minid=f"{max(0, oldest)}-0", approximate=False)

    def forget_trimmed(self) -> None:
        """Forget the ids of dead letters that are no longer kept, because there were too many after them."""
        first = self.client.xrange(keys.DEAD, count=1)
        oldest = _position(text(first[0][0])) if first and first[0] else None
        gone = [
            dead_letter_id
            for dead_letter_id, entry in self.client.hscan_iter(keys.DEAD_IDS)
            if oldest is None or _position(text(entry)) < oldest
        ]
        for start in range(0, len(gone), _PAGE):
            self.client.hdel(keys.DEAD_IDS, *gone[start : start + _PAGE])

    def _entries(
        self, key: str, *, after: str, newest_first: bool, limit: int | None
    ) -> Iterator[tuple[str, dict[bytes, bytes]]]:
        at, given = after, 0
        edge = "+" if newest_first else after
        while limit is None or given < limit:
            count = _PAGE if limit is None else min(_PAGE, limit - given)
            if newest_first:
                page = self.client.xrevrange(key, max=edge, min="-", count=count) or []
            else:
                page = self.client.xrange(key, min=at if at == "-" else f"({at}", max="+", count=count) or []
            for entry in page:
                if entry is not None:
                    at = text(entry[0])
                    yield at, fields_of(entry[1])
            given += len(page)
            if len(page) < count:
                return
            edge = f"({at}"


def _position(entry_id: str) -> tuple[int, int]:
    milliseconds, _, number = entry_id.partition("-")
    return int(milliseconds), int(number or 0)


def event_of(kind: EventType, *, model: str, message: Message, stream: str = "", key: str | None = None) -> Event:
    """Make an event about `message`. `key` makes the id a function of the content, so that a repeat is recognised."""
    now = time.time()
    return Event(
        id=content_id(kind, key if key is not None else now, stream, model),
        type=kind,
        time=now,
        stream=stream,
        model=model,
        data=message.to_json(),
    )


def event_fields(event: Event) -> dict[str, str]:
    """Return `event` as the flat fields of a Stream entry."""
    row = event.model_dump(mode="json", exclude={"entry_id"})
    return {name: str(value) for name, value in row.items()}


def read_dead_letter(entry_id: str, fields: Mapping[bytes, bytes]) -> DeadLetter:
    """Parse an entry of `sentinel:dead`; one that is no dead letter becomes one that says so and can be dropped."""
    try:
        values: dict[str, object] = {text(name): text(value) for name, value in fields.items()}
        return DeadLetter.model_validate({**values, "entry_id": entry_id})
    except (ValidationError, UnicodeDecodeError) as error:
        reason = describe(error) if isinstance(error, ValidationError) else str(error)
        return DeadLetter(
            id=content_id("unreadable", entry_id),
            kind=DeadLetterKind.EVENT,
            stream="",
            subject=f"entry {entry_id} of {keys.DEAD}",
            reason=f"not a dead letter that this version can read ({reason}): drop it, or see it with redis-cli",
            original="",
            time=_position(entry_id)[0] / 1000,
            entry_id=entry_id,
        )


def read_event(entry_id: str, fields: Mapping[bytes, bytes]) -> Event:
    """Parse an entry of `sentinel:events`; raise `BadMessage` if somebody else wrote it."""
    try:
        values: dict[str, object] = {text(name): text(value) for name, value in fields.items()}
        return Event.model_validate({**values, "entry_id": entry_id})
    except (ValidationError, UnicodeDecodeError) as error:
        reason = describe(error) if isinstance(error, ValidationError) else str(error)
        raise BadMessage(f"entry {entry_id} of {keys.EVENTS} is not an event: {reason}") from error


def dead_letter(
    kind: DeadLetterKind, stream: str, subject: str, error: Exception, original: Message, *, version: str = ""
) -> DeadLetter:
    """Make a dead letter of `error`. A refusal explains itself; anything else brings its traceback."""
    trace = "" if isinstance(error, Refused) else "".join(traceback.format_exception(error))
    reason = str(error) if isinstance(error, Refused) else f"{type(error).__name__}: {error}"
    return DeadLetter(
        id=content_id(kind, stream, subject, reason, version),
        kind=kind,
        stream=stream,
        subject=subject,
        reason=reason,
        original=original.to_json(),
        traceback=trace,
        time=time.time(),
    )
