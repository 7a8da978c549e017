"""Flower, as Sentinel runs it: with heartbeats, and deaf to names that are not its own.

A web page that somebody opens can let its own name point to this machine (DNS
rebinding), and would then read Flower through that browser. Such requests carry
the page's name in their Host header, so a name that is not Flower's is refused.
"""

from __future__ import annotations

import logging
import signal
import sys

from flower import command, urls
from flower.app import Flower
from flower.options import options
from tornado.httputil import HTTPMessageDelegate, HTTPServerRequest
from tornado.ioloop import PeriodicCallback
from tornado.web import RequestHandler

from common.broker import app as celery_app
from common.processes import HEARTBEAT_SECONDS
from common.settings import Settings
from common.store.heartbeats import Heartbeat
from sentinel.stack.flower_hosts import host_name, known_hosts, require_closed_to_strangers

log = logging.getLogger(__name__)

_MISDIRECTED = 421  # HTTP: this server does not answer for that name


class UnknownHost(RequestHandler):
    """Refuses every request, before Flower sees any of it."""

    def prepare(self) -> None:
        self.set_status(_MISDIRECTED)
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


def run_flower(settings: Settings) -> None:
    """Serve Flower until SIGTERM or Ctrl-C. Flower's own `FLOWER_*` variables work, where no setting says otherwise."""
    require_closed_to_strangers(settings)
    command.apply_env_options()
    options.address, options.port = settings.flower_host, settings.flower_port
    if settings.flower_password:
        options.basic_auth = [f"{settings.flower_user}:{settings.flower_password}"]
    command.extract_settings()
    command.setup_logging()
    server = HostCheckingFlower(known_hosts(settings), capp=celery_app, options=options, **urls.settings)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    port = server.start_http_server()
    log.info("Flower answers on http://%s:%s", settings.flower_host, port)
    with Heartbeat(celery_app.conf.broker_url, "flower") as heartbeat:
        PeriodicCallback(heartbeat.beat, HEARTBEAT_SECONDS * 1000).start()
        try:
            server.start()
        except KeyboardInterrupt:
            pass
        finally:
            server.stop()
