"""The process `http`: cameras post images and clips to it, each with a token of its own, and object storage what was
written to it.

POST /streams/NAME/frames  --spool-->  embed
POST /objects/events       ----------->  noticed, for process `objects`
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from common import broker
from common.camera_tokens import CameraTokens
from common.serving import serve
from common.settings import Settings
from common.store import open_store
from producers.http_app import Frames
from producers.spooled import keep_swept, open_spool

_IDLE_SECONDS = 1.0


def main(settings: Settings, stop: threading.Event, beat: Callable[[], None]) -> None:
    """Accept what is posted until `stop` is set; without `SENTINEL_HTTP_TOKENS` there is nothing to do but wait."""
    if settings.http_tokens is None:
        while not stop.wait(_IDLE_SECONDS):
            beat()
        return
    tokens = CameraTokens(settings.http_tokens)
    tokens.load()
    store = open_store(settings)
    broker.connect_to(settings.redis_url or "")
    spool = open_spool(settings)
    threading.Thread(target=keep_swept, args=(spool, store, stop), daemon=True).start()
    frames = Frames(store, settings, tokens, spool)
    try:
        serve(frames.app, settings.http_host, settings.http_port, stop, beat, said="frames may be posted to")
    finally:
        frames.close()
