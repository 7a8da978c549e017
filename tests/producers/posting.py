"""`sentinel http` in a process of its own, and posts to it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from common.camera_tokens import add_token
from common.settings import Settings
from sentinel.stack.redis_server import free_port
from tests.served import Answer, Served, serving

MOST_BYTES = 2_000_000
"""Of a body, at the server of the tests."""


@dataclass
class Endpoint(Served):
    """A `sentinel http` that runs; `files` needs its `spool`."""

    tokens: Path = Path()
    spool: Path = Path()
    known: dict[str, str] = field(default_factory=dict)

    def token(self, stream: str) -> str:
        """Return a token of `stream`."""
        if stream not in self.known:
            self.known[stream] = add_token(self.tokens, stream)
        return self.known[stream]

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
    endpoint = Endpoint(free_port(), folder / "http.log", tokens=folder / "tokens", spool=settings.posted_dir)
    own = {
        "SENTINEL_HTTP_PORT": str(endpoint.port),
        "SENTINEL_HTTP_TOKENS": str(endpoint.tokens),
        "SENTINEL_HTTP_MAX_BYTES": str(MOST_BYTES),
        "SENTINEL_MAX_DATA_BYTES": str(MOST_BYTES),
        **environment,
    }
    with serving(endpoint, "http", settings, own, ends={0, -signal.SIGKILL}):
        yield endpoint
