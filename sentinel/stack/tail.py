"""Reads the logs of the stack's processes: while they are written, and their end."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

_LOOK_SECONDS = 0.25


def end_of(log: Path, size: int, start: int = 0) -> str:
    """Return the last `size` bytes of `log` as text, but nothing from before byte `start`; raise `OSError`."""
    with log.open("rb") as file:
        file.seek(max(start, file.seek(0, os.SEEK_END) - size))
        return file.read().decode(errors="replace")


class LogTail:
    """Follows every `*.log` in `folder` from its present end; `show` gets the log's name and one line."""

    def __init__(self, folder: Path, show: Callable[[str, str], None]) -> None:
        self._folder = folder
        self._show = show
        self._offsets: dict[Path, int] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log-tail", daemon=True)

    def start(self) -> None:
        for path in self._folder.glob("*.log"):
            self._offsets[path] = path.stat().st_size
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
            self._look()

    def _run(self) -> None:
        while not self._stop.wait(_LOOK_SECONDS):
            self._look()

    def _look(self) -> None:
        for path in sorted(self._folder.glob("*.log")):
            with path.open("rb") as file:
                file.seek(self._offsets.get(path, 0))
                fresh = file.read()
            # A line that is still being written is shown once it ends.
            whole, newline, _ = fresh.rpartition(b"\n")
            self._offsets[path] = self._offsets.get(path, 0) + len(whole) + len(newline)
            for line in whole.decode(errors="replace").splitlines():
                self._show(path.stem, line)
