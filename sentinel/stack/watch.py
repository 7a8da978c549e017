"""Connects the folder producer with the ingestor: what `sentinel watch` runs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from common.contracts.batches import SourceRequest
from common.contracts.dead_letters import DeadLetterKind
from common.errors import SentinelError
from common.ingest.accept import Ingestor
from common.settings import Settings
from common.store import open_store
from producers.folder.producer import FolderProducer

log = logging.getLogger(__name__)


def watch_folder(settings: Settings, ingestor: Ingestor, stop: threading.Event, beat: Callable[[], None]) -> None:
    """Hand in what is dropped into the watched folder until `stop` is set; the loop calls `beat` at each turn."""

    def reject(stream: str, path: Path, error: SentinelError) -> None:
        request = SourceRequest(stream=stream, uri=str(path))
        ingestor.bury(DeadLetterKind.SOURCE, stream, str(path), error, request)

    settings.watch_dir.mkdir(parents=True, exist_ok=True)
    log.info("watching %s", settings.watch_dir.resolve())
    FolderProducer(
        settings.watch_dir,
        submit=ingestor.submit,
        reject=reject,
        settle_seconds=settings.settle_seconds,
        poll_seconds=settings.poll_seconds,
        watch=settings.watch,
    ).run(stop, beat)


def main(settings: Settings, stop: threading.Event, beat: Callable[[], None]) -> None:
    """Accept files from the watched folder until `stop` is set."""
    with closing(Ingestor(settings, open_store(settings))) as ingestor:
        watch_folder(settings, ingestor, stop, beat)
