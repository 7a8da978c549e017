"""Describing a source before it is accepted. It parses untrusted bytes, so it runs in the sandbox."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from common.contracts.batches import Source, SourceKind
from common.errors import BaselineMismatch
from common.modalities.modality import SourceFacts
from common.modalities.registry import load_modality
from common.sources.capture_time import CaptureTimes
from common.sources.identity import ListedImage, describe_listing, describe_source, digest_of, source_of
from common.sources.limits import Limits
from common.sources.local import describe_kind, modality_of, unreadable

DESCRIBE_SECONDS = 20.0  # a header is read in milliseconds
_SLOW_DISK_BYTES_PER_SECOND = 20_000_000


@dataclass(frozen=True)
class Described:
    """A source, the name of its modality, what it declares, and for a folder its images."""

    source: Source
    modality: str
    facts: SourceFacts
    listing: tuple[ListedImage, ...] = ()

    @property
    def digests(self) -> dict[str, str]:
        """Name -> digest of the images of a folder."""
        return {image.name: image.digest for image in self.listing}

    def require_modality(self, wanted: str, stream: str) -> None:
        """Raise `BaselineMismatch` unless it is of the modality that the baseline of `stream` judges."""
        if self.modality != wanted:
            raise BaselineMismatch(
                f"{self.source.uri} is of modality {self.modality}, but the baseline of stream {stream!r} judges "
                f"{wanted}: give each modality a stream, with a baseline of its own"
            )


def describe_file(path: Path, limits: Limits) -> Described:
    """Inspect a file or folder of images; raise `BadSource` if it cannot be a source."""
    kind = describe_kind(path)
    listing = tuple(describe_listing(path, limits)) if kind is SourceKind.FOLDER else ()
    source = source_of(path, listing) if listing else describe_source(path, limits)
    modality = modality_of(path, limits)
    facts = modality.probe(path, kind, limits)
    return Described(timed(source, facts.times), modality.name, facts, listing)


def describe_data(data: bytes, name: str, modality: str, limits: Limits) -> Described:
    """Inspect a still held in memory, of the modality of this name; raise `BadSource` if it cannot be a source."""
    source = Source(uri=name, kind=SourceKind.IMAGE, size=len(data), digest=digest_of(data))
    facts = load_modality(modality).probe_data(data, name, limits)
    return Described(timed(source, facts.times), modality, facts)


def chunk_file(path: Path, sample_fps: float | None, size: int, limits: Limits) -> tuple[int, tuple[int, ...]]:
    """Return the number of sampled frames of a recording, and where its chunks start; see `Modality.chunk`."""
    return modality_of(path, limits).chunk(path, sample_fps, size, limits)


def chunk_evenly(count: int, size: int) -> tuple[int, ...]:
    """Return the indices of the first frames of chunks of `size` frames, of `count` frames in all."""
    return tuple(range(0, count, size))


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
