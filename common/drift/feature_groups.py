"""Feature groups: turns stored features into the columns that are compared.

The columns of a joint group are compared as they are. From the columns of a group
whose columns are judged by themselves, these are made:

- A single reading is a column of its own.
- A family of tiles (`noise.00`, `noise.01`, ...) becomes one column: the median over
  the tiles of each tile's deviation from its own reference median.
- Where the group compares the steps of another one, `motion` and `repeated` compare
  each sample with the previous one.
- `common.drift.sequences` makes the columns that say how the samples follow each other.

What is compared of a group of kind VIEW is in `common.drift.views`.
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from common.contracts.feature_groups import MOTION, REPEATED, VIEW_COLUMNS, FeatureGroup, GroupKind, TileSummary
from common.drift.sequences import sequence_columns
from common.errors import BadMessage
from common.features import FeatureBlock

Array = npt.NDArray[np.float32]

_MOTION_MINIMUM_EFFECT = 0.7  # natural log: half or twice as much motion is no fault of a camera
_REPEATED_MINIMUM_EFFECT = 0.1  # share of samples: encoders repeat a frame now and then
_STILL = 1e-3  # of the mean length of a group's vectors; smaller steps are rounding errors


def compared_names(group: FeatureGroup) -> tuple[str, ...]:
    """Return the names of the compared columns of a group; of a joint group, which is judged as one, none."""
    if group.kind is GroupKind.JOINT:
        return ()
    if group.kind is GroupKind.VIEW:
        return VIEW_COLUMNS
    steps = (MOTION, REPEATED) if group.steps_of else ()
    return (*(family for family, _ in _families(group)), *steps, *group.sequences)


def compared_size(group: FeatureGroup) -> int:
    """Return the number of compared columns of a group."""
    return group.size if group.kind is GroupKind.JOINT else len(compared_names(group))


def compared_minimum_effects(group: FeatureGroup) -> npt.NDArray[np.float64]:
    """Return (f,) the smallest change of each compared column that matters; (1,) for a joint group."""
    if group.kind is not GroupKind.COLUMNS:
        return np.array(group.minimum_effects, np.float64)
    columns = [max(group.minimum_effects[part]) for _, part in _families(group)]
    steps = [_MOTION_MINIMUM_EFFECT, _REPEATED_MINIMUM_EFFECT] if group.steps_of else []
    sequences = [column.minimum_effect for column in group.sequences.values()]
    return np.array([*columns, *steps, *sequences], np.float64)


def reference_medians(readings: Array) -> Array:
    """Return the (q,) medians of a clip's readings (n, q), which tiles are compared with."""
    return np.median(readings, axis=0).astype(np.float32)


def compared_columns(group: FeatureGroup, readings: Array, between: Array, reference_median: Array) -> Array:
    """Return the (n, f) compared columns of a group whose columns are judged by themselves.

    Parameters
    ----------
    readings : (n, q) stored columns of the group
    between : (n, k), from `between_samples`
    reference_median : (q,) median of each reading in the reference; tiles are compared with it
    """
    columns = []
    for _, part in _families(group):
        if part.stop - part.start == 1:
            columns.append(readings[:, part.start])
            continue
        deviations = readings[:, part] - reference_median[part]
        shared = np.median(deviations, axis=1)
        columns.append(shared + np.median(reference_median[part]))
    return np.column_stack([*columns, between]).astype(np.float32)


def between_samples(group: FeatureGroup, block: FeatureBlock) -> Array:
    """Return the (n, k) columns of a group that compare each sample with others.

    They are `motion` and `repeated`, where the group compares steps, and those of `common.drift.sequences`. The first
    sample gets the values of the second.
    """
    return np.hstack([_steps(group, block), sequence_columns(group, block.groups[group.name])])


def _steps(group: FeatureGroup, block: FeatureBlock) -> Array:
    """Return (n, 2) `motion` and `repeated`, or (n, 0) for a group that compares no steps."""
    if group.steps_of is None:
        return np.zeros((len(block), 0), np.float32)
    if len(block) < 2:
        return np.zeros((len(block), 2), np.float32)
    vectors = block.groups[group.steps_of].astype(np.float32)
    length = float(np.sqrt(np.square(vectors).sum(axis=1)).mean()) or 1.0
    step = np.sqrt(np.square(np.diff(vectors, axis=0)).sum(axis=1)) / length
    same = (step == 0) & (np.diff(block.groups[group.name], axis=0) == 0).all(axis=1)
    columns = np.column_stack([np.log(step + _STILL), same])
    return np.concatenate([columns[:1], columns]).astype(np.float32)


def check_finite(block: FeatureBlock) -> None:
    """Raise `BadMessage` if a feature of `block` is not finite."""
    if not all(np.isfinite(values).all() for values in block.groups.values()):
        raise BadMessage("features contain NaN or infinity: the frames they came from cannot be judged")


def _families(group: FeatureGroup) -> list[tuple[str, slice]]:
    """Return the name of each column and the slice of readings that it is made from.

    The tiles of a family must be adjacent among the group's columns. Families that are no column by themselves are
    left out.
    """
    found: list[tuple[str, slice]] = []
    start = 0
    for family, members in itertools.groupby(group.columns, key=lambda name: _family(group, name)):
        stop = start + len(list(members))
        if group.tiles.get(family) is not TileSummary.NONE:
            found.append((family, slice(start, stop)))
        start = stop
    return found


def _family(group: FeatureGroup, name: str) -> str:
    family, dot, tile = name.rpartition(".")
    return family if dot and tile.isdigit() and family in group.tiles else name
