"""Describing a source before it is accepted. It parses untrusted bytes, so it runs in the sandbox."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from common.contracts.batches import Source, SourceKind
from common.features import TimeSource
from common.modalities.video.capture_time import capture_times, exif_time
from common.modalities.video.decode import probe, probe_image
from common.modalities.video.frame import SourceInfo
from common.sources.capture_time import CaptureTimes, is_plausible
from common.sources.identity import ListedImage, describe_listing, describe_source, digest_of, source_of
from common.sources.local import Limits, describe_kind, unreadable

DESCRIBE_SECONDS = 20.0  # a header is read in milliseconds
_SLOW_DISK_BYTES_PER_SECOND = 20_000_000


@dataclass(frozen=True)
class Described:
    """A source, the facts in its header, and for a folder its images."""

    source: Source
    info: SourceInfo
    listing: tuple[ListedImage, ...] = ()

    @property
    def digests(self) -> dict[str, str]:
        """Name -> digest of the images of a folder."""
        return {image.name: image.digest for image in self.listing}


def describe_file(path: Path, limits: Limits) -> Described:
    """Inspect a file or folder of images; raise `BadSource` if it cannot be a source."""
    kind = describe_kind(path)
    listing = tuple(describe_listing(path, limits)) if kind is SourceKind.FOLDER else ()
    source = source_of(path, listing) if listing else describe_source(path, limits)
    info = probe(path, kind, limits)
    return Described(timed(source, capture_times(path, info, limits)), info, listing)


def describe_data(data: bytes, name: str, limits: Limits) -> Described:
    """Inspect an encoded image held in memory; raise `BadSource` if it cannot be a source."""
    source = Source(uri=name, kind=SourceKind.IMAGE, size=len(data), digest=digest_of(data))
    info, taken_at = probe_image(data, name, limits), exif_time(data)
    times = CaptureTimes(time.time(), TimeSource.RECEIVED)
    if taken_at is not None and is_plausible(taken_at):
        times = CaptureTimes(taken_at, TimeSource.EXIF)
    return Described(timed(source, times), info)


def timed(source: Source, times: CaptureTimes) -> Source:
    """Return `source` with its capture times."""
    fields = {
        "taken_at": times.first,
        "still_times": times.stills if source.names else (),
        "time_source": times.known_by,
    }
    return source.model_copy(update=fields)


def time_to_describe(path: Path) -> float:
    """Return how many seconds describing `path` may take; its whole content is read for the digest."""
    try:
        size = path.stat().st_size
    except OSError as error:
        raise unreadable(path, error) from error
    return DESCRIBE_SECONDS + size / _SLOW_DISK_BYTES_PER_SECOND
