"""Columns made from the sequence of samples: steps from one to the next, and swings about those around it.

They are made of tiles, each tile held against itself, and of what most tiles do
at once: an object that passes through a few tiles changes none of them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from common.contracts.feature_groups import FeatureGroup, SequenceSummary

Array = npt.NDArray[np.float32]

_AROUND = 16  # samples before and after; a swing back and forth in up to about twice as many is seen in full


def sequence_columns(group: FeatureGroup, readings: Array) -> Array:
    """Return the (n, k) columns of `group.sequences`; the first sample's step is that of the second.

    Parameters
    ----------
    readings : (n, q) stored columns of the group, samples in order
    """
    if not group.sequences or len(readings) < 2:
        return np.zeros((len(readings), len(group.sequences)), np.float32)
    columns = [
        _SUMMARIES[column.summary](readings[:, _tiles_of(group, column.family)]) for column in group.sequences.values()
    ]
    return np.column_stack(columns).astype(np.float32)


def _tiles_of(group: FeatureGroup, family: str) -> list[int]:
    return [at for at, name in enumerate(group.columns) if name.rpartition(".")[0] == family]


def _step(tiles: Array) -> Array:
    return _of_each(np.abs(np.median(np.diff(tiles, axis=0), axis=1)))


def _uneven_step(tiles: Array) -> Array:
    steps = np.diff(tiles, axis=0)
    return _of_each(np.median(np.abs(steps - np.median(steps, axis=1, keepdims=True)), axis=1))


def _of_each(steps: Array) -> Array:
    """Return (n,) one step for each sample, of (n - 1,) steps from one sample to the next."""
    return np.concatenate([steps[:1], steps])


def _swing(tiles: Array) -> Array:
    level = np.median(tiles - np.median(tiles, axis=0), axis=1)
    around = np.lib.stride_tricks.sliding_window_view(np.pad(level, _AROUND, mode="symmetric"), 2 * _AROUND + 1)
    return np.asarray(np.abs(level - np.median(around, axis=1)), np.float32)


_SUMMARIES = {
    SequenceSummary.STEP: _step,
    SequenceSummary.UNEVEN_STEP: _uneven_step,
    SequenceSummary.SWING: _swing,
}
