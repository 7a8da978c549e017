"""Accepting a source. Every producer uses this module.

A source is described in a sandbox (untrusted bytes may crash a decoder), given
an id that is derived from its content, registered once with all its chunks, and
only then sent to the embedding workers. If a process dies in between, the sweep
sends what was registered.

While Redis cannot work (unavailable, or memory or disk full) every method raises
`BrokerUnavailable`; the caller keeps the source and tries again.
"""

from __future__ import annotations

import base64
import binascii
import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from common.baselines.binding import BaselineBinding
from common.contracts.batches import Chunk, FrameBatch, SourceKind, SourceRequest, Submission
from common.contracts.dead_letters import DeadLetterKind
from common.contracts.ids import Message, check_stream_name, content_id
from common.errors import BadMessage, BadSource, Refused
from common.features import TimeSource
from common.ingest.description import (
    DESCRIBE_SECONDS,
    Described,
    chunk_evenly,
    chunk_file,
    describe_data,
    describe_file,
    time_to_describe,
    timed,
)
from common.ingest.dispatch import dispatch_next
from common.ingest.stream_features import StreamFeatures
from common.sandbox import Sandbox
from common.settings import Settings
from common.sources.capture_time import CaptureTimes, is_plausible
from common.sources.identity import check_accepted, file_version
from common.sources.limits import Limits
from common.sources.local import describe_kind, images_in, modality_of, source_path
from common.store import Store
from common.store.client import unavailability
from common.store.event_log import dead_letter

log = logging.getLogger(__name__)

_DEFAULT_COST_SECONDS = 0.01  # per sampled frame, for a stream without measurements
_FEWEST_FRAMES, _MOST_FRAMES = 4, 1000  # per chunk
_DATA_SCHEME = "sentinel-data:"
"""Scheme of the URI of an image from inside a camera event; the image is stored under the batch's `data` key."""


