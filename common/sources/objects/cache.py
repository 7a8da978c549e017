"""What was read of object storage, in blocks on a local disk, which all processes of a host share.

Each block is a file. It is written under another name and renamed, so none is ever seen half; what a crash of the
machine cut short has the wrong length and is not used. A lock is held while one is added, so the bound holds whatever
the number of processes. A block is removed when it was not used for longest; who has read it keeps its bytes.

Names are `OBJECT-NUMBER` for a block, and `OBJECT-WHAT` for what was found out about an object, such as when its frames
come: that is small, took reading the whole object, and stays as long as the block of it that was used last.
"""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from filelock import FileLock

log = logging.getLogger(__name__)

_LEFT_AFTER_REMOVAL = 0.9  # of the bound, so that not every block that is added has to look at all others
_LOCK_SECONDS = 5.0  # a block is added in milliseconds; whoever waits longer does without the cache
_LOCK, _TOTAL, _UNFINISHED = ".lock", ".total", ".unfinished"


@lru_cache(maxsize=64)
def _say_once(folder: Path, reason: str) -> None:
    """Log why nothing is kept, once in each process: it would come with every block."""
    log.warning("the cache of objects in %s cannot be written (%s): they are fetched each time", folder, reason)


class BlockCache:
    """Blocks of objects in a folder.

    Parameters
    ----------
    folder : nobody else writes there; it is made where it is missing
    most_bytes : what all blocks together may have
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self.folder = folder
        self.most_bytes = most_bytes

    def block(self, name: str, size: int, fetch: Callable[[], bytes]) -> bytes:
        """Return the block of this name and size in bytes; `fetch` returns it where it is not there."""
        data = self.kept(name)
        if data is None or len(data) != size:
            data = fetch()
            self.keep(name, data)
        return data

    def kept(self, name: str) -> bytes | None:
        """Return what is kept under this name; None: nothing, or no longer."""
        path = self.folder / name
        try:
            data = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        return data

    def keep(self, name: str, data: bytes) -> None:
        """Keep `data` under this name, while there is room. A disk that cannot be written to costs speed alone."""
        try:
            self._keep(self.folder / name, data)
        except OSError as error:
            _say_once(self.folder, error.strerror or "another process holds its lock")

    def _keep(self, path: Path, data: bytes) -> None:
        if len(data) > self.most_bytes:
            return
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with FileLock(self.folder / _LOCK, timeout=_LOCK_SECONDS):
            total = self._total()
            if total is None or total + len(data) > self.most_bytes:
                total = self._make_room(len(data))
            # Before the block: a process that is killed in between leaves a total that is too high, which does no harm.
            (self.folder / _TOTAL).write_text(str(total + len(data)))
            self._unfinished(data).replace(path)

    def _unfinished(self, data: bytes) -> Path:
        """Return a file with `data` under a name of its own, after removing what killed processes left.

        Whoever deletes the folder deletes the lock, and another process may hold the next one.
        """
        folder = self.folder / _UNFINISHED
        folder.mkdir(exist_ok=True)
        for left in folder.iterdir():
            left.unlink(missing_ok=True)
        file = folder / uuid.uuid4().hex
        file.write_bytes(data)
        return file

    def _total(self) -> int | None:
        """Return the bytes of all blocks, as they were counted last; None if that is unknown."""
        try:
            return int((self.folder / _TOTAL).read_text())
        except (OSError, ValueError):
            return None

    def _make_room(self, size: int) -> int:
        """Remove blocks, the one that was not used for longest first, unless there is room; return the bytes left."""
        files = [(entry.name, entry.stat()) for entry in os.scandir(self.folder) if not entry.name.startswith(".")]
        total = sum(seen.st_size for _, seen in files)
        if total + size <= self.most_bytes:
            return total
        used: dict[str, int] = {}
        for name, seen in files:
            owner = name.partition("-")[0]
            used[owner] = max(used.get(owner, 0), seen.st_mtime_ns)
        rows = []
        for name, seen in files:
            owner, _, number = name.partition("-")
            block = number.isdecimal()
            rows.append((seen.st_mtime_ns if block else used[owner], not block, name, seen.st_size))
        for _, _, name, gone in sorted(rows):
            if total + size <= self.most_bytes * _LEFT_AFTER_REMOVAL:
                break
            (self.folder / name).unlink(missing_ok=True)
            total -= gone
        return total
