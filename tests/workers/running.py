"""A real Celery worker, in a process group of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from common.settings import Settings

PATIENCE_SECONDS = 120.0


@contextmanager
def running_worker(module: str, queues: str, settings: Settings, log: Path, **environment: str) -> Iterator[Path]:
    """Run a worker of `queues` with the Redis and the folders of `settings`; yield its log once it is ready."""
    settings.watch_dir.mkdir()
    own = {
        "SENTINEL_REDIS_URL": settings.redis_url,
        "SENTINEL_WATCH_DIR": str(settings.watch_dir),
        "SENTINEL_STATE_DIR": str(settings.state_dir),
    }
    command = [sys.executable, "-m", "celery", "-A", module, "worker", "-Q", queues]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "-c", "1", "-l", "INFO", "--without-mingle", "--without-gossip"],
            env={**os.environ, **own, **environment}, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    try:
        wait_until(lambda: "ready" in log.read_text(), log)
        yield log
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # its pool too: a child that hangs would outlive it
        process.wait()


def wait_until(true: Callable[[], object], log: Path) -> None:
    """Wait for what a worker is to do; show its log if it does not."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)
