"""Conditions on disk: a folder each, with a segment of features and the examples for proving it again."""

from __future__ import annotations

import hashlib
import logging
import math
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from common.contracts.conditions import ConditionRecord
from common.contracts.ids import Message
from common.drift.conditions import Condition
from common.drift.manifest import ClipSummary
from common.drift.segment import Segment
from common.drift.segment_arrays import Arrays, digest_of, segment_arrays, segment_from_arrays
from common.errors import BadMessage, BadModel
from common.models.protocols import Examples
from common.npz import read_npz
from common.whole_files import whole_folder

log = logging.getLogger(__name__)

_FILE = "condition.json"
_SEGMENT = "segment.npz"
_EXAMPLES = "examples.npz"
_REPLAY = "replay.npz"
_FORMAT = 1
T = TypeVar("T")
_OTHER = "it is not what was saved there, or of another version"


class ConditionFile(Message):
    """The content of `condition.json`."""

    format: int
    segment: str = Field(description="digest of the segment")
    examples: str = Field(description="digest of the held-out examples")
    replay: str | None = Field(None, description="digest of the examples to train on; None: none are kept")
    summary: ClipSummary
    groups: tuple[str, ...] = Field(description="names of the segment's feature groups")

    @property
    def digest(self) -> str:
        """Of all, as a champion's record names it."""
        parts = [self.segment, self.examples, *([] if self.replay is None else [self.replay])]
        return hashlib.blake2b(" ".join(parts).encode(), digest_size=16).hexdigest()


def save_condition(folder: Path, segment: Segment, examples: Examples, replay: Examples | None = None) -> str:
    """Write a condition's footage to `folder` completely or not at all; return its digest.

    If the same is there already, it is left alone.

    Parameters
    ----------
    segment : its features and bounds
    examples : (n, ...) uint8, held out from training, in time order: a model is proved on them
    replay : (m, ...) uint8, others, on which later models are trained so that they do not forget it; None: none

    Raises
    ------
    BadModel
        If it cannot be written.
    """
    arrays, packed = segment_arrays(segment, ""), _pack(examples)
    replayed = None if replay is None or not len(replay) else _pack(replay)
    stored = ConditionFile(
        format=_FORMAT,
        segment=digest_of("", arrays),
        examples=digest_of("", packed),
        replay=None if replayed is None else digest_of("", replayed),
        summary=segment.summary,
        groups=tuple(segment.groups),
    )
    if _is_there(folder, stored):
        return stored.digest
    try:
        with whole_folder(folder) as staging:
            np.savez_compressed(staging / _SEGMENT, **arrays)  # type: ignore[arg-type]
            np.savez(staging / _EXAMPLES, **packed)  # type: ignore[arg-type]
            if replayed is not None:
                np.savez(staging / _REPLAY, **replayed)  # type: ignore[arg-type]
            (staging / _FILE).write_text(stored.model_dump_json(indent=1), encoding="utf-8")
    except OSError as error:
        raise BadModel(f"the condition cannot be written to {folder}: {error.strerror or error}; free space") from error
    return stored.digest


def load_condition(record: ConditionRecord) -> Condition:
    """Return the condition that a champion's record names; what is read of it is verified against its digest.

    Its examples must be there, but are not read: they are a hundred times as large, and only a proof needs them.

    Raises
    ------
    BadModel
        If its footage is gone or damaged.
    """
    with _reading(record) as (folder, stored):
        if not (folder / _EXAMPLES).is_file():
            raise BadMessage(f"{_EXAMPLES} is gone, and without it no model can be proved on it again")
        arrays = _read(folder / _SEGMENT, stored.segment)
        return Condition(record, segment_from_arrays(stored.summary, stored.groups, "", arrays))


def load_examples(record: ConditionRecord) -> Examples:
    """Return the held-out examples (n, ...) uint8 of a condition; raise `BadModel` as `load_condition` does."""
    with _reading(record) as (folder, stored):
        return _unpack(_read(folder / _EXAMPLES, stored.examples))


