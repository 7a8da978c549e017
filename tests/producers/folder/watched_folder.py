"""A watched folder for tests: a real one, with its producer running in a thread."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from common.contracts.batches import Submission
from common.errors import BrokerUnavailable, Refused
from producers.folder.producer import FolderProducer

Mode = Literal["events", "polling"]
SETTLE = 0.3
LONG_SETTLE = 2.0  # where much is written at once: longer than a loaded machine stalls
DEADLINE = 30.0  # generous: a loaded machine must not fail a test


def wait_until(condition: Callable[[], object], what: str = "") -> None:
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, f"did not happen: {what or condition}"
        time.sleep(0.01)


class Ingestor:
    """Stands where the ingestor will: notes what is submitted, and answers as told."""

    def __init__(self) -> None:
        self.submitted: list[tuple[str, Path]] = []
        self.sizes: dict[Path, int] = {}
        self.rejected: list[tuple[Path, Refused]] = []
        self.answers: dict[Path, Submission] = {}
        self.trouble: Exception | None = None
        self.report_trouble: Exception | None = None
        self.asked = 0

    def submit(self, stream: str, path: Path) -> Submission:
        self.asked += 1
        if self.trouble is not None:
            raise self.trouble
        self.submitted.append((stream, path))
        self.sizes[path] = path.stat().st_size
        return self.answers.get(path, Submission.ACCEPTED)

    def reject(self, stream: str, path: Path, error: Refused) -> None:
        if isinstance(self.trouble, BrokerUnavailable):
            raise self.trouble
        if self.report_trouble is not None:
            raise self.report_trouble
        f"{stream}{path}{error}".encode()  # what is refused is sent on as text, whatever its name
        self.rejected.append((path, error))

    def names(self) -> list[str]:
        return [path.name for _, path in self.submitted]


class Watched:
    """A watched folder with its producer running in a thread."""

    def __init__(self, root: Path, mode: Literal["auto", "events", "polling"], settle: float = SETTLE) -> None:
        self.root = root
        self.mode = mode
        self.settle = settle
        self.root.mkdir()
        self.ingestor = Ingestor()
        self.before_run: Callable[[], object] = lambda: None

    def start(self) -> None:
        self.stop_event = threading.Event()
        self.producer = FolderProducer(
            self.root,
            submit=self.ingestor.submit,
            reject=self.ingestor.reject,
            settle_seconds=self.settle,
            poll_seconds=0.05,
            watch=self.mode,
            rescan_seconds=0.5,
        )
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        self.before_run()
        self.producer.run(self.stop_event)

    def stop(self) -> None:
        self.stop_event.set()
        self.thread.join(DEADLINE)
        assert not self.thread.is_alive()

    def folder(self, name: str) -> Path:
        folder = self.root / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def drop(self, name: str, content: bytes = b"frames") -> Path:
        path = self.folder(str(Path(name).parent)) / Path(name).name
        path.write_bytes(content)
        return path

    def wait_for(self, *expected: tuple[str, str]) -> None:
        """Wait until exactly `expected` (stream, path below the root) was submitted, and see that nothing follows."""
        wanted = Counter((stream, self.root / path) for stream, path in expected)
        self.let_pass()
        wait_until(lambda: Counter(self.ingestor.submitted) >= wanted, f"{expected} in {self.ingestor.submitted}")
        assert Counter(self.ingestor.submitted) == wanted

    def let_pass(self) -> None:
        """Wait until a file dropped now has been through, and with it all that was there before."""
        stream = "𝕫"  # after every other name here in natural order, in which files are taken
        canary = self.root / stream / f"{time.monotonic_ns()}.mp4"
        canary.parent.mkdir(parents=True, exist_ok=True)
        canary.write_bytes(b"canary")
        wait_until(lambda: (stream, canary) in self.ingestor.submitted, "the canary")
        self.ingestor.submitted.remove((stream, canary))
