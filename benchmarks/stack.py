"""A real stack for benchmarks: `sentinel up` in its own process and its own folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.clips import drop
from common.contracts.batches import BatchReport
from common.contracts.events import BatchCompleted
from common.settings import Settings
from common.store import Store
from sentinel.stack.info import read_info
from sentinel.stack.stack import wait_for_workers

_PATIENCE_SECONDS = 600.0
_POLL_SECONDS = 0.02


@dataclass
class Bench:
    """A running stack, and the folder into which footage is dropped."""

    folder: Path
    watch_dir: Path
    store: Store
    pid: int
    _seen: str = "-"
    _complete: list[BatchReport] = field(default_factory=list)

    def cpu_seconds(self) -> dict[str, float]:
        """Return processor seconds so far, by role.

        `embedding` and `reducing` are the processes of the pools, which do the work; `celery` are their parents,
        which fetch and acknowledge tasks; `other` is everything else but `redis`.
        """
        spent: dict[str, float] = {}
        for child in psutil.Process(self.pid).children(recursive=True):
            try:
                name, times = _role(child, self.pid), child.cpu_times()
            except psutil.NoSuchProcess:
                continue
            spent[name] = spent.get(name, 0.0) + times.user + times.system
        return spent

    def embedding_rss(self) -> list[int]:
        """Return resident bytes of each embedding process."""
        children = psutil.Process(self.pid).children(recursive=True)
        return [child.memory_info().rss for child in children if _role(child, self.pid) == "embedding"]

    def drop(self, clip: Path, stream: str, number: int) -> None:
        """Drop a copy of `clip` with content of its own into a stream."""
        drop(clip, self.watch_dir / stream, number)

    def wait_for(self, batches: int) -> list[BatchReport]:
        """Wait until `batches` batches are complete, and return their reports; raise `TimeoutError` after a while."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            # New events only; reading all of them each time would take much of a core away from the stack.
            for event in self.store.event_log.events(after=self._seen):
                self._seen = event.entry_id
                if isinstance(event, BatchCompleted):
                    self._complete.append(event.report)
            if len(self._complete) >= batches:
                return self._complete[:batches]
            if time.monotonic() > deadline:
                raise TimeoutError(f"{batches} batches fed, {len(self._complete)} complete; logs in {self.folder}")
            time.sleep(_POLL_SECONDS)


def _role(process: psutil.Process, stack: int) -> str:
    """Return the role of a process of the stack, see `Bench.cpu_seconds`."""
    command = " ".join(process.cmdline())
    if "redis-server" in command:
        return "redis"
    for module, role in (("workers.embedding", "embedding"), ("workers.reducer", "reducing")):
        if module in command:
            return "celery" if process.ppid() == stack else role
    return "celery" if "workers." in command else "other"


@contextmanager
def running_stack(folder: Path, golden: Path, **settings: str) -> Iterator[Bench]:
    """Build a baseline of `golden`, start a stack that judges by it, and stop the stack at the end.

    Parameters
    ----------
    folder : for state, watched folder and log
    settings : SENTINEL_* environment variables
    """
    environment = {
        **os.environ,
        "SENTINEL_STATE_DIR": str(folder / "state"),
        "SENTINEL_WATCH_DIR": str(folder / "incoming"),
        "SENTINEL_BASELINES_DIR": str(folder / "baselines"),
        "SENTINEL_BASELINE": "golden",
        "SENTINEL_FLOWER_PORT": "0",
        "SENTINEL_PAGE_PORT": "0",
        "SENTINEL_COOLDOWN_SECONDS": "86400",
        **settings,
    }
    sentinel = [sys.executable, "-m", "sentinel"]
    build = [*sentinel, "baseline", "build", str(golden), "--name", "golden", "--json"]
    subprocess.run(build, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with (folder / "up.log").open("ab") as log:
        stack = subprocess.Popen([*sentinel, "up"], env=environment, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while (info := read_info(folder / "state")) is None:
            if time.monotonic() > deadline or stack.poll() is not None:
                raise RuntimeError((folder / "up.log").read_text())
            time.sleep(0.1)
        wait_for_workers(info.redis_url, {"embed", "reduce"}, 60)
        time.sleep(3)  # the pool's processes load their backbone
        yield Bench(folder, folder / "incoming", Store(info.redis_url, Settings(_env_file=None)), info.pid)
    finally:
        stack.send_signal(signal.SIGINT)
        stack.wait(120)
