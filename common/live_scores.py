"""How a model does on live footage: scores of some frames of a block, without labels, and who made them.

They travel with the features of the same frames, and are no group of the baseline: a block may have none, and one that
was stored before there were any has none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from common.errors import BadMessage

_VALUES, _FRAMES, _ABOUT = "scores.values", "scores.frames", "scores.about"


@dataclass(frozen=True, eq=False)
class LiveScores:
    """Scores of one version of a model. Raises `BadMessage` if the shapes do not agree.

    Attributes
    ----------
    by : identifies the model and its weights; scores by others must never be compared with these
    columns : names of the columns
    values : (r, columns) float32, larger is better
    frames : (r,) int32, ascending: the frames of the block that the rows are of
    """

    by: str
    columns: tuple[str, ...]
    values: npt.NDArray[np.float32]
    frames: npt.NDArray[np.int32]

    def __post_init__(self) -> None:
        if self.values.shape != (len(self.frames), len(self.columns)):
            raise BadMessage("scores of a model have other rows or columns than they say")
        if not np.isfinite(self.values).all():
            raise BadMessage("scores of a model are not finite")

    def between(self, start: int, stop: int) -> LiveScores:
        """Return the scores of frames `start` to `stop` (exclusive), which are numbered from 0 again."""
        rows = slice(*np.searchsorted(self.frames, (start, max(start, stop))))
        return replace(self, values=self.values[rows], frames=self.frames[rows] - np.int32(start))

    def to_arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """Return everything as arrays, by name, for storage."""
        about = json.dumps({"by": self.by, "columns": self.columns}).encode()
        return {
            _VALUES: np.ascontiguousarray(self.values, np.float32),
            _FRAMES: np.ascontiguousarray(self.frames, np.int32),
            _ABOUT: np.frombuffer(about, np.uint8),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[np.generic]]) -> LiveScores | None:
        """Return what `to_arrays` stored; None if there are no scores. Raises `ValueError` or `KeyError` if damaged."""
        if _ABOUT not in arrays:
            return None
        about = json.loads(arrays[_ABOUT].tobytes())
        by, columns = about["by"], about["columns"]
        if not isinstance(by, str) or not isinstance(columns, list) or not all(isinstance(c, str) for c in columns):
            raise ValueError("scores of a model do not say whose they are")
        return cls(by, tuple(columns), arrays[_VALUES].astype(np.float32), arrays[_FRAMES].astype(np.int32))


def joined(parts: Sequence[tuple[int, LiveScores | None]]) -> LiveScores | None:
    """Join the scores of blocks of frames; those that are not by the same model as the last ones are left out.

    Parameters
    ----------
    parts : the number of a block's first frame among all frames, and its scores
    """
    found = [(start, scores) for start, scores in parts if scores is not None]
    if not found:
        return None
    last = found[-1][1]
    same = [(start, row) for start, row in found if (row.by, row.columns) == (last.by, last.columns)]
    return replace(
        last,
        values=np.concatenate([row.values for _, row in same]),
        frames=np.concatenate([row.frames + np.int32(start) for start, row in same]),
    )
