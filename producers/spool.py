"""The folder of what was posted, or came over MQTT: each file is there whole, and for as long as something needs it.

    <state folder>/spool/posted/<stream>/<batch>.<random>.<suffix>

A file is named after its batch, so that what the store says of the batch (`BatchStore.kept_seconds`) says whether the
file is needed: until it is judged, and a while afterwards for a retraining, as images inside camera events are. Where
there is no room, files that were judged go earlier, first those that would go first.
"""

from __future__ import annotations

import base64
import logging
import os
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from common.contracts.ids import content_id
from common.store import Store

log = logging.getLogger(__name__)

_UNFINISHED = ".part"
_GRACE_SECONDS = 600.0  # of a file that no batch needs yet: it is being received or accepted
_PRIVATE = 0o700
_PAGE = 1000  # files that are asked for at a time
_HIGH, _LOW = 0.9, 0.75  # shares of the room: above the first, files that were judged go until the second is reached


class SpoolFull(Exception):
    """There is no room for what a camera sends."""


@dataclass(frozen=True)
class _Spooled:
    path: Path
    batch_id: str
    size: int
    changed: float


class Spool:
    """The folder of posted files, with a bound on their size in all.

    Parameters
    ----------
    folder : is made when it is needed; only this user may enter it
    most_bytes : of all files, and of what is being received
    data_retention : seconds for which what was judged is kept, if there is room
    """

    def __init__(self, folder: Path, *, most_bytes: int, data_retention: float) -> None:
        self._folder = folder
        self._most = most_bytes
        self._data_retention = data_retention
        self._lock = threading.Lock()
        self._stored = sum(file.size for file in self._all())
        self._reserved = 0

    @contextmanager
    def receiving(self) -> Iterator[Reservation]:
        """Yield room for one request, which is given back when the block ends."""
        reservation = Reservation(self)
        try:
            yield reservation
        finally:
            reservation.give_back()

    def new_file(self, stream: str, batch_id: str, suffix: str) -> Path:
        """Return the name of a file that nobody else has."""
        # Base 32 has neither 0 nor 1, so no capture time can be read out of a name.
        random = _letters(uuid.uuid4().bytes)
        return stream_folder(self._folder, stream) / f"{_letters(bytes.fromhex(batch_id))}.{random}{suffix}"

    def store(self, path: Path, data: bytes | Path) -> None:
        """Put bytes, or a file that was received, at `path`, and on the disk; raise `OSError` if that cannot be.

        A process that is killed leaves an unfinished file, which `sweep` removes.
        """
        self._make_folder()
        first = not path.parent.exists()
        path.parent.mkdir(exist_ok=True)
        part = data if isinstance(data, Path) else path.with_name(path.name + _UNFINISHED)
        if not isinstance(data, Path):
            part.write_bytes(data)
        size = part.stat().st_size
        _sync(part)
        part.replace(path)
        _sync(path.parent)
        if first:
            _sync(self._folder)
        with self._lock:
            self._stored += size

    def unfinished_file(self) -> Path:
        """Return where a large body may be written to while it is received."""
        self._make_folder()
        return self._folder / f"{_letters(uuid.uuid4().bytes)}{_UNFINISHED}"

    def remove(self, path: Path) -> None:
        """Remove a file that nobody needs."""
        with suppress(OSError):
            size = path.stat().st_size
            path.unlink()
            with self._lock:
                self._stored -= size

    def sweep(self, store: Store) -> int:
        """Remove the files that nothing needs any more, and judged ones if there is little room; return how many.

        Raises `redis.RedisError` if the store cannot be asked; nothing is removed then without knowing.
        """
        removed, judged, total = 0, [], 0
        streams = {_folder_name(stream): stream for stream in store.streams.names()}
        for folder, files in self._by_folder().items():
            for start in range(0, len(files), _PAGE):
                page = files[start : start + _PAGE]
                for file, left in zip(page, _seconds_left(store, streams.get(folder), page), strict=True):
                    if left <= 0 and time.time() - file.changed > _GRACE_SECONDS:
                        self.remove(file.path)
                        removed += 1
                        continue
                    total += file.size
                    if 0 < left <= self._data_retention:
                        judged.append((left, file))
        with self._lock:
            self._stored = total
        if total > _HIGH * self._most:
            for _, file in sorted(judged, key=lambda row: row[0]):
                if total <= _LOW * self._most:
                    break
                self.remove(file.path)
                total -= file.size  # also if another process that sweeps here was faster
                removed += 1
        return removed

    def _make_folder(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=_PRIVATE)

    def _reserve(self, size: int) -> None:
        with self._lock:
            if self._stored + self._reserved + size > self._most:
                raise SpoolFull("the spool is full: raise SENTINEL_HTTP_SPOOL_MB if there is room on the disk")
            self._reserved += size

    def _release(self, size: int) -> None:
        with self._lock:
            self._reserved -= size

    def _by_folder(self) -> Mapping[str, list[_Spooled]]:
        found: dict[str, list[_Spooled]] = {}
        for file in self._all():
            found.setdefault(file.path.parent.name, []).append(file)
        return found

    def _all(self) -> Iterator[_Spooled]:
        """Yield what is there; what is removed meanwhile is left out."""
        for path in self._folder.rglob("*"):
            with suppress(OSError):
                seen = path.stat()
                if path.is_file():
                    yield _Spooled(path, _batch_of(path), seen.st_size, seen.st_mtime)


