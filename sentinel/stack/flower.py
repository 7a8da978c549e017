"""Flower, as Sentinel runs it: with heartbeats, and deaf to names that are not its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from flower import command, urls
from flower.app import Flower
from flower.options import options
from tornado.httputil import HTTPMessageDelegate, HTTPServerRequest
from tornado.ioloop import IOLoop, PeriodicCallback
from tornado.web import RequestHandler

from common.broker import app as celery_app
from common.settings import Settings
from common.web_access import MISDIRECTED, host_name, known_hosts, require_flower_closed

log = logging.getLogger(__name__)

_TURN_MILLISECONDS = 500  # how soon a stop is noticed


class UnknownHost(RequestHandler):
    """Refuses every request, before Flower sees any of it."""

    def prepare(self) -> None:
        self.set_status(MISDIRECTED)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish("Flower does not answer under this name. SENTINEL_FLOWER_HOSTS names those under which it does.\n")


class HostCheckingFlower(Flower):  # type: ignore[misc]
    """Flower that answers only requests for one of `hosts`."""

    def __init__(self, hosts: frozenset[str], **arguments: object) -> None:
        super().__init__(**arguments)
        self._hosts = hosts

    def find_handler(self, request: HTTPServerRequest, **arguments: object) -> HTTPMessageDelegate:
        answer: HTTPMessageDelegate = (
            super().find_handler(request, **arguments)
            if host_name(request.host) in self._hosts
            else self.get_handler_delegate(request, UnknownHost)
        )
        return answer


def main(settings: Settings, stop: threading.Event, beat: Callable[[], None]) -> None:
    """Serve Flower until `stop` is set. Flower's own `FLOWER_*` variables work, where no setting says otherwise."""
    require_flower_closed(settings)
    command.apply_env_options()
    options.address, options.port = settings.flower_host, settings.flower_port
    if settings.flower_password:
        options.basic_auth = [f"{settings.flower_user}:{settings.flower_password}"]
    command.extract_settings()
    command.setup_logging()
    logging.getLogger("flower.inspector").setLevel(logging.ERROR)  # workers that are still starting do not answer
    server = HostCheckingFlower(
        known_hosts(settings.flower_host, settings.flower_hosts), capp=celery_app, options=options, **urls.settings
    )
    port = server.start_http_server()
    log.info("Flower answers on http://%s:%s", settings.flower_host, port)

    def turn() -> None:
        beat()
        if stop.is_set():
            IOLoop.current().stop()

    PeriodicCallback(turn, _TURN_MILLISECONDS).start()
    try:
        server.start()
    finally:
        server.stop()
