"""Events of Frigate: each that has ended is fetched once, as its snapshot or its clip, from Frigate's HTTP API.

    TOPIC/events   {"type": "new" | "update" | "end", "before": {...}, "after": {"id", "camera", "has_snapshot", ...}}
    GET URL/api/events/ID/snapshot.jpg     GET URL/api/events/ID/clip.mp4

The stream is the camera's name. Where Frigate is says a setting, and nothing that is in a message.
"""

from __future__ import annotations

import http.client
import json
import math
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from common.contracts.ids import check_stream_name
from common.errors import BadSource
from common.ingest.accept import Ingestor, event_batch_id
from common.settings import Settings
from producers.mqtt_delivery import Delivery, NotAFrame, NotYet
from producers.spool import Reservation, Spool, SpoolFull
from producers.spooled import accept_stored

_ENDED = "end"  # then its snapshot and its clip no longer change
_FILES = {"snapshot": "snapshot.jpg", "clip": "clip.mp4"}
_ID = re.compile(r"[0-9]{1,12}\.[0-9]{1,9}-[a-z0-9]{6}", re.ASCII)  # seconds since the epoch, and random letters
_MOST_BYTES = 1_000_000  # of a message; Frigate's have a few thousand
_ANSWER_SECONDS = 10.0  # that Frigate may be silent
_FETCH_SECONDS = 60.0  # for all of a file
_STEP_BYTES = 65_536
_AWAY_SECONDS = 5.0  # between attempts while nobody answers
_AWAY_STATUSES = frozenset((502, 503, 504))  # of a proxy before it
_FORBIDDEN_SECONDS = 30.0
_RETRIES = 5  # of what Frigate does not have, or breaks off: a clip is put together a while after its event
_RETRY_SECONDS = 2.0  # before the first of them; before each further one, twice as long


@dataclass(frozen=True)
class FrigateEvent:
    """What an event that has ended says.

    Attributes
    ----------
    has : whether there is a snapshot, and a clip
    times : when these were taken, or began, seconds since the epoch; None: it does not say
    """

    id: str
    stream: str
    has: dict[str, bool]
    times: dict[str, float | None]

    @classmethod
    def parse(cls, payload: bytes) -> FrigateEvent | None:
        """Return the event in a message, None if it has not ended; raise `NotAFrame` if the message is no such."""
        try:
            message = json.loads(payload)
        except (ValueError, RecursionError) as error:
            raise NotAFrame("it is no JSON, so no event of Frigate's") from error
        after = message.get("after") if isinstance(message, dict) else None
        if not isinstance(after, dict):
            raise NotAFrame("it has no `after`, so it is no event of Frigate's")
        event_id, camera, snapshot = after.get("id"), after.get("camera"), after.get("snapshot")
        if not isinstance(event_id, str) or not _ID.fullmatch(event_id):
            raise NotAFrame("its `after.id` is no id of Frigate's, like 1607123955.475377-mxklsc")
        try:
            stream = check_stream_name(camera if isinstance(camera, str) else "")
        except ValueError as error:
            raise NotAFrame(f"its `after.camera` names no stream: {error}") from error
        if message.get("type") != _ENDED:
            return None
        best = snapshot.get("frame_time") if isinstance(snapshot, dict) else after.get("snapshot_time")
        has = {what: after.get(f"has_{what}") is True for what in _FILES}
        times = {"snapshot": _time(best) or _time(after.get("frame_time")), "clip": _time(after.get("start_time"))}
        return cls(event_id, stream, has, times)


class FrigateEvents:
    """Takes Frigate's events; see `mqtt_delivery.Taker`."""

    def __init__(self, settings: Settings, ingestor: Ingestor, spool: Spool) -> None:
        self._url = settings.frigate_url or ""
        self._topic = f"{settings.frigate_topic.strip('/')}/events"
        self._what = settings.frigate_fetch
        self._most = settings.frigate_max_bytes
        self._ingestor = ingestor
        self._store = ingestor.store
        self._spool = spool

    @property
    def filters(self) -> Sequence[str]:
        return [self._topic]

    @property
    def most_bytes(self) -> int:
        return _MOST_BYTES

    def take(self, delivery: Delivery, subscriber: str) -> None:
        """Fetch what an event that has ended has, and accept it."""
        event = self._event_of(delivery)
        if event is None or not event.has[self._what]:
            return
        key = f"frigate\n{event.id}\n{self._what}"
        batch_id = event_batch_id(event.stream, key)
        self._store.require_room()
        if self._store.batches.known(event.stream, batch_id):
            return
        file = _FILES[self._what]
        path = self._spool.new_file(event.stream, batch_id, Path(file).suffix)
        with self._spool.receiving() as room, self._unfinished() as part:
            try:
                fetch(f"{self._url}/api/events/{event.id}/{file}", part, room, self._most)
            except (OSError, http.client.HTTPException, _BrokenOff) as error:
                self._fetch_again(delivery, error)
            self._spool.store(path, part)
        try:
            accept_stored(
                self._ingestor, self._spool, event.stream, path, event_key=key, taken_at=event.times[self._what]
            )
        except BadSource as error:
            reason = str(error).replace(str(path), f"{file} of event {event.id} of camera {event.stream}")
            raise NotAFrame(reason) from error

    def bury(self, delivery: Delivery, error: Exception) -> None:
        """Say that an event is lost: Frigate has its file, and a dead letter could not fetch it."""
        event = self._event_of(delivery)
        about = f"event {event.id} of camera {event.stream}: " if event is not None else ""
        raise NotAFrame(f"{about}{error}") from error

    def _event_of(self, delivery: Delivery) -> FrigateEvent | None:
        if delivery.size > _MOST_BYTES:
            raise NotAFrame(f"it has {delivery.size} bytes, and events of Frigate's have {_MOST_BYTES} at most")
        return FrigateEvent.parse(delivery.payload)

    def _fetch_again(self, delivery: Delivery, error: Exception) -> None:
        """Raise `NotYet`, or `NotAFrame` once it was tried often enough."""
        delivery.tries += 1
        if delivery.tries > _RETRIES:
            raise NotAFrame(f"what Frigate has of it cannot be fetched: {error}") from error
        raise NotYet(f"Frigate: {error}", _RETRY_SECONDS * 2 ** (delivery.tries - 1)) from error

    @contextmanager
    def _unfinished(self) -> Iterator[Path]:
        part = self._spool.unfinished_file()
        try:
            yield part
        finally:
            part.unlink(missing_ok=True)