class Reservation:
    """Room in a spool for one request, which takes more as its body comes."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._size = 0

    def take(self, size: int) -> None:
        """Take room for `size` more bytes; raise `SpoolFull` if there is none."""
        self._spool._reserve(size)
        self._size += size

    def give_back(self) -> None:
        self._spool._release(self._size)
        self._size = 0


def _seconds_left(store: Store, stream: str | None, files: list[_Spooled]) -> list[float]:
    """Return for how long each file is needed, 0: it is not; of those being received nothing is known."""
    if stream is None:
        return [0.0] * len(files)
    left = store.batches.kept_seconds(stream, [file.batch_id for file in files])
    return [0.0 if file.path.suffix == _UNFINISHED else seconds for file, seconds in zip(files, left, strict=True)]


def _sync(path: Path) -> None:
    """Wait until the disk has a file, or the names in a folder."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def stream_folder(folder: Path, stream: str) -> Path:
    """Return where in the spool `folder` the files of `stream` are."""
    return folder / _folder_name(stream)


def posted_files(folder: Path, stream: str) -> list[Path]:
    """Return the files of `stream` in the spool `folder`."""
    own = stream_folder(folder, stream)
    return list(own.iterdir()) if own.is_dir() else []


def remove_forgotten(folder: Path, store: Store, stream: str, files: list[Path]) -> int:
    """Remove those of `files` that no batch of `stream` needs, and its folder if it is empty; return how many."""
    left = store.batches.kept_seconds(stream, [_batch_of(path) for path in files])
    gone = [path for path, seconds in zip(files, left, strict=True) if seconds <= 0]
    for path in gone:
        path.unlink(missing_ok=True)
    with suppress(OSError):  # more was posted, or nothing ever was
        stream_folder(folder, stream).rmdir()
    return len(gone)


def _folder_name(stream: str) -> str:
    return _letters(bytes.fromhex(content_id(stream)))


def _letters(data: bytes) -> str:
    return base64.b32encode(data).decode().rstrip("=").lower()


def _batch_of(path: Path) -> str:
    """Return the id of the batch that a file is named after; an empty string if it is no such name."""
    name = path.name.partition(".")[0].upper()
    try:
        return base64.b32decode(name + "=" * (-len(name) % 8)).hex()
    except ValueError:
        return ""
