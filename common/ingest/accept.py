"""Accepting a source: the one way in, whoever offers it.

A source is described in a sandbox (foreign bytes may crash a decoder), given an
id that follows from its content, registered once with all its chunks, and only
then sent to the embedding workers. A crash between the two is mended by the
sweep, which sends again what was registered and never done.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from common.baselines.binding import BaselineBinding
from common.contracts.batches import Chunk, FeatureSpec, FrameBatch, Source, SourceKind, SourceRequest, Submission
from common.contracts.dead_letters import DeadLetterKind
from common.contracts.ids import Message, check_stream_name, content_id
from common.errors import BadMessage, BadSource, BaselineMismatch, Refused
from common.features import TimeSource
from common.ingest.dispatch import dispatch_next
from common.modalities.video.capture_time import capture_times, exif_time
from common.modalities.video.chunking import chunk_evenly, chunk_video
from common.modalities.video.decode import probe, probe_image
from common.modalities.video.frame import SourceInfo
from common.sandbox import Sandbox
from common.settings import Settings
from common.sources.capture_time import CaptureTimes, is_plausible
from common.sources.local import (
    Limits,
    ListedImage,
    describe_kind,
    describe_listing,
    describe_source,
    images_in,
    local_path,
    source_of,
)
from common.store import Store
from common.store.event_log import dead_letter

log = logging.getLogger(__name__)

_PROBE_SECONDS = 20.0  # a header is read in milliseconds; hashing a large file on a slow disk takes longer
_DEFAULT_COST_SECONDS = 0.01  # a sampled frame of a stream of which nothing is known yet
_FEWEST_FRAMES, _MOST_FRAMES = 4, 1000  # a chunk
_DATA_SCHEME = "sentinel-data:"
"""Scheme of the URI of an image that came inside a camera event: the data key of the batch holds it."""


@dataclass(frozen=True)
class Described:
    """A source and what its header says."""

    source: Source
    info: SourceInfo
    listing: tuple[ListedImage, ...] = ()

    @property
    def digests(self) -> dict[str, str]:
        """The images of a folder, by name."""
        return {image.name: image.digest for image in self.listing}


def describe_file(path: Path, limits: Limits) -> Described:
    """Inspect a file or folder of images. Runs in the sandbox: must be importable, arguments must pickle."""
    kind = describe_kind(path)
    listing = tuple(describe_listing(path, limits)) if kind is SourceKind.FOLDER else ()
    source = source_of(path, listing) if listing else describe_source(path, limits)
    info = probe(path, kind, limits)
    return Described(_timed(source, capture_times(path, info, limits)), info, listing)


def describe_data(data: bytes, name: str, limits: Limits) -> Described:
    """Inspect an encoded image held in memory. Runs in the sandbox."""
    source = Source(
        uri=name, kind=SourceKind.IMAGE, size=len(data), digest=hashlib.blake2b(data, digest_size=16).hexdigest()
    )
    info, taken_at = probe_image(data, name, limits), exif_time(data)
    times = CaptureTimes(time.time(), TimeSource.RECEIVED)
    if taken_at is not None and is_plausible(taken_at):
        times = CaptureTimes(taken_at, TimeSource.EXIF)
    return Described(_timed(source, times), info)


def _timed(source: Source, times: CaptureTimes) -> Source:
    """Return `source` with its capture times."""
    fields = {
        "taken_at": times.first,
        "still_times": times.stills if source.names else (),
        "time_source": times.known_by,
    }
    return source.model_copy(update=fields)


class Ingestor:
    """Takes sources in for any stream. One a process; `close` it to end its sandbox."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self.settings = settings
        self.store = store
        self.limits = Limits.from_settings(settings)
        self.baselines = BaselineBinding(settings, store)
        self.sandbox = Sandbox(timeout=_PROBE_SECONDS, memory_mb=settings.max_memory_mb)

    def close(self) -> None:
        self.sandbox.close()

    def submit(self, stream: str, path: Path) -> Submission:
        """Take in what a producer found at `path`; never raises for bad content, which becomes a dead letter."""
        request = SourceRequest(stream=stream, uri=str(path))
        try:
            return self.accept_file(stream, str(path))
        except Refused as error:
            self.bury(DeadLetterKind.SOURCE, stream, str(path), error, request, version=_version_of(path))
            return Submission.REJECTED

    def accept_file(
        self, stream: str, uri: str, *, event_key: str | None = None, taken_at: float | None = None
    ) -> Submission:
        """Take in the source at `uri` (a path or file URI under an allowed root).

        `event_key` identifies the camera event that named it, if one did: the
        same file named by two events is two frames, named twice by one event it
        is one. `taken_at` is when the event says that the first frame was taken, seconds since the epoch.
        """
        stream = _checked(stream)
        self.store.require_room()
        path = local_path(uri, self.settings.roots)
        described = self.sandbox.call(describe_file, path, self.limits, subject=str(path), timeout=_patience(path))
        described = _as_told(described, taken_at)
        source = described.source
        known = self._known_from_folder(stream, path, described)
        if known is not None:
            return known
        if event_key is not None:
            identity = content_id(stream, event_key, source.uri)
        elif source.kind is SourceKind.IMAGE:
            # Two equal stills under two names are two frames: that is what a frozen camera looks like.
            identity = content_id(stream, source.digest, source.uri)
        else:
            # A video or a folder of stills under two names is one that was copied.
            identity = content_id(stream, source.digest)
        return self._register(stream, identity, described, lasting=event_key is None)

    def accept_one_by_one(self, stream: str, uri: str, *, event_key: str | None = None) -> Submission:
        """Take in what is new in a folder of which a part was counted: the answer to `Submission.CHANGED`."""
        folder = local_path(uri, self.settings.roots)
        became = [
            self.accept_file(stream, str(image), event_key=event_key and f"{event_key}/{image.name}")
            for image in images_in(folder, self.limits)
        ]
        return Submission.ACCEPTED if Submission.ACCEPTED in became else Submission.DUPLICATE

    def _known_from_folder(self, stream: str, path: Path, described: Described) -> Submission | None:
        """Say CHANGED for a folder whose listing is not what was accepted, DUPLICATE for an image counted with one.

        None: nothing is known against taking it.
        """
        batches = self.store.batches
        if described.source.kind is SourceKind.IMAGE:
            accepted = batches.listing(stream, str(path.parent))
            counted = accepted.get(path.name) == described.source.digest
            return Submission.DUPLICATE if counted else None
        if not described.listing:
            return None
        accepted = batches.listing(stream, str(path))
        return Submission.CHANGED if accepted and accepted != described.digests else None

    def accept_data(self, stream: str, data: bytes, *, event_key: str, taken_at: float | None = None) -> Submission:
        """Take in one encoded image (raw or base64) that came inside a camera event."""
        stream = _checked(stream)
        self.store.require_room()
        image = _decoded(data)
        if len(image) > self.settings.max_data_bytes:
            raise BadMessage(
                f"the image in the event has {len(image)} bytes, more than SENTINEL_MAX_DATA_BYTES "
                f"({self.settings.max_data_bytes}): send a dataref to a file instead"
            )
        batch_id = content_id(stream, event_key)
        name = f"{_DATA_SCHEME}{batch_id}"
        described = self.sandbox.call(describe_data, image, name, self.limits, subject=f"event {event_key}")
        described = _as_told(described, taken_at)
        if not self.store.batches.known(stream, batch_id):
            self.store.batches.keep_data(stream, batch_id, image)
        became = self._register(stream, batch_id, described)
        if became is Submission.ACCEPTED:
            self.store.batches.hold_data(stream, batch_id)
        return became

    def retry_chunk(self, chunk: Chunk, attempt: str) -> Submission:
        """Take a chunk that was given up in again, as a batch of just its frames; once an `attempt`."""
        promised = chunk.stop - chunk.start if chunk.stop is not None else self._chunk_frames(chunk.stream)
        return self._send(
            FrameBatch(
                id=content_id(chunk.id, "retry", attempt),
                stream=chunk.stream,
                source=chunk.source,
                expected_frames=promised,
                starts=(chunk.start,),
                feature_spec=self._feature_spec(chunk.stream),
                received_at=time.time(),
                stop=chunk.stop,
            )
        )

    def _register(self, stream: str, batch_id: str, described: Described, *, lasting: bool = False) -> Submission:
        if not described.listing and self.store.batches.known(stream, batch_id):
            return Submission.DUPLICATE  # whatever baseline is set now
        feature_spec = self._feature_spec(stream)
        count, starts = self._chunk_starts(stream, described, feature_spec)
        return self._send(
            FrameBatch(
                id=batch_id,
                stream=stream,
                source=described.source,
                expected_frames=count,
                starts=starts,
                feature_spec=feature_spec,
                received_at=time.time(),
            ),
            described.digests,
            lasting=lasting,
        )

    def _chunk_starts(
        self, stream: str, described: Described, feature_spec: FeatureSpec
    ) -> tuple[int, tuple[int, ...]]:
        """Return how many sampled frames a source has, and where its chunks start."""
        size = self._chunk_frames(stream)
        if described.source.kind is not SourceKind.VIDEO:
            return described.info.frames, chunk_evenly(described.info.frames, size)
        path = local_path(described.source.uri, self.settings.roots)
        return self.sandbox.call(
            chunk_video, path, feature_spec.sample_fps, size, self.limits, subject=str(path), timeout=_patience(path)
        )

    def _chunk_frames(self, stream: str) -> int:
        """Return sampled frames a chunk: as set, or as many as make a chunk's work, going by what the stream cost."""
        if self.settings.chunk_frames is not None:
            return self.settings.chunk_frames
        cost = self.store.chunks.cost(stream) or _DEFAULT_COST_SECONDS
        return min(max(round(self.settings.chunk_seconds / cost), _FEWEST_FRAMES), _MOST_FRAMES)

    def _send(
        self, batch: FrameBatch, listing: Mapping[str, str] | None = None, *, lasting: bool = False
    ) -> Submission:
        if not self.store.batches.register(batch, listing=listing, lasting=lasting):
            return Submission.DUPLICATE
        dispatch_next(self.store, self.settings, batch.stream)
        log.info("stream %s: accepted %s, about %d frames", batch.stream, batch.source.uri, batch.expected_frames)
        return Submission.ACCEPTED

    def _feature_spec(self, stream: str) -> FeatureSpec:
        feature_spec = self.baselines.of_stream(stream).baseline.feature_spec
        asked = self.settings.sample_fps
        if asked is not None and asked != feature_spec.sample_fps:
            raise BaselineMismatch(
                f"SENTINEL_SAMPLE_FPS is {asked:g}, but the baseline of stream {stream!r} was sampled at "
                f"{feature_spec.sample_fps or 'every frame'}: unset it, or build a baseline at that rate"
            )
        return feature_spec

    def bury(
        self, kind: DeadLetterKind, stream: str, subject: str, error: Exception, original: Message, *, version: str = ""
    ) -> None:
        """Write a dead letter. Equal trouble with an equal `version` of the subject is written once."""
        letter = dead_letter(kind, stream, subject, error, original, version=version)
        if self.store.event_log.bury(letter):
            log.warning("stream %s: %s", stream or "?", error)