def load_replay(record: ConditionRecord) -> Examples | None:
    """Return the examples (n, ...) uint8 of a condition to train on; None if it keeps none, as those made before 0.4.

    Raises
    ------
    BadModel
        If its footage is gone or damaged.
    """
    with _reading(record) as (folder, stored):
        return None if stored.replay is None else _unpack(_read(folder / _REPLAY, stored.replay))


def _is_there(folder: Path, stored: ConditionFile) -> bool:
    """Return whether `folder` holds that very footage, whole."""
    try:
        if ConditionFile.from_json((folder / _FILE).read_bytes()) != stored:
            return False
        _read(folder / _SEGMENT, stored.segment)
        _read(folder / _EXAMPLES, stored.examples)
        if stored.replay is not None:
            _read(folder / _REPLAY, stored.replay)
    except (OSError, ValueError, KeyError, BadMessage):
        return False
    return True


@contextmanager
def _reading(record: ConditionRecord) -> Iterator[tuple[Path, ConditionFile]]:
    """Give the folder of a condition and what is written about it; what goes wrong in the block is a `BadModel`."""
    folder = Path(record.path)
    try:
        stored = ConditionFile.from_json((folder / _FILE).read_bytes())
        if stored.format != _FORMAT or stored.digest != record.digest:
            raise BadMessage(_OTHER)
        yield folder, stored
    except (OSError, ValueError, KeyError, IndexError, BadMessage) as error:
        raise BadModel(
            f"condition {record.id[:12]} of stream {record.stream!r} in {folder} is missing or damaged ({error}): "
            "restore the folder; until then its footage fails as if there were no such condition"
        ) from error


def _read(path: Path, digest: str) -> Arrays:
    arrays = read_npz(path)
    if digest_of("", arrays) != digest:
        raise BadMessage(_OTHER)
    return arrays


def _pack(examples: Examples) -> dict[str, npt.NDArray[np.generic]]:
    """Store each frame once: neighbouring examples share frames."""
    numbers: dict[bytes, int] = {}
    frames: list[npt.NDArray[np.uint8]] = []
    index = np.empty(examples.shape[:2], np.int32)
    for i, example in enumerate(examples):
        for j, frame in enumerate(example):
            key = hashlib.blake2b(np.ascontiguousarray(frame).tobytes(), digest_size=16).digest()
            if key not in numbers:
                numbers[key] = len(frames)
                frames.append(frame)
            index[i, j] = numbers[key]
    return {"frames": np.stack(frames), "index": index}


def _unpack(packed: Arrays) -> Examples:
    return np.asarray(packed["frames"][packed["index"]], np.uint8)


class ConditionCache:
    """The conditions of champions' records, as a process has loaded them.

    One whose footage cannot be read is tried again after a while, because somebody may restore it.
    """

    def __init__(self, *, most: int = 64, again_after: float = 60.0) -> None:
        self._most = most
        self._again_after = again_after
        self._segments: OrderedDict[str, Segment] = OrderedDict()
        self._failed: OrderedDict[str, float] = OrderedDict()

    def of(self, records: tuple[ConditionRecord, ...]) -> list[Condition]:
        """Return the conditions of `records` whose footage can be read; the others are logged and left out."""
        found = [(record, self._segment(record)) for record in records]
        return [Condition(record, segment) for record, segment in found if segment is not None]

    def _segment(self, record: ConditionRecord) -> Segment | None:
        key = f"{record.path} {record.digest}"
        if key in self._segments:
            self._segments.move_to_end(key)
            return self._segments[key]
        if time.monotonic() - self._failed.get(key, -math.inf) < self._again_after:
            return None
        try:
            segment = load_condition(record).segment
        except BadModel as error:
            log.error("%s", error)
            _keep(self._failed, key, time.monotonic(), self._most)
            return None
        _keep(self._segments, key, segment, self._most)
        return segment


def _keep(cache: OrderedDict[str, T], key: str, value: T, most: int) -> None:
    """Add to a cache, and drop what was not used for longest."""
    cache[key] = value
    cache.move_to_end(key)
    while len(cache) > most:
        cache.popitem(last=False)