class _BrokenOff(Exception):
    """Frigate does not have the file, or did not send all of it."""


def fetch(url: str, to: Path, room: Reservation, most: int) -> None:
    """Write what is at `url` to a file. Nothing but its host is asked: no redirect is followed, and no proxy used.

    Raises
    ------
    NotAFrame
        If it redirects, or is larger than `most` bytes.
    NotYet
        If nobody answers, or somebody asks for a login.
    SpoolFull
        If there is no room in the spool.
    OSError, http.client.HTTPException, _BrokenOff
        If it cannot be had now.
    """
    connection, path = _connection(url)
    try:
        connection.connect()
    except OSError as error:
        connection.close()
        raise NotYet(f"Frigate does not answer at SENTINEL_FRIGATE_URL: {error}", _AWAY_SECONDS) from error
    deadline = threading.Timer(_FETCH_SECONDS, _cut, [connection.sock])
    deadline.daemon = True
    deadline.start()
    try:
        connection.request("GET", path, headers={"Accept-Encoding": "identity"})
        with connection.getresponse() as answer:
            _check_status(answer.status)
            _receive(answer, to, room, most)
    finally:
        deadline.cancel()
        connection.close()


def why_closed(url: str) -> str:
    """Ask Frigate at `url` for its version; return why it does not say it, or an empty string."""
    connection, path = _connection(f"{url}/api/version")
    try:
        connection.request("GET", path)
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__
    finally:
        connection.close()
    return "" if status == 200 else f"status {status} for /api/version"


def _connection(url: str) -> tuple[http.client.HTTPConnection, str]:
    """Return a connection to the host of a URL, not yet opened, and the path there."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    return kind(parts.hostname or "", parts.port, timeout=_ANSWER_SECONDS), parts.path


def _receive(answer: http.client.HTTPResponse, to: Path, room: Reservation, most: int) -> None:
    size, whole = 0, answer.length
    ends = time.monotonic() + _FETCH_SECONDS
    if whole is not None and whole > most:
        raise NotAFrame(f"what Frigate has of it has {whole} bytes, more than SENTINEL_FRIGATE_MAX_BYTES ({most})")
    room.take(whole or 0)  # before any of it comes: while the spool is full this is tried every second
    with _writing(to) as write:
        while piece := answer.read1(_STEP_BYTES):
            size += len(piece)
            if size > most:
                raise NotAFrame(f"what Frigate has of it has more than SENTINEL_FRIGATE_MAX_BYTES ({most} bytes)")
            if time.monotonic() > ends:
                raise _BrokenOff(f"it took longer than {_FETCH_SECONDS:g} s")
            if whole is None:
                room.take(len(piece))
            write(piece)
    if size == 0 or (whole is not None and size < whole):
        raise _BrokenOff(f"{size} of {whole} bytes came")


@contextmanager
def _writing(to: Path) -> Iterator[Callable[[bytes], None]]:
    """Yield what appends to a file; raise `SpoolFull` where the disk takes no more, which is not Frigate's fault."""
    try:
        file = to.open("wb")
    except OSError as error:
        raise SpoolFull(f"there is no room on the disk: {error.strerror}") from error

    def write(piece: bytes) -> None:
        try:
            file.write(piece)
            file.flush()
        except OSError as error:
            raise SpoolFull(f"there is no room on the disk: {error.strerror}") from error

    with file:
        yield write


def _check_status(status: int) -> None:
    if 300 <= status < 400:
        raise NotAFrame(
            "Frigate redirects to another address, which is not followed: give that one as SENTINEL_FRIGATE_URL"
        )
    if status in {401, 403}:
        raise NotYet(
            f"Frigate asks for a login (status {status}): give its port without one as SENTINEL_FRIGATE_URL, 5000 "
            "unless you changed it",
            _FORBIDDEN_SECONDS,
        )
    if status in _AWAY_STATUSES:
        raise NotYet(f"a proxy answers in Frigate's place (status {status})", _AWAY_SECONDS)
    if status != 200:
        raise _BrokenOff(f"it answers with status {status}")


def _cut(connection: socket.socket) -> None:
    """End a connection on which bytes come too slowly for any time limit of a single read."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _time(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        seconds = float(value)
    except OverflowError:
        return None
    return seconds if math.isfinite(seconds) else None