def data_batch(uri: str) -> str | None:
    """Return the batch id in the URI of an image from inside a camera event; None for any other URI."""
    return uri[len(_DATA_SCHEME) :] if uri.startswith(_DATA_SCHEME) else None


def _as_told(described: Described, taken_at: float | None) -> Described:
    """Return a source with the capture time that its event gave, if it gave one that can be true.

    A folder's images keep their own times: one event cannot know them all.
    """
    if taken_at is None or not is_plausible(taken_at) or described.listing:
        return described
    return replace(described, source=_timed(described.source, CaptureTimes(taken_at, TimeSource.EVENT)))


def _checked(stream: str) -> str:
    try:
        return check_stream_name(stream)
    except ValueError as error:
        raise BadMessage(str(error)) from error


def _decoded(data: bytes) -> bytes:
    """Return the image bytes of an event's `data`: binary as it is, text as base64 (CloudEvents' `data_base64`)."""
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error:
        return data


def _version_of(path: Path) -> str:
    """Tell contents of one path apart without reading it: a corrected file must not pass for the bad one."""
    try:
        seen = path.stat()
    except OSError:
        return ""
    return f"{seen.st_size}-{seen.st_mtime_ns}"


_SLOW_DISK_BYTES_PER_SECOND = 20_000_000


def _patience(path: Path) -> float:
    """Seconds that describing `path` may take: its whole content is read for the digest."""
    try:
        size = path.stat().st_size
    except OSError as error:
        raise BadSource(
            f"{path} cannot be read ({error.strerror}): check that it exists and its permissions"
        ) from error
    return _PROBE_SECONDS + size / _SLOW_DISK_BYTES_PER_SECOND
