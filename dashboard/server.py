"""The process `page`: serves the page and its API, and follows the events for it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from common import broker
from common.serving import serve
from common.settings import Settings
from common.store import open_store
from common.web_access import require_page_closed
from dashboard.app import make_app
from dashboard.history import History

_FOLLOWER_SECONDS = 2.0  # how long it may take to stop


def main(settings: Settings, stop: threading.Event, beat: Callable[[], None]) -> None:
    """Serve the page until `stop` is set."""
    require_page_closed(settings)
    store, history = open_store(settings), History()
    broker.connect_to(settings.redis_url or "")
    follower = threading.Thread(target=history.run, args=(store, stop), daemon=True)
    follower.start()
    app = make_app(store, settings, history)
    serve(app, settings.page_host, settings.page_port, stop, beat, said="the page answers on")
    follower.join(_FOLLOWER_SECONDS)
