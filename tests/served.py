"""`sentinel page` or `sentinel http` in a process of its own, over the test's Redis, and requests to it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.settings import Settings
from sentinel.stack.redis_server import RedisServer
from tests.common.baselines.small import small_baseline

PATIENCE_SECONDS = 60.0


def wait_until(what: str, true: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < deadline, f"still waiting for: {what}"
        time.sleep(0.05)


def settings_in(folder: Path, redis_server: RedisServer) -> Settings:
    """Return settings that keep everything in `folder` and judge by a small baseline there."""
    small_baseline(folder / "baselines" / "test")
    return Settings(
        _env_file=None,  # type: ignore[call-arg]
        state_dir=folder / "state",
        watch_dir=folder / "incoming",
        baselines_dir=folder / "baselines",
        baseline="test",
        redis_url=redis_server.url,
    )


@dataclass
class Answer:
    """What a request was answered with."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Served:
    """A process that serves at a port of loopback."""

    port: int
    log: Path
    headers: dict[str, str] = field(default_factory=dict)
    pid: int = 0

    def request(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        try:
            connection.request(method, path, body=body, headers={**self.headers, **(headers or {})})
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def answers(self) -> bool:
        """Return whether it does."""
        try:
            return self.request("GET", "/healthz").status == 200
        except OSError:
            return False


@contextmanager
def serving(
    served: Served, command: str, settings: Settings, environment: dict[str, str], *, ends: set[int]
) -> Iterator[None]:
    """Run `sentinel COMMAND` over the Redis of `settings` until the context ends, with an exit code of `ends`."""
    nothing = served.log.with_name("none.toml")
    nothing.touch()
    own = {
        "SENTINEL_REDIS_URL": str(settings.redis_url),
        "SENTINEL_STATE_DIR": str(settings.state_dir),
        "SENTINEL_WATCH_DIR": str(settings.watch_dir),
        "SENTINEL_BASELINES_DIR": str(settings.baselines_dir),
        "SENTINEL_CONFIG": str(nothing),
        **({"SENTINEL_BASELINE": settings.baseline} if settings.baseline else {}),
        **environment,
    }
    with served.log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "sentinel", command], env={**os.environ, **own}, stdout=output, stderr=output
        )
    served.pid = process.pid

    def answers() -> bool:
        assert process.poll() is None, served.log.read_text()
        return served.answers()

    try:
        wait_until(f"`sentinel {command}` to answer", answers)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) in ends, served.log.read_text()
