"""The Streams of events and of dead letters."""

from __future__ import annotations

import json
import logging
import time
import traceback
from collections.abc import Iterator, Mapping

import redis

from common.contracts.dead_letters import DeadLetter, DeadLetterKind
from common.contracts.events import Event, read
from common.contracts.ids import Message, content_id
from common.contracts.stored import FORMAT
from common.errors import BadMessage, Refused
from common.store import keys
from common.store.chunks import dead_letter_fields
from common.store.client import entry_position, fields_of, load_script, text

log = logging.getLogger(__name__)

_PAGE = 500  # entries read at a time


class EventLog:
    """Writes and reads `sentinel:events` and `sentinel:dead`; `max_events` bounds both."""

    def __init__(self, client: redis.Redis, *, max_events: int) -> None:
        self.client = client
        self._max_events = max_events
        self._bury = load_script(client, "bury")
        self._trim = load_script(client, "trim_events")

    def announce(self, event: Event) -> None:
        self.client.xadd(keys.EVENTS, event.to_fields(), maxlen=self._max_events, approximate=True)  # type: ignore[arg-type]

    def events(self, *, after: str = "-", limit: int | None = None, newest_first: bool = False) -> Iterator[Event]:
        """Yield events, either oldest first after the entry id `after` (exclusive), or newest first.

        Entries that are no events are logged and skipped. `limit` bounds the number of entries that are read.
        """
        for entry_id, fields in self._entries(keys.EVENTS, after=after, newest_first=newest_first, limit=limit):
            try:
                yield read_event(entry_id, fields)
            except BadMessage as error:
                log.warning("skipped: %s", error)

    def last_id(self) -> str:
        """Return the id of the latest entry of `sentinel:events` that ever was; `0-0` if there was none."""
        try:
            return text(self.client.xinfo_stream(keys.EVENTS)["last-generated-id"])
        except redis.ResponseError:  # nothing was announced yet
            return "0-0"

    def bury(self, letter: DeadLetter) -> bool:
        """Write `letter`; return False if a dead letter with its id exists already."""
        fields = [item for pair in dead_letter_fields(letter).items() for item in pair]
        return bool(self._bury(keys=[keys.DEAD, keys.DEAD_IDS], args=[letter.id, self._max_events, *fields]))

    def dead_letters(self) -> Iterator[DeadLetter]:
        """Yield the dead letters, oldest first; an unreadable one is replaced by one of kind STATE with the reason."""
        for entry_id, fields in self._entries(keys.DEAD, after="-", newest_first=False, limit=None):
            yield read_dead_letter(entry_id, fields)

    def latest_dead_letters(self, limit: int) -> Iterator[DeadLetter]:
        """Yield up to `limit` of the latest dead letters, newest first; otherwise as `dead_letters`."""
        for entry_id, fields in self._entries(keys.DEAD, after="-", newest_first=True, limit=limit):
            yield read_dead_letter(entry_id, fields)

    def dead_letter_count(self) -> int:
        """Return the number of dead letters."""
        return int(self.client.xlen(keys.DEAD))

    def drop(self, letter: DeadLetter) -> None:
        """Delete `letter`; the same failure may then be written again."""
        pipe = self.client.pipeline()
        pipe.xdel(keys.DEAD, letter.entry_id)
        pipe.hdel(keys.DEAD_IDS, letter.id)
        pipe.execute()

    def trim(self, seconds: float, latest: Mapping[str, float]) -> int:
        """Delete events older than `seconds`; return how many. Dead letters stay until somebody drops them.

        Parameters
        ----------
        latest : stream -> its latest capture time, seconds since the epoch. The age of a verdict is measured from
            it; that of all other events, from the current time
        """
        at, forgotten = "-", 0
        clocks = json.dumps(dict(latest))
        while at:
            end, count = self._trim(keys=[keys.EVENTS], args=[at, _PAGE, time.time(), seconds, clocks])
            at, forgotten = text(end), forgotten + int(count)
        return forgotten

    def forget_trimmed(self) -> None:
        """Delete the ids of dead letters that were trimmed from the Stream by newer ones."""
        first = self.client.xrange(keys.DEAD, count=1)
        oldest = entry_position(text(first[0][0])) if first and first[0] else None
        gone = [
            dead_letter_id
            for dead_letter_id, entry in self.client.hscan_iter(keys.DEAD_IDS)
            if oldest is None or entry_position(text(entry)) < oldest
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


def read_event(entry_id: str, fields: Mapping[bytes, bytes]) -> Event:
    """Return the event in an entry of `sentinel:events`; raise `BadMessage` if it is not valid."""
    try:
        return read(entry_id, {name.decode(): value.decode() for name, value in fields.items()})
    except UnicodeDecodeError as error:
        raise BadMessage(f"entry {entry_id} of {keys.EVENTS} is not an event: {error}") from error


def read_dead_letter(entry_id: str, fields: Mapping[bytes, bytes]) -> DeadLetter:
    """Return the dead letter in an entry of `sentinel:dead`; if it is unreadable, one of kind STATE with the reason."""
    try:
        values: dict[str, object] = {name.decode(): value.decode() for name, value in fields.items()}
        stored = int(str(values.pop("format", 1)))
        return DeadLetter.from_json(json.dumps({**values, "format": max(stored, FORMAT), "entry_id": entry_id}))
    except (BadMessage, ValueError) as error:
        return DeadLetter(
            id=content_id(entry_id),
            kind=DeadLetterKind.STATE,
            stream="",
            subject=f"entry {entry_id} of {keys.DEAD}",
            reason=f"this dead letter cannot be read: {error}",
            original="{}",
            time=entry_position(entry_id)[0] / 1000,
            entry_id=entry_id,
        )


def dead_letter(
    kind: DeadLetterKind, stream: str, subject: str, error: Exception, original: Message, *, version: str = ""
) -> DeadLetter:
    """Return a dead letter about `error`, with a traceback unless the error is a `Refused`.

    Its id is derived from kind, stream, subject, reason and `version`, so that the same failure of the same
    version of the subject gives the same id.
    """
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
