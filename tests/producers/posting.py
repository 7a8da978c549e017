"""`sentinel http` in a process of its own, and posts to it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from common.camera_tokens import add_token
from common.settings import Settings
from sentinel.stack.redis_server import free_port

PATIENCE_SECONDS = 60.0
MOST_BYTES = 2_000_000
"""Of a body, at the server of the tests."""


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Endpoint:
    """A `sentinel http` that runs."""

    port: int
    log: Path
    tokens: Path
    spool: Path
    pid: int = 0
    known: dict[str, str] = field(default_factory=dict)

    def token(self, stream: str) -> str:
        """Return a token of `stream`."""
        if stream not in self.known:
            self.known[stream] = add_token(self.tokens, stream)
        return self.known[stream]

    def request(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def post(self, stream: str, body: Any, *, query: str = "", **headers: str) -> Answer:
        """Post to `stream` with its token; underscores in the names of headers stand for hyphens."""
        own = {"Authorization": f"Bearer {self.token(stream)}", "Content-Type": "image/png"}
        own |= {name.replace("_", "-"): value for name, value in headers.items()}
        return self.request("POST", f"/streams/{quote(stream)}/frames{query}", body, own)

    def files(self) -> list[Path]:
        """Return the files in the spool."""
        return sorted(path for path in self.spool.rglob("*") if path.is_file())


@contextmanager
def running_endpoint(settings: Settings, folder: Path, **environment: str) -> Iterator[Endpoint]:
    """Run `sentinel http` over the Redis of `settings` until the context ends."""
    tokens = folder / "tokens"
    endpoint = Endpoint(free_port(), folder / "http.log", tokens, settings.posted_dir)
    (folder / "none.toml").touch()
    own = {
        "SENTINEL_REDIS_URL": str(settings.redis_url),
        "SENTINEL_STATE_DIR": str(settings.state_dir),
        "SENTINEL_WATCH_DIR": str(settings.watch_dir),
        "SENTINEL_BASELINES_DIR": str(settings.baselines_dir),
        "SENTINEL_CONFIG": str(folder / "none.toml"),
        "SENTINEL_HTTP_PORT": str(endpoint.port),
        "SENTINEL_HTTP_TOKENS": str(tokens),
        "SENTINEL_HTTP_MAX_BYTES": str(MOST_BYTES),
        "SENTINEL_MAX_DATA_BYTES": str(MOST_BYTES),
        **({"SENTINEL_BASELINE": settings.baseline} if settings.baseline else {}),
        **environment,
    }
    with endpoint.log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "sentinel", "http"], env={**os.environ, **own}, stdout=output, stderr=output
        )
    endpoint.pid = process.pid
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not _answers(endpoint):
            assert process.poll() is None, endpoint.log.read_text()
            assert time.monotonic() < deadline, endpoint.log.read_text()
            time.sleep(0.05)
        yield endpoint
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) in {0, -signal.SIGKILL}, endpoint.log.read_text()


def _answers(endpoint: Endpoint) -> bool:
    try:
        return endpoint.request("GET", "/healthz").status == 200
    except OSError:
        return False
