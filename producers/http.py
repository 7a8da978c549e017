"""The process `http`: cameras post images and clips to it, each with a token of its own.

POST /streams/NAME/frames  --spool-->  embed
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import redis

from common import broker
from common.camera_tokens import CameraTokens
from common.serving import serve
from common.settings import Settings
from common.store import Store, open_store
from producers.http_app import Frames
from producers.spool import Spool

log = logging.getLogger(__name__)

_BYTES_PER_MB = 1_000_000
_SWEEP_SECONDS = 10.0
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
    spool = Spool(
        settings.posted_dir,
        most_bytes=settings.http_spool_mb * _BYTES_PER_MB,
        data_retention=settings.data_retention_seconds,
    )
    threading.Thread(target=_keep_swept, args=(spool, store, stop), daemon=True).start()
    frames = Frames(store, settings, tokens, spool)
    try:
        serve(frames.app, settings.http_host, settings.http_port, stop, beat, said="frames may be posted to")
    finally:
        frames.close()


def _keep_swept(spool: Spool, store: Store, stop: threading.Event) -> None:
    """Remove from the spool what nothing needs any more, until `stop` is set."""
    while not stop.wait(_SWEEP_SECONDS):
        try:
            removed = spool.sweep(store)
        except (redis.RedisError, OSError) as error:
            log.warning("the spool waits to be swept (%s), trying again", error)
            continue
        except Exception:  # without sweeping the spool fills up, and nothing more comes in
            log.exception("the spool could not be swept, trying again")
            continue
        if removed:
            log.debug("%d files of the spool were no longer needed", removed)
