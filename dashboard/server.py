"""The process `page`: serves the page and its API, and follows the events for it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable

import uvicorn

from common import broker
from common.settings import Settings
from common.store import open_store
from common.web_access import require_page_closed
from dashboard.app import make_app
from dashboard.history import History

log = logging.getLogger(__name__)

_TURN_SECONDS = 0.5  # how soon a stop is noticed
_STOP_SECONDS = 2  # browsers that listen would never go by themselves
_MOST_CONNECTIONS = 500


def main(settings: Settings, stop: threading.Event, beat: Callable[[], None]) -> None:
    """Serve the page until `stop` is set."""
    require_page_closed(settings)
    store, history = open_store(settings), History()
    broker.connect_to(settings.redis_url or "")
    follower = threading.Thread(target=history.run, args=(store, stop), daemon=True)
    follower.start()
    server = uvicorn.Server(
        uvicorn.Config(
            make_app(store, settings, history),
            host=settings.page_host,
            port=settings.page_port,
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
    log.info("the page answers on http://%s:%s", settings.page_host, settings.page_port)
    asyncio.run(_serve(server, stop, beat))
    follower.join(_STOP_SECONDS)


async def _serve(server: uvicorn.Server, stop: threading.Event, beat: Callable[[], None]) -> None:
    """Serve until `stop` is set. Each turn of the loop that serves calls `beat`, so that a loop that hangs is seen."""

    async def turn() -> None:
        while not stop.is_set():
            beat()
            await asyncio.sleep(_TURN_SECONDS)
        server.should_exit = True

    turning = asyncio.create_task(turn())
    try:
        await server.serve()
    finally:
        turning.cancel()
