"""Feature groups: turns stored features into the columns that are compared.

The columns of a joint group are compared as they are. From the columns of a group
whose columns are judged by themselves, these are made:

- A single reading is a column of its own.
- A family of tiles (`noise.00`, `noise.01`, ...) becomes one column. For
  `TileSummary.SHARED` it is the median over the tiles of each tile's deviation from
  its own reference median. For `TileSummary.REARRANGED` it is the 60% quantile of the
  tiles' absolute deviations after the deviation common to all tiles has been
  subtracted: how much they have been rearranged.
- Where the group compares the steps of another one, `motion` and `repeated` compare
  each sample with the previous one.
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from common.contracts.feature_groups import MOTION, REPEATED, FeatureGroup, GroupKind, TileSummary
from common.errors import BadMessage
from common.features import FeatureBlock

Array = npt.NDArray[np.float32]

_MOTION_MINIMUM_EFFECT = 0.7  # natural log: half or twice as much motion is no fault of a camera
_REPEATED_MINIMUM_EFFECT = 0.1  # share of samples: encoders repeat a frame now and then
_TYPICAL_TILE = 0.6  # quantile over the tiles; more than half, because half of them may show plain sky or wall
_STILL = 1e-3  # of the mean length of a group's vectors; smaller steps are rounding errors


def compared_names(group: FeatureGroup) -> tuple[str, ...]:
    """Return the names of the compared columns of a group; of a joint group, which is judged as one, none."""
    if group.kind is GroupKind.JOINT:
        return ()
    steps = (MOTION, REPEATED) if group.steps_of else ()
    return (*(family for family, _ in _families(group)), *steps)


def compared_size(group: FeatureGroup) -> int:
    """Return the number of compared columns of a group."""
    return group.size if group.kind is GroupKind.JOINT else len(compared_names(group))


def compared_minimum_effects(group: FeatureGroup) -> npt.NDArray[np.float64]:
    """Return (f,) the smallest change of each compared column that matters; (1,) for a joint group."""
    if group.kind is GroupKind.JOINT:
        return np.array(group.minimum_effects, np.float64)
    columns = [max(group.minimum_effects[part]) for _, part in _families(group)]
    steps = [_MOTION_MINIMUM_EFFECT, _REPEATED_MINIMUM_EFFECT] if group.steps_of else []
    return np.array([*columns, *steps], np.float64)


def reference_medians(readings: Array) -> Array:
    """Return the (q,) medians of a clip's readings (n, q), which tiles are compared with."""
    return np.median(readings, axis=0).astype(np.float32)


def compared_columns(group: FeatureGroup, readings: Array, between: Array, reference_median: Array) -> Array:
    """Return the (n, f) compared columns of a group whose columns are judged by themselves.

    Parameters
    ----------
    readings : (n, q) stored columns of the group
    between : (n, 2) or (n, 0), from `between_samples`
    reference_median : (q,) median of each reading in the reference; tiles are compared with it
    """
    columns = []
    for family, part in _families(group):
        if part.stop - part.start == 1:
            columns.append(readings[:, part.start])
            continue
        deviations = readings[:, part] - reference_median[part]
        shared = np.median(deviations, axis=1)
        if group.tiles[family] is TileSummary.REARRANGED:
            columns.append(np.quantile(np.abs(deviations - shared[:, None]), _TYPICAL_TILE, axis=1))
        else:
            columns.append(shared + np.median(reference_median[part]))
    return np.column_stack([*columns, between]).astype(np.float32)


def between_samples(group: FeatureGroup, block: FeatureBlock) -> Array:
    """Return (n, 2): `motion` and `repeated` of each sample; the first sample gets the values of the second.

    It is (n, 0) for a group that compares no steps.
    """
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


def column_slices(group: FeatureGroup) -> dict[str, slice]:
    """Return, for each compared column but `motion` and `repeated`, the slice of readings that it is made from."""
    return dict(_families(group))


def check_finite(block: FeatureBlock) -> None:
    """Raise `BadMessage` if a feature of `block` is not finite."""
    if not all(np.isfinite(values).all() for values in block.groups.values()):
        raise BadMessage("features contain NaN or infinity: the frames they came from cannot be judged")


def _families(group: FeatureGroup) -> list[tuple[str, slice]]:
    """Return the name of each column and the slice of readings that it is made from.

    The tiles of a family must be adjacent among the group's columns.
    """
    found: list[tuple[str, slice]] = []
    start = 0
    for family, members in itertools.groupby(group.columns, key=lambda name: _family(group, name)):
        stop = start + len(list(members))
        found.append((family, slice(start, stop)))
        start = stop
    return found


def _family(group: FeatureGroup, name: str) -> str:
    family, dot, tile = name.rpartition(".")
    return family if dot and tile.isdigit() and family in group.tiles else name
