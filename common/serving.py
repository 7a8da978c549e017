"""Serving an ASGI application in a process of Sentinel: it says that it is alive, and stops when it is told to."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp

log = logging.getLogger(__name__)

_SERVERS_LOG = "uvicorn.error"
_TURN_SECONDS = 0.5  # how soon a stop is noticed
_STOP_SECONDS = 2  # browsers that listen would never go by themselves
_MOST_CONNECTIONS = 500
_HEAD_SECONDS = 20.0  # that a connection may take to begin a request
_SAY_SECONDS = (
    60.0  # between two lines of the server that say the same: whoever connects decides how often it has cause
)


def serve(app: ASGIApp, host: str, port: int, stop: threading.Event, beat: Callable[[], None], *, said: str) -> None:
    """Serve `app` on `host` and `port` until `stop` is set; once it answers, the log has `said` and the addresses.

    Each turn of the loop that serves calls `beat`, so that a loop that hangs is seen.
    """
    logging.getLogger(_SERVERS_LOG).addFilter(_Seldom())
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            log_config=None,  # as every process logs
            log_level="warning",
            access_log=False,  # names of streams are in it
            server_header=False,
            proxy_headers=False,
            limit_concurrency=_MOST_CONNECTIONS,
            timeout_graceful_shutdown=_STOP_SECONDS,
            ws="none",
            http="h11",  # the other one, where it is installed, puts no bound on the head of a request
        )
    )
    asyncio.run(_serve(server, stop, beat, said))


class _Seldom(logging.Filter):
    """Lets a line of the server through once in a minute, so that no garbage fills the log.

    A client that breaks off in the wrong moment makes the server log a traceback, so one per kind of error has to do.
    """

    def __init__(self) -> None:
        super().__init__()
        self._next: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        now = time.monotonic()
        kind = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else ""
        said = f"{record.msg} {kind}"  # the server's own texts: there are a few
        if now >= self._next.get(said, 0.0):
            self._next[said] = now + _SAY_SECONDS
            return True
        return False


class _Heads:
    """Ends connections on which no request begins in time, however slowly its head comes: the server itself waits."""

    def __init__(self) -> None:
        self._since: dict[object, tuple[object, float]] = {}  # connection -> its latest request, and when that was seen

    def end_slow(self, connections: Iterable[Any]) -> None:
        """End those that have had no request under way for too long.

        Parameters
        ----------
        connections : the server's protocols; `cycle` of one is its latest request, None before the first
        """
        now, since = time.monotonic(), self._since
        self._since = {}
        for connection in connections:
            cycle = connection.cycle
            if cycle is not None and not cycle.response_complete:
                continue
            seen, at = since.get(connection, (cycle, now))
            if seen is not cycle:
                at = now
            self._since[connection] = cycle, at
            if now - at > _HEAD_SECONDS:
                connection.transport.abort()


async def _serve(server: uvicorn.Server, stop: threading.Event, beat: Callable[[], None], said: str) -> None:
    async def turn() -> None:
        logged, heads = False, _Heads()
        while not stop.is_set():
            beat()
            heads.end_slow(list(server.server_state.connections))
            if server.started and not logged:
                log.info("%s %s", said, ", ".join(_addresses(server)))
                logged = True
            await asyncio.sleep(_TURN_SECONDS)
        server.should_exit = True

    turning = asyncio.create_task(turn())
    try:
        await server.serve()
    finally:
        turning.cancel()


def _addresses(server: uvicorn.Server) -> Iterator[str]:
    """Yield where a server answers, with the port that a free one became."""
    for listener in server.servers:
        for socket in listener.sockets:
            host, port, *_ = socket.getsockname()
            yield f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
