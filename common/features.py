"""Arrays of features, one row per frame, and how they are stored.

Stored blocks carry a format number. Format 2 is safetensors: a JSON header of
names, shapes and types, then the raw arrays. It loads in a tenth of the time of
an npz file and cannot contain code. Format 1 is the npz file that version 0.1
wrote; it is still read.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from common.errors import BadMessage

FloatArray = npt.NDArray[np.float32]
TimeArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.int32]
CodeArray = npt.NDArray[np.uint8]
Image = npt.NDArray[np.uint8]
"""One frame: (height, width, 3), RGB, 8 bit."""

BLOCK_FORMAT = 2
_NPZ_SIGNATURE = b"PK"  # format 1 is a zip file


class TimeSource(StrEnum):
    """Where the capture time of a frame comes from, the most reliable first."""

    EVENT = "event"
    """The `time` of the camera's event."""
    CONTAINER = "container"
    """The video container's creation time."""
    EXIF = "exif"
    """The image's EXIF data."""
    NAME = "name"
    """The date and time in the file's name."""
    FILE = "file"
    """The time at which the file was last modified."""
    RECEIVED = "received"
    """The time at which Sentinel received the frame."""
    UNKNOWN = "unknown"
    """The features were stored by version 0.1, which did not keep capture times."""


_TIME_SOURCES = tuple(TimeSource)
"""A block stores the position of a time source in this tuple: append to it, never reorder it."""
_UNKNOWN = _TIME_SOURCES.index(TimeSource.UNKNOWN)


def time_source_code(source: TimeSource) -> int:
    """Return the code by which a block stores `source`."""
    return _TIME_SOURCES.index(source)


