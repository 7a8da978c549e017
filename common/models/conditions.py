"""Conditions on disk: a folder each, with a segment of features and the examples for proving it again."""

from __future__ import annotations

import hashlib
import logging
import shutil
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import Field

from common.baselines import two_groups
from common.contracts.conditions import ConditionRecord
from common.contracts.ids import Message
from common.drift.conditions import Condition
from common.drift.manifest import ClipSummary
from common.drift.segment import Segment
from common.drift.segment_arrays import Arrays, segment_arrays, segment_from_arrays
from common.errors import BadMessage, BadModel
from common.models.protocols import Examples
from common.npz import read_npz

log = logging.getLogger(__name__)

_FILE = "condition.json"
_SEGMENT = "segment.npz"
_EXAMPLES = "examples.npz"
_FORMAT = 2
_TWO_GROUPS_FORMAT = 1  # of version 0.3


class ConditionFile(Message):
    """The content of `condition.json`."""

    format: int
    digest: str = Field(description="of segment and examples")
    summary: ClipSummary
    groups: tuple[str, ...] = Field(two_groups.NAMES, description="names of the segment's feature groups")


def save_condition(folder: Path, segment: Segment, examples: Examples) -> str:
    """Write a condition's footage to `folder` completely or not at all; return its digest.

    Parameters
    ----------
    segment : its features and bounds
    examples : (n, ...) uint8, held out from training, in time order

    Raises
    ------
    BadModel
        If it cannot be written.
    """
    arrays, packed = segment_arrays(segment, ""), _pack(examples)
    digest = _digest(arrays, packed)
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        np.savez_compressed(staging / _SEGMENT, **arrays)  # type: ignore[arg-type]
        np.savez(staging / _EXAMPLES, **packed)  # type: ignore[arg-type]
        stored = ConditionFile(format=_FORMAT, digest=digest, summary=segment.summary, groups=tuple(segment.groups))
        (staging / _FILE).write_text(stored.model_dump_json(indent=1), encoding="utf-8")
        staging.chmod(0o755)
        shutil.rmtree(folder, ignore_errors=True)
        staging.rename(folder)
    except OSError as error:
        raise BadModel(f"the condition cannot be written to {folder}: {error.strerror or error}; free space") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return digest


def load_condition(record: ConditionRecord) -> Condition:
    """Return the condition that a champion's record names; its digest is verified.

    Raises
    ------
    BadModel
        If its footage is gone or damaged.
    """
    return Condition(record, _load(record)[0])


def load_examples(record: ConditionRecord) -> Examples:
    """Return the held-out examples (n, ...) uint8 of a condition; raise `BadModel` as `load_condition` does."""
    return _load(record)[1]


def _load(record: ConditionRecord) -> tuple[Segment, Examples]:
    folder = Path(record.path)
    try:
        stored = ConditionFile.from_json((folder / _FILE).read_bytes())
        arrays, packed = read_npz(folder / _SEGMENT), read_npz(folder / _EXAMPLES)
        known = stored.format in {_TWO_GROUPS_FORMAT, _FORMAT}
        if not known or not record.digest == stored.digest == _digest(arrays, packed):
            raise BadMessage("it is not what was saved there, or of another version")
        if stored.format == _TWO_GROUPS_FORMAT:
            arrays = two_groups.renamed(arrays)
        return segment_from_arrays(stored.summary, stored.groups, "", arrays), _unpack(packed)
    except (OSError, ValueError, KeyError, IndexError, BadMessage) as error:
        raise BadModel(
            f"condition {record.id[:12]} of stream {record.stream!r} in {folder} is missing or damaged ({error}): "
            "restore the folder; until then its footage fails as if there were no such condition"
        ) from error


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


def _digest(*parts: Arrays | dict[str, npt.NDArray[np.generic]]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for arrays in parts:
        for name, array in sorted(arrays.items()):
            digest.update(f"{name}{array.dtype}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


class ConditionCache:
    """The conditions of champions' records, each loaded once by a process."""

    _MOST = 64

    def __init__(self) -> None:
        self._loaded: dict[str, Condition] = {}
        self._reported: set[str] = set()

    def of(self, records: tuple[ConditionRecord, ...]) -> list[Condition]:
        """Return the conditions of `records` whose footage can be read; the others are logged once and left out."""
        found = []
        for record in records:
            key = f"{record.path} {record.digest}"
            if key not in self._loaded:
                try:
                    self._loaded[key] = load_condition(record)
                except BadModel as error:
                    if key not in self._reported:
                        self._reported.add(key)
                        log.error("%s", error)
                    continue
            found.append(Condition(record, self._loaded[key].segment))
        while len(self._loaded) > self._MOST:
            del self._loaded[next(iter(self._loaded))]
        return found
