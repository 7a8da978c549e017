"""A Redis that is not started by Sentinel, for tests of other configurations than its own."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import redis

from sentinel.stack.redis_server import find_redis_server, free_port
from tests.network import Network


@contextmanager
def bare_redis(
    folder: Path,
    arguments: Sequence[str],
    password: str | None = None,
    *,
    user: str | None = None,
    binary: str | None = None,
    host: str = "127.0.0.1",
    network: Network | None = None,
) -> Iterator[redis.Redis]:
    """Run a redis-server with `arguments` on a free port of `host`; yield a client of it.

    Parameters
    ----------
    user, password : as whom the client comes; None: as the default user
    binary : None: the one that the embedded Redis runs
    network : inside which it runs; None: on this host
    """
    port = free_port()
    own = ["--port", str(port), "--bind", host, "--dir", str(folder)]
    words = [binary or str(find_redis_server()), *arguments, *own]
    server = subprocess.Popen(network.command(words) if network else words, stdout=subprocess.DEVNULL)
    try:
        with redis.Redis(host, port, username=user, password=password) as client:
            deadline = time.monotonic() + 20
            while True:
                try:
                    client.ping()
                    break
                except redis.ConnectionError:
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
            yield client
    finally:
        server.kill()
        server.wait()