@dataclass(frozen=True, eq=False)
class FeatureBlock:
    """Features of n consecutive sampled frames, with the source and the capture time of each frame.

    Raises `BadMessage` if the shapes do not agree, or if a source or a time source does not exist.

    Attributes
    ----------
    embedding : (n, d) float32, the backbone's features
    quality : (n, q) float32, the readings of the camera-quality sensors at native resolution
    times : (n,) float64, seconds from the start of the frame's source
    sources : URIs of the sources that the frames came from
    source_index : (n,) int32, index into `sources` of each frame
    taken_at : (n,) float64, capture times in seconds since the epoch; NaN where unknown
    time_source : (n,) uint8, where each capture time comes from, see `time_source_code`
    """

    embedding: FloatArray
    quality: FloatArray
    times: TimeArray
    sources: tuple[str, ...]
    source_index: IndexArray
    taken_at: TimeArray = field(default_factory=lambda: np.zeros(0, np.float64))
    time_source: CodeArray = field(default_factory=lambda: np.zeros(0, np.uint8))

    def __post_init__(self) -> None:
        n = len(self.times)
        if not len(self.taken_at) and not len(self.time_source):
            object.__setattr__(self, "taken_at", np.full(n, np.nan))
            object.__setattr__(self, "time_source", np.full(n, _UNKNOWN, np.uint8))
        if self.embedding.ndim != 2 or self.quality.ndim != 2:
            raise BadMessage("features must be two-dimensional: (frames, features)")
        columns = (self.embedding, self.quality, self.source_index, self.taken_at, self.time_source)
        if any(len(column) != n for column in columns):
            raise BadMessage("features, times and sources differ in their number of frames")
        if n and not 0 <= int(self.source_index.min()) <= int(self.source_index.max()) < len(self.sources):
            raise BadMessage("a frame names a source that is not listed")
        if n and int(self.time_source.max()) >= len(_TIME_SOURCES):
            raise BadMessage("a frame's capture time comes from a source that this version does not know")

    def __len__(self) -> int:
        return len(self.times)

    def __getitem__(self, frames: slice) -> FeatureBlock:
        return FeatureBlock(
            self.embedding[frames],
            self.quality[frames],
            self.times[frames],
            self.sources,
            self.source_index[frames],
            self.taken_at[frames],
            self.time_source[frames],
        )._compact()

    def source_of(self, frame: int) -> str:
        """Return the URI of the source that `frame` came from."""
        return self.sources[int(self.source_index[frame])]

    def capture_time(self, frame: int) -> float | None:
        """Return the capture time of `frame` in seconds since the epoch; None if it is unknown."""
        at = float(self.taken_at[frame])
        return at if np.isfinite(at) else None

    @property
    def least_reliable_time_source(self) -> TimeSource:
        """The least reliable of the frames' time sources; UNKNOWN if there are no frames."""
        return _TIME_SOURCES[int(self.time_source.max())] if len(self) else TimeSource.UNKNOWN

    def _compact(self) -> FeatureBlock:
        """Return the block without unused sources, so that they do not accumulate in a long-lived window."""
        used = sorted({int(i) for i in self.source_index})
        if len(used) == len(self.sources):
            return self
        renumber = np.zeros(max(len(self.sources), 1), dtype=np.int32)
        renumber[used] = np.arange(len(used), dtype=np.int32)
        return replace(self, sources=tuple(self.sources[i] for i in used), source_index=renumber[self.source_index])

    @classmethod
    def empty(cls, embedding_size: int, quality_size: int) -> FeatureBlock:
        """Return a block of no frames: arrays of shape (0, embedding_size) and (0, quality_size)."""
        return cls(
            np.zeros((0, embedding_size), np.float32),
            np.zeros((0, quality_size), np.float32),
            np.zeros(0, np.float64),
            (),
            np.zeros(0, np.int32),
        )

    @classmethod
    def concatenate(cls, blocks: Sequence[FeatureBlock]) -> FeatureBlock:
        """Join blocks in order; raise `BadMessage` if there are none, or if their widths differ."""
        if not blocks:
            raise BadMessage("no features to join")
        widths = {(b.embedding.shape[1], b.quality.shape[1]) for b in blocks}
        if len(widths) > 1:
            raise BadMessage(f"features of different widths cannot be joined: {sorted(widths)}")
        names: dict[str, int] = {}
        columns = []
        for block in blocks:
            renumber = np.array([names.setdefault(uri, len(names)) for uri in block.sources] or [0], dtype=np.int32)
            columns.append(renumber[block.source_index])
        return cls(
            np.concatenate([b.embedding for b in blocks]),
            np.concatenate([b.quality for b in blocks]),
            np.concatenate([b.times for b in blocks]),
            tuple(names),
            np.concatenate(columns),
            np.concatenate([b.taken_at for b in blocks]),
            np.concatenate([b.time_source for b in blocks]),
        )

    def to_bytes(self) -> bytes:
        """Encode for storage, with embeddings as float16, which changed no verdict in our measurements."""
        return save(
            {
                "format": np.array([BLOCK_FORMAT], np.uint8),
                "embedding": np.ascontiguousarray(self.embedding, np.float16),
                "quality": np.ascontiguousarray(self.quality),
                "times": np.ascontiguousarray(self.times),
                "sources": np.frombuffer(json.dumps(self.sources).encode(), np.uint8),
                "source_index": np.ascontiguousarray(self.source_index),
                "taken_at": np.ascontiguousarray(self.taken_at),
                "time_source": np.ascontiguousarray(self.time_source),
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> FeatureBlock:
        """Decode a block that this version or 0.1 stored; raise `BadMessage` for anything else."""
        if data.startswith(_NPZ_SIGNATURE):
            return _from_npz(data)
        try:
            arrays = load(data)
            stored = int(arrays["format"][0])
            if stored != BLOCK_FORMAT:
                raise BadMessage(
                    f"stored features have format {stored}, this version reads up to {BLOCK_FORMAT}: "
                    "they were written by a newer version; upgrade this process"
                )
            return cls(
                arrays["embedding"].astype(np.float32),
                arrays["quality"].astype(np.float32, copy=False),
                arrays["times"].astype(np.float64, copy=False),
                _texts(json.loads(arrays["sources"].tobytes())),
                arrays["source_index"].astype(np.int32, copy=False),
                arrays["taken_at"].astype(np.float64, copy=False),
                arrays["time_source"].astype(np.uint8, copy=False),
            )
        except (SafetensorError, ValueError, KeyError, IndexError, TypeError, OverflowError, RecursionError) as error:
            raise BadMessage(f"stored features cannot be read: {error}") from error

    def as_stored(self) -> FeatureBlock:
        """Return the block with embeddings rounded to float16, so that `sentinel check` and the reducer judge equal
        numbers."""
        return replace(self, embedding=self.embedding.astype(np.float16).astype(np.float32))


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError("sources are not a list of texts")
    return tuple(value)


def _from_npz(data: bytes) -> FeatureBlock:
    """Decode format 1 without pickle."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return FeatureBlock(
                arrays["embedding"].astype(np.float32),
                arrays["quality"].astype(np.float32),
                arrays["times"].astype(np.float64),
                tuple(str(uri) for uri in arrays["sources"]),
                arrays["source_index"].astype(np.int32),
            )
    # zipfile raises BadZipFile, and NotImplementedError for a compression method that it does not know.
    except Exception as error:
        raise BadMessage(f"stored features cannot be read: {error}") from error
