"""An embedding worker on a host that is cut off in the middle of a batch, from Redis and from the storage."""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks.watched import wait_until
from common.drift.windows import WindowState
from tests.networked.site import Footage, Result, Site
from tests.networked.storage import two_hosts

_CUTS = ((20.0, "file"), (60.0, "file"), (60.0, "object"), (150.0, "file"))
_SETTINGS = {"SENTINEL_CHUNK_FRAMES": "12", "SENTINEL_EMBED_PROCESSES": "4"}
_PATIENCE_SECONDS = 400.0


def run(folder: Path, footage: Footage) -> Result:
    """Cut the worker's network in the middle of one batch after the other, and heal it."""
    result, rows = Result(), []
    with two_hosts(folder, footage, **_SETTINGS) as (network, storage, site):
        # Footage is in one folder for both hosts, as on a file server that stays, or in the storage.
        own = {**storage.environment, **_SETTINGS, "SENTINEL_WATCH_DIR": site.environment["SENTINEL_WATCH_DIR"]}
        worker = site.start_inside(network, "embed", **own)
        for number, (seconds, kind) in enumerate(_CUTS):
            stream = f"{kind}-{number}"
            if kind == "object":
                storage.put(site, stream, footage.long, number)
            else:
                _drop(site, stream, footage.long)
            wait_until(f"the first frames of {stream}", lambda stream=stream: _position(site, stream) >= 60, 240)
            network.cut()
            at = _position(site, stream)
            time.sleep(seconds)
            meanwhile = _position(site, stream) - at
            network.heal()
            healed_at = time.monotonic()
            try:
                wait_until(stream, lambda stream=stream: site.is_complete(stream), _PATIENCE_SECONDS)
                took = f"{time.monotonic() - healed_at:.0f}"
            except TimeoutError:
                took = "never"
                result.problems.append(f"{stream} is not complete {_PATIENCE_SECONDS:.0f} s after the network is back")
            result.expect(f"{stream}: the worker lives", None, worker.poll())
            rows.append((f"{seconds:.0f}", kind, at, meanwhile, took, _position(site, stream),
                         site.store.event_log.dead_letter_count()))  # fmt: skip
        site.drain(result)
    result.table(
        ("cut, s", "footage", "frames counted before", "during the cut", "complete after healing, s",
         "frames counted of 1200", "dead letters"), rows,
    )  # fmt: skip
    return result


def _drop(site: Site, stream: str, clip: Path) -> None:
    """Hand a clip in by the watched folder, under a content that no other stream has."""
    folder = Path(site.environment["SENTINEL_WATCH_DIR"]) / stream
    folder.mkdir(parents=True)
    (folder / clip.name).write_bytes(clip.read_bytes())
    site.expect(stream, clip)


def _position(site: Site, stream: str) -> int:
    """Return how many frames of a stream are counted."""
    state = site.store.streams.window(stream).state
    return WindowState.from_bytes(state).position if state else 0
