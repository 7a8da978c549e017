"""Submitting a stream's scheduled source: each file below it once, and again when its content has changed.

Sources are written to `sentinel:ingest` as events; the process `camera-events`
accepts them by their content. A file whose size and times have not changed since
the last run is not submitted again, so a folder of old recordings is only listed,
not read.
"""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

from common.contracts.events import SOURCE_EVENT, source_offer
from common.contracts.ids import content_id
from common.settings import Settings
from common.sources.find import find_sources
from common.sources.local import is_media, source_path, unreadable
from common.sources.objects.path import ObjectPath
from common.store import Store
from common.store.handed_in import handed_in, note_handed_in
from common.store.ingest import offer

log = logging.getLogger(__name__)


def hand_in(store: Store, settings: Settings, stream: str, source: str) -> int:
    """Submit the new sources at `source`, a path or prefix under an allowed root; return how many there were.

    After a crash a source may be submitted twice; it still counts once, because it
    is identified by its content. Files that changed less than
    `SENTINEL_SETTLE_SECONDS` ago are left for the next run.

    Raises
    ------
    BadSource
        If there is no source at `source`, or it cannot be read.
    Backlogged
        While Redis is too full for more work.
    """
    store.require_room()
    path = source_path(source, settings.roots)
    found: dict[str, Path] = {}
    for unit in find_sources(path):
        files = _files_of(unit)
        if not files:
            continue  # it was removed meanwhile
        stored = isinstance(unit, ObjectPath)  # an object is there once it is whole
        if not stored and any(_is_being_written(seen, settings.settle_seconds) for _, seen in files):
            log.warning("stream %s: %s is still being written, it is handed in the next time", stream, unit)
            continue
        etag = (unit.version.etag,) if isinstance(unit, ObjectPath) else ()
        version = content_id(
            *(part for name, seen in files for part in (name, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)), *etag
        )
        found[content_id(stream, str(unit), version)] = unit
    before = handed_in(store.client, stream)
    new = {event_id: unit for event_id, unit in found.items() if event_id not in before}
    for event_id, unit in new.items():
        offer(store.client, source_offer(stream, event_id, SOURCE_EVENT, _uri(unit)))
    note_handed_in(store.client, stream, found.keys())
    log.info("stream %s: %d of %d sources at %s are new", stream, len(new), len(found), path)
    return len(new)


def _files_of(unit: Path) -> list[tuple[str, os.stat_result]]:
    """Return name and `stat` of the file `unit`, or of each media file in the folder `unit`."""
    try:
        images = unit.is_dir()
        paths = sorted(child for child in unit.iterdir() if is_media(child) and child.is_file()) if images else [unit]
        return [(path.name, path.stat()) for path in paths]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise unreadable(unit, error) from error


def _is_being_written(seen: os.stat_result, settle_seconds: float) -> bool:
    return 0 <= time.time() - seen.st_mtime < settle_seconds


def _uri(unit: Path) -> str:
    """Return the path of `unit`, or a file URI if the path is not valid UTF-8."""
    try:
        str(unit).encode()
    except UnicodeEncodeError:
        return unit.as_uri()
    return str(unit)
