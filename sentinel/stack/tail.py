"""Shows what the processes of the stack write to their logs, while they write it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

_LOOK_SECONDS = 0.25


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
