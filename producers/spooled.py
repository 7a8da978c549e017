"""What the processes share that put what they are sent into one spool: opening it, sweeping it, accepting from it."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import redis

from common.contracts.batches import Submission
from common.errors import Backlogged, BrokerUnavailable, SentinelError
from common.ingest.accept import Ingestor
from common.settings import Settings
from common.store import Store
from producers.spool import Spool

log = logging.getLogger(__name__)

_BYTES_PER_MB = 1_000_000
_SWEEP_SECONDS = 10.0  # also how soon a process sees what another one has put there


def open_spool(settings: Settings) -> Spool:
    """Return the spool of these settings; of several processes each keeps to its bound with what it has seen last."""
    return Spool(
        settings.posted_dir,
        most_bytes=settings.http_spool_mb * _BYTES_PER_MB,
        data_retention=settings.data_retention_seconds,
    )


def accept_stored(
    ingestor: Ingestor, spool: Spool, stream: str, path: Path, *, event_key: str, taken_at: float | None
) -> Submission:
    """Accept a file that was put into the spool, and remove it unless it is needed; errors as of `accept_spooled`."""
    try:
        became = ingestor.accept_spooled(stream, path, event_key=event_key, taken_at=taken_at)
    except SentinelError as error:
        # A batch may have been registered when Redis went: the sweep asks, and removes the file if none was.
        if isinstance(error, Backlogged) or not isinstance(error, BrokerUnavailable):
            spool.remove(path)
        raise
    if became is not Submission.ACCEPTED:
        spool.remove(path)
    return became


def keep_swept(spool: Spool, store: Store, stop: threading.Event) -> None:
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
