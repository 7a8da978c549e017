"""Serving an ASGI application in a process of Sentinel: it says that it is alive, and stops when it is told to."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator

import uvicorn
from starlette.types import ASGIApp

log = logging.getLogger(__name__)

_TURN_SECONDS = 0.5  # how soon a stop is noticed
_STOP_SECONDS = 2  # browsers that listen would never go by themselves
_MOST_CONNECTIONS = 500


def serve(app: ASGIApp, host: str, port: int, stop: threading.Event, beat: Callable[[], None], *, said: str) -> None:
    """Serve `app` on `host` and `port` until `stop` is set; once it answers, the log has `said` and the addresses.

    Each turn of the loop that serves calls `beat`, so that a loop that hangs is seen.
    """
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
        )
    )
    asyncio.run(_serve(server, stop, beat, said))


async def _serve(server: uvicorn.Server, stop: threading.Event, beat: Callable[[], None], said: str) -> None:
    async def turn() -> None:
        logged = False
        while not stop.is_set():
            beat()
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