class Ingestor:
    """Accepts sources for any stream. Create one per process; `close` ends its sandbox."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self.settings = settings
        self.store = store
        self.limits = Limits.from_settings(settings)
        self.sandbox = Sandbox(timeout=DESCRIBE_SECONDS, memory_mb=settings.max_memory_mb)
        self.baselines = BaselineBinding(settings, store)
        self.features = StreamFeatures(self.baselines, self.limits, self.sandbox)

    def close(self) -> None:
        self.sandbox.close()

    @unavailability()
    def submit(self, stream: str, source: Path | str) -> Submission:
        """Accept the source at a path or URI; if it is refused, write a dead letter and return REJECTED."""
        request = SourceRequest(stream=stream, uri=str(source))
        try:
            return self.accept_file(stream, request.uri)
        except Refused as error:
            version = self._version_of(request.uri)
            self.bury(DeadLetterKind.SOURCE, stream, request.uri, error, request, version=version)
            return Submission.REJECTED

    def _version_of(self, uri: str) -> str:
        """Return the source's version, so that a corrected one that fails again gets a dead letter of its own."""
        try:
            return file_version(source_path(uri, self.settings.roots))
        except BadSource:
            return ""

    @unavailability()
    def accept_file(
        self,
        stream: str,
        uri: str,
        *,
        event_key: str | None = None,
        taken_at: float | None = None,
        continues: bool = False,
        sparse: bool = False,
    ) -> Submission:
        """Accept the source at `uri` (a path or file URI under an allowed root).

        Parameters
        ----------
        event_key : id of the camera event that named the source, if one did. The same file counts once per event
        taken_at : capture time of the first frame by that event, seconds since the epoch
        continues : whether it goes on where the stream's footage ended; see `FrameBatch`
        sparse : whether its key frames are enough, where they come seldom enough to save work, and often enough to see

        Raises
        ------
        Refused
            If the source, the stream's name or the stream's baseline cannot be used.
        Backlogged
            While Redis is too full for more work.
        """
        stream = _checked(stream)
        self.store.require_room()
        path = source_path(uri, self.settings.roots)
        described = self.sandbox.call(
            describe_file, path, self.limits, subject=str(path), timeout=time_to_describe(path)
        )
        described = _as_told(described, taken_at)
        source = described.source
        known = self._known_from_folder(stream, path, described)
        if known is not None:
            return known
        if event_key is not None:
            identity = event_batch_id(stream, event_key, source.uri)
        elif source.kind is SourceKind.IMAGE:
            # Equal images under two names are two frames: a frozen camera produces them.
            identity = content_id(stream, source.digest, source.uri)
        else:
            # An equal recording or folder under another name is a copy.
            identity = content_id(stream, source.digest)
        return self._register(
            stream, identity, described, lasting=event_key is None, continues=continues, sparse=sparse
        )

    @unavailability()
    def accept_one_by_one(self, stream: str, uri: str, *, event_key: str | None = None) -> Submission:
        """Accept the images of a folder one by one, after `Submission.CHANGED`; those counted before are duplicates."""
        folder = source_path(uri, self.settings.roots)
        became = [
            self.accept_file(stream, str(image), event_key=event_key and f"{event_key}/{image.name}")
            for image in images_in(folder, self.limits)
        ]
        return Submission.ACCEPTED if Submission.ACCEPTED in became else Submission.DUPLICATE

    def _known_from_folder(self, stream: str, path: Path, described: Described) -> Submission | None:
        """Return CHANGED for a folder that was accepted with another listing, DUPLICATE for an image that was counted
        with its folder, None for any other source."""
        batches = self.store.batches
        if described.source.kind is SourceKind.IMAGE:
            counted = batches.listed_digest(stream, str(path.parent), path.name) == described.source.digest
            return Submission.DUPLICATE if counted else None
        if not described.listing:
            return None
        accepted = batches.listing(stream, str(path))
        return Submission.CHANGED if accepted and accepted != described.digests else None

    @unavailability()
    def accept_data(self, stream: str, data: bytes, *, event_key: str, taken_at: float | None = None) -> Submission:
        """Accept one encoded image (raw or base64) from inside a camera event; see `accept_file` for the errors."""
        stream = _checked(stream)
        self.store.require_room()
        image = _decoded(data)
        if len(image) > self.settings.max_data_bytes:
            raise BadMessage(
                f"the image in the event has {len(image)} bytes, more than SENTINEL_MAX_DATA_BYTES "
                f"({self.settings.max_data_bytes}): send a dataref to a file instead"
            )
        batch_id = event_batch_id(stream, event_key)
        if self.store.batches.known(stream, batch_id):
            return Submission.DUPLICATE  # even if the stream's baseline has changed since
        name = f"{_DATA_SCHEME}{batch_id}"
        modality = self.features.modality(stream)
        described = self.sandbox.call(describe_data, image, name, modality, self.limits, subject=f"event {event_key}")
        return self._register_kept(stream, batch_id, _as_told(described, taken_at), image)

    @unavailability()
    def accept_spooled(self, stream: str, path: Path, *, event_key: str, taken_at: float | None = None) -> Submission:
        """Accept a file that came with an event and that nobody else writes to; see `accept_file` for the errors.

        Unless it is ACCEPTED, or Redis failed, the file is not needed.
        """
        stream = _checked(stream)
        self.store.require_room()
        batch_id = event_batch_id(stream, event_key)
        if self.store.batches.known(stream, batch_id):
            return Submission.DUPLICATE
        path = source_path(str(path), self.settings.roots)
        described = _as_told(self._describe_spooled(path), taken_at)
        return self._register_kept(stream, batch_id, described, path.name.encode())

    def _describe_spooled(self, path: Path) -> Described:
        if describe_kind(path) is not SourceKind.IMAGE:
            timeout = time_to_describe(path)
            return self.sandbox.call(describe_file, path, self.limits, subject=str(path), timeout=timeout)
        # Its digest is that of these bytes, so there is no need to wait until the file has settled.
        modality = modality_of(path, self.limits).name
        return self.sandbox.call(describe_data, path.read_bytes(), str(path), modality, self.limits, subject=str(path))

    def _register_kept(self, stream: str, batch_id: str, described: Described, kept: bytes) -> Submission:
        """Register a batch with what is kept of its event until it is judged."""
        batches = self.store.batches
        if not batches.known(stream, batch_id):
            batches.keep_data(stream, batch_id, kept)
        became = self._register(stream, batch_id, described)
        # A connection that broke off is tried again, and then finds what it registered itself.
        if became is Submission.DUPLICATE and batches.source_uri(stream, batch_id) != described.source.uri:
            return became
        batches.hold_data(stream, batch_id)
        return Submission.ACCEPTED

    @unavailability()
    def retry_chunk(self, chunk: Chunk, attempt: str) -> Submission:
        """Accept a given-up chunk again, as a batch of only its frames, once per `attempt`.

        Raises
        ------
        BadSource
            If its source is missing, or no longer has the content that was accepted.
        """
        if data_batch(chunk.source.uri) is None:
            check_accepted(chunk.source, self.settings.roots, self.limits)
        promised = chunk.stop - chunk.start if chunk.stop is not None else self._chunk_frames(chunk.stream)
        return self._send(
            FrameBatch(
                id=content_id(chunk.id, "retry", attempt),
                stream=chunk.stream,
                source=chunk.source,
                expected_frames=promised,
                starts=(chunk.start,),
                feature_spec=self.features.known(chunk.stream),
                received_at=time.time(),
                stop=chunk.stop,
                sparse_fps=chunk.sparse_fps,
            )
        )

    def _register(
        self,
        stream: str,
        batch_id: str,
        described: Described,
        *,
        lasting: bool = False,
        continues: bool = False,
        sparse: bool = False,
    ) -> Submission:
        if not described.listing and self.store.batches.known(stream, batch_id):
            return Submission.DUPLICATE  # even if the stream's baseline has changed since
        feature_spec = self.features.of_source(stream, described)
        described.require_modality(feature_spec.modality, stream)
        sparse_fps = self.features.key_rate(described, feature_spec) if sparse else None
        count, starts = self._chunk_starts(stream, described, sparse_fps or feature_spec.sample_fps)
        return self._send(
            FrameBatch(
                id=batch_id,
                stream=stream,
                source=described.source,
                expected_frames=count,
                starts=starts,
                feature_spec=feature_spec,
                received_at=time.time(),
                continues=continues,
                sparse_fps=sparse_fps,
            ),
            described.digests,
            lasting=lasting,
        )

    def _chunk_starts(self, stream: str, described: Described, sample_fps: float | None) -> tuple[int, tuple[int, ...]]:
        """Return the number of sampled frames of a source, and the index of the first frame of each chunk."""
        size = self._chunk_frames(stream)
        if described.source.kind is not SourceKind.RECORDING:
            return described.facts.frames, chunk_evenly(described.facts.frames, size)
        path = source_path(described.source.uri, self.settings.roots)
        return self.sandbox.call(
            chunk_file,
            path,
            sample_fps,
            size,
            self.limits,
            subject=str(path),
            timeout=time_to_describe(path),
        )

    def _chunk_frames(self, stream: str) -> int:
        """Return sampled frames per chunk: SENTINEL_CHUNK_FRAMES, or SENTINEL_CHUNK_SECONDS by the cost per frame."""
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

    @unavailability()
    def bury(
        self, kind: DeadLetterKind, stream: str, subject: str, error: Exception, original: Message, *, version: str = ""
    ) -> None:
        """Write a dead letter; the same error with the same `version` of the subject is written once."""
        letter = dead_letter(kind, stream, subject, error, original, version=version)
        if self.store.event_log.bury(letter):
            log.warning("stream %s: %s", stream or "?", error)


def event_batch_id(stream: str, event_key: str, uri: str | None = None) -> str:
    """Return the id of the batch that becomes of what comes inside an event of `stream`, or of the source at `uri`, as
    it is stored, that the event names."""
    return content_id(stream, event_key) if uri is None else content_id(stream, event_key, uri)


def data_batch(uri: str) -> str | None:
    """Return the batch id in the URI of an image from inside a camera event; None for any other URI."""
    return uri[len(_DATA_SCHEME) :] if uri.startswith(_DATA_SCHEME) else None


def _as_told(described: Described, taken_at: float | None) -> Described:
    """Return `described` with the capture time of its event, if that is plausible.

    A folder's images keep their own times, because one event cannot give them all.
    """
    if taken_at is None or not is_plausible(taken_at) or described.listing:
        return described
    return replace(described, source=timed(described.source, CaptureTimes(taken_at, TimeSource.EVENT)))


def _checked(stream: str) -> str:
    try:
        return check_stream_name(stream)
    except ValueError as error:
        raise BadMessage(str(error)) from error


def _decoded(data: bytes) -> bytes:
    """Return the bytes of the image in an event: base64 (CloudEvents' `data_base64`) is decoded, else `data` itself."""
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error:
        return data
