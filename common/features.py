"""Arrays of features in named groups, with a row per frame or per some of the frames, and how they are stored.

Stored blocks carry a format number. Format 4 is safetensors: a JSON header of
names, shapes and types, then the raw arrays. It loads in a tenth of the time of
an npz file and cannot contain code. A group's array is called `group.` and its
name, and `seen.` and its name if not every frame has a row. Format 3 had a row
of every group for every frame. Format 2, of versions 0.2 and 0.3, is the same
with the two groups of video under their own names. Format 1 is the npz file that
version 0.1 wrote. All are still read.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from common.errors import BadMessage
from common.live_scores import LiveScores, joined

FloatArray = npt.NDArray[np.float32]
TimeArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.int32]
CodeArray = npt.NDArray[np.uint8]
Image = npt.NDArray[np.uint8]
"""One frame: (height, width, 3), RGB, 8 bit."""

BLOCK_FORMAT = 4
_EVERY_FRAME_FORMAT = 3
_TWO_GROUPS_FORMAT = 2
_TWO_GROUPS = ("embedding", "quality")  # the groups of every block of formats 1 and 2
_PREFIX = "group."
_SEEN_PREFIX = "seen."
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

    Raises `BadMessage` if the shapes do not agree, or if a source, a time source or a frame does not exist.

    Attributes
    ----------
    groups : name -> (n, columns) float32, or (r, columns) for a group that `seen` lists. Which groups a block must have
        is said by the baseline that it is judged by
    times : (n,) float64, seconds from the start of the frame's source
    sources : URIs of the sources that the frames came from
    source_index : (n,) int32, index into `sources` of each frame
    taken_at : (n,) float64, capture times in seconds since the epoch; NaN where unknown
    time_source : (n,) uint8, where each capture time comes from, see `time_source_code`
    seen : name -> (r,) int32, ascending: the frames that the rows of a group are of, if not of all frames
    scores : how the champion did on some of the frames; None: nobody asked it
    """

    groups: Mapping[str, FloatArray]
    times: TimeArray
    sources: tuple[str, ...]
    source_index: IndexArray
    taken_at: TimeArray = field(default_factory=lambda: np.zeros(0, np.float64))
    time_source: CodeArray = field(default_factory=lambda: np.zeros(0, np.uint8))
    seen: Mapping[str, IndexArray] = field(default_factory=dict)
    scores: LiveScores | None = None

    def __post_init__(self) -> None:
        n = len(self.times)
        if not len(self.taken_at) and not len(self.time_source):
            object.__setattr__(self, "taken_at", np.full(n, np.nan))
            object.__setattr__(self, "time_source", np.full(n, _UNKNOWN, np.uint8))
        if any(values.ndim != 2 for values in self.groups.values()):
            raise BadMessage("features must be two-dimensional: (frames, features)")
        object.__setattr__(self, "seen", {name: frames for name, frames in self.seen.items() if len(frames) < n})
        for name, frames in self.seen.items():
            if len(self.groups.get(name, ())) != len(frames) or not _are_frames(frames, n):
                raise BadMessage(f"the rows of features {name!r} are of other frames than there are")
        if self.scores is not None and not _are_frames(self.scores.frames, n):
            raise BadMessage("the scores of a model are of other frames than there are")
        whole = [len(values) for name, values in self.groups.items() if name not in self.seen]
        if {len(self.source_index), len(self.taken_at), len(self.time_source), *whole} != {n}:
            raise BadMessage("features, times and sources differ in their number of frames")
        if n and not 0 <= int(self.source_index.min()) <= int(self.source_index.max()) < len(self.sources):
            raise BadMessage("a frame names a source that is not listed")
        if n and int(self.time_source.max()) >= len(_TIME_SOURCES):
            raise BadMessage("a frame's capture time comes from a source that this version does not know")

    def __len__(self) -> int:
        return len(self.times)

    def __getitem__(self, frames: slice) -> FeatureBlock:
        """Return consecutive frames; `frames` has no step."""
        start, stop, _ = frames.indices(len(self))
        rows = {name: slice(*np.searchsorted(at, (start, max(start, stop)))) for name, at in self.seen.items()}
        return FeatureBlock(
            {name: values[rows.get(name, frames)] for name, values in self.groups.items()},
            self.times[frames],
            self.sources,
            self.source_index[frames],
            self.taken_at[frames],
            self.time_source[frames],
            {name: at[rows[name]] - np.int32(start) for name, at in self.seen.items()},
            None if self.scores is None else self.scores.between(start, stop),
        )._compact()

    def frames_of(self, group: str) -> IndexArray:
        """Return (r,) the frame that each row of `group` is of, ascending."""
        at = self.seen.get(group)
        return np.arange(len(self), dtype=np.int32) if at is None else at

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
            _joined_frames(blocks),
            joined(list(zip(_starts(blocks), (block.scores for block in blocks), strict=True))),
        )

    def to_bytes(self) -> bytes:
        """Encode for storage. A group is stored in bytes, or in half precision, if none of its values needs more."""
        return save(
            {
                "format": np.array([BLOCK_FORMAT], np.uint8),
                **{f"{_PREFIX}{name}": _compressed(values) for name, values in self.groups.items()},
                **{f"{_SEEN_PREFIX}{name}": np.ascontiguousarray(at, np.int32) for name, at in self.seen.items()},
                "times": np.ascontiguousarray(self.times),
                "sources": np.frombuffer(json.dumps(self.sources).encode(), np.uint8),
                "source_index": np.ascontiguousarray(self.source_index),
                "taken_at": np.ascontiguousarray(self.taken_at),
                "time_source": np.ascontiguousarray(self.time_source),
                **({} if self.scores is None else self.scores.to_arrays()),
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
            if stored not in {_TWO_GROUPS_FORMAT, _EVERY_FRAME_FORMAT, BLOCK_FORMAT}:
                raise BadMessage(
                    f"stored features have format {stored}, this version reads up to {BLOCK_FORMAT}: "
                    "they were written by a newer version; upgrade this process"
                )
            names = {name: name for name in _TWO_GROUPS}
            if stored != _TWO_GROUPS_FORMAT:
                names = _by_group(arrays, _PREFIX)
            return cls(
                {group: arrays[name].astype(np.float32, copy=False) for group, name in names.items()},
                arrays["times"].astype(np.float64, copy=False),
                _texts(json.loads(arrays["sources"].tobytes())),
                arrays["source_index"].astype(np.int32, copy=False),
                arrays["taken_at"].astype(np.float64, copy=False),
                arrays["time_source"].astype(np.uint8, copy=False),
                {group: arrays[name].astype(np.int32) for group, name in _by_group(arrays, _SEEN_PREFIX).items()},
                LiveScores.from_arrays(arrays),
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


def _by_group(names: Iterable[str], prefix: str) -> dict[str, str]:
    """Return the names that start with `prefix`, by what follows it."""
    return {name.removeprefix(prefix): name for name in names if name.startswith(prefix)}


def _are_frames(frames: IndexArray, count: int) -> bool:
    """Return whether `frames` are ascending indices of `count` frames, each at most once."""
    return frames.ndim == 1 and (
        not len(frames) or bool(frames[0] >= 0 and frames[-1] < count and (np.diff(frames) > 0).all())
    )


def _joined_frames(blocks: Sequence[FeatureBlock]) -> dict[str, IndexArray]:
    """Return `seen` of blocks that are joined in order."""
    names = {name for block in blocks for name in block.seen}
    return {
        name: np.concatenate(
            [b.frames_of(name) + start for b, start in zip(blocks, _starts(blocks), strict=True)]
        ).astype(np.int32)
        for name in names
    }


def _starts(blocks: Sequence[FeatureBlock]) -> list[int]:
    """Return the number of each block's first frame when they are joined in order."""
    return [int(start) for start in np.cumsum([0, *map(len, blocks)])[:-1]]


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
