"""Arrays of features in named groups, one row per frame, and how they are stored.

Stored blocks carry a format number. Format 3 is safetensors: a JSON header of
names, shapes and types, then the raw arrays. It loads in a tenth of the time of
an npz file and cannot contain code. A group's array is called `group.` and its
name. Format 2, of versions 0.2 and 0.3, is the same with the two groups of video
under their own names. Format 1 is the npz file that version 0.1 wrote. Both are
still read.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
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

BLOCK_FORMAT = 3
_TWO_GROUPS_FORMAT = 2
_TWO_GROUPS = ("embedding", "quality")  # the groups of every block of formats 1 and 2
_PREFIX = "group."
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
    groups : name -> (n, columns) float32. Which groups a block must have is said by the baseline that it is judged by
    times : (n,) float64, seconds from the start of the frame's source
    sources : URIs of the sources that the frames came from
    source_index : (n,) int32, index into `sources` of each frame
    taken_at : (n,) float64, capture times in seconds since the epoch; NaN where unknown
    time_source : (n,) uint8, where each capture time comes from, see `time_source_code`
    """

    groups: Mapping[str, FloatArray]
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
        if any(values.ndim != 2 for values in self.groups.values()):
            raise BadMessage("features must be two-dimensional: (frames, features)")
        lengths = {len(self.source_index), len(self.taken_at), len(self.time_source), *map(len, self.groups.values())}
        if lengths != {n}:
            raise BadMessage("features, times and sources differ in their number of frames")
        if n and not 0 <= int(self.source_index.min()) <= int(self.source_index.max()) < len(self.sources):
            raise BadMessage("a frame names a source that is not listed")
        if n and int(self.time_source.max()) >= len(_TIME_SOURCES):
            raise BadMessage("a frame's capture time comes from a source that this version does not know")

    def __len__(self) -> int:
        return len(self.times)

    def __getitem__(self, frames: slice) -> FeatureBlock:
        return FeatureBlock(
            {name: values[frames] for name, values in self.groups.items()},
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

    @property
    def widths(self) -> dict[str, int]:
        """Number of columns of each group, by its name."""
        return {name: values.shape[1] for name, values in self.groups.items()}

    @classmethod
    def empty(cls, widths: Mapping[str, int]) -> FeatureBlock:
        """Return a block of no frames, with groups of these numbers of columns."""
        groups = {name: np.zeros((0, width), np.float32) for name, width in widths.items()}
        return cls(groups, np.zeros(0, np.float64), (), np.zeros(0, np.int32))

    @classmethod
    def concatenate(cls, blocks: Sequence[FeatureBlock]) -> FeatureBlock:
        """Join blocks in order; raise `BadMessage` if there are none, or if their groups or widths differ."""
        if not blocks:
            raise BadMessage("no features to join")
        widths = blocks[0].widths
        if other := next((block.widths for block in blocks if block.widths != widths), None):
            raise BadMessage(f"features of different widths cannot be joined: {widths} and {other}")
        names: dict[str, int] = {}
        columns = []
        for block in blocks:
            renumber = np.array([names.setdefault(uri, len(names)) for uri in block.sources] or [0], dtype=np.int32)
            columns.append(renumber[block.source_index])
        return cls(
            {name: np.concatenate([b.groups[name] for b in blocks]) for name in widths},
            np.concatenate([b.times for b in blocks]),
            tuple(names),
            np.concatenate(columns),
            np.concatenate([b.taken_at for b in blocks]),
            np.concatenate([b.time_source for b in blocks]),
        )

    def to_bytes(self) -> bytes:
        """Encode for storage. A group is stored in bytes, or in half precision, if none of its values needs more."""
        return save(
            {
                "format": np.array([BLOCK_FORMAT], np.uint8),
                **{f"{_PREFIX}{name}": _compressed(values) for name, values in self.groups.items()},
                "times": np.ascontiguousarray(self.times),
                "sources": np.frombuffer(json.dumps(self.sources).encode(), np.uint8),
                "source_index": np.ascontiguousarray(self.source_index),
                "taken_at": np.ascontiguousarray(self.taken_at),
                "time_source": np.ascontiguousarray(self.time_source),
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> FeatureBlock:
        """Decode a block that this version or an earlier one stored; raise `BadMessage` for anything else."""
        if data.startswith(_NPZ_SIGNATURE):
            return _from_npz(data)
        try:
            arrays = load(data)
            stored = int(arrays["format"][0])
            if stored not in {_TWO_GROUPS_FORMAT, BLOCK_FORMAT}:
                raise BadMessage(
                    f"stored features have format {stored}, this version reads up to {BLOCK_FORMAT}: "
                    "they were written by a newer version; upgrade this process"
                )
            names = {name: name for name in _TWO_GROUPS}
            if stored == BLOCK_FORMAT:
                names = {name.removeprefix(_PREFIX): name for name in arrays if name.startswith(_PREFIX)}
            return cls(
                {group: arrays[name].astype(np.float32, copy=False) for group, name in names.items()},
                arrays["times"].astype(np.float64, copy=False),
                _texts(json.loads(arrays["sources"].tobytes())),
                arrays["source_index"].astype(np.int32, copy=False),
                arrays["taken_at"].astype(np.float64, copy=False),
                arrays["time_source"].astype(np.uint8, copy=False),
            )
        except (SafetensorError, ValueError, KeyError, IndexError, TypeError, OverflowError, RecursionError) as error:
            raise BadMessage(f"stored features cannot be read: {error}") from error


def to_half_precision(values: FloatArray) -> FloatArray:
    """Return `values`, float32, rounded to numbers that half precision holds too.

    Wide groups are rounded when they are made, so that they take half the space in Redis, and whoever judges them,
    before or after storage, judges equal numbers. It changed no verdict in our measurements.
    """
    return values.astype(np.float16).astype(np.float32)


def _compressed(values: FloatArray) -> npt.NDArray[np.number]:
    """Return (n, columns) as bytes or in half precision if that loses no bit, else as they are."""
    whole = np.ascontiguousarray(values, np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # what is too large is kept as it is
        for narrow in (whole.astype(np.uint8), whole.astype(np.float16)):
            if np.array_equal(narrow.astype(np.float32).view(np.uint32), whole.view(np.uint32)):
                return narrow
    return whole


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError("sources are not a list of texts")
    return tuple(value)


def _from_npz(data: bytes) -> FeatureBlock:
    """Decode format 1 without pickle."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return FeatureBlock(
                {name: arrays[name].astype(np.float32) for name in _TWO_GROUPS},
                arrays["times"].astype(np.float64),
                tuple(str(uri) for uri in arrays["sources"]),
                arrays["source_index"].astype(np.int32),
            )
    # zipfile raises BadZipFile, and NotImplementedError for a compression method that it does not know.
    except Exception as error:
        raise BadMessage(f"stored features cannot be read: {error}") from error
