"""Feature groups: turns stored features into the columns that are compared.

The columns of a joint group are compared as they are. From the columns of a group
whose columns are judged by themselves, these are made:

- A single reading is a column of its own.
- A family of tiles (`noise.00`, `noise.01`, ...) becomes one column: the median over
  the tiles of each tile's deviation from its own reference median.
- Where the group declares `steps_of`, `motion` and `repeated` compare each sample with
  the previous one, or with one further back (`common.drift.cadence`). Steps of a joint
  group are relative to the mean length of its vectors, steps of other columns are in
  units of their minimum effects.
- `common.drift.sequences` makes the columns that say how the samples follow each other.

What is compared of a group of kind VIEW is in `common.drift.views`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from common.contracts.feature_groups import MOTION, REPEATED, VIEW_COLUMNS, FeatureGroup, GroupKind, TileSummary
from common.drift.cadence import is_sequence
from common.drift.sequences import sequence_columns
from common.errors import BadMessage
from common.features import FeatureBlock

Array = npt.NDArray[np.float32]

_MOTION_MINIMUM_EFFECT = 0.7  # natural log: half or twice as much motion is no fault of a camera
_REPEATED_MINIMUM_EFFECT = 0.1  # share of samples: encoders repeat a frame now and then
_FEWEST_ROWS, _LEAST_SHARE = 2, 0.25  # of frames, of a group whose columns are judged by themselves
_STILL = 1e-3  # of the mean length of a joint group's vectors, or of the minimum effects; smaller steps are rounding


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
    """Return (f,) the smallest change of each compared column that matters, set by hand; (1,) for a joint group."""
    if group.kind is not GroupKind.COLUMNS:
        return np.array(group.minimum_effects, np.float64)
    columns = [max(group.minimum_effects[part]) for _, part in _families(group)]
    steps = [_MOTION_MINIMUM_EFFECT, _REPEATED_MINIMUM_EFFECT] if group.steps_of else []
    sequences = [column.minimum_effect for column in group.sequences.values()]
    return np.array([*columns, *steps, *sequences], np.float64)


def smallest_bounds(group: FeatureGroup) -> npt.NDArray[np.float64]:
    """Return (f,) the smallest bound of each compared column; (1,) for a joint group."""
    return np.array(group.clean_effects, np.float64) if group.clean_effects else compared_minimum_effects(group)


def fits_clean_drift(group: FeatureGroup) -> bool:
    """Return whether a group has clean effects and gross distances of all its compared columns, or none at all."""
    size = 1 if group.kind is GroupKind.JOINT else compared_size(group)
    return {len(group.clean_effects), len(group.gross_distances)} <= {0, size}


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


def between_samples(group: FeatureGroup, block: FeatureBlock, span: int = 1) -> Array:
    """Return the (n, k) columns of a group that compare each sample with others.

    They are `motion` and `repeated`, where the group compares steps, and those of `common.drift.sequences`. Steps are
    from the sample `span` samples before; the first `span` samples get the values of the one after them. Of samples
    that were taken far apart, which are no sequence, the latter are zero. There are as many rows as the group has.
    Raises `BadMessage` if the steps are those of a group that has no row for some of the samples.
    """
    if is_sequence(block):
        sequence = sequence_columns(group, block.groups[group.name])
    else:
        sequence = np.zeros((len(block.groups[group.name]), len(group.sequences)), np.float32)
    return np.hstack([_steps(group, block, span), sequence])


def _steps(group: FeatureGroup, block: FeatureBlock, span: int) -> Array:
    """Return (n, 2) `motion` and `repeated`, or (n, 0) for a group that compares no steps."""
    if group.steps_of is None:
        return np.zeros((len(block.groups[group.name]), 0), np.float32)
    if len(block) <= span:
        return np.zeros((len(block), 2), np.float32)
    if group.steps_of in block.seen:
        raise BadMessage(f"steps between consecutive frames need features {group.steps_of!r} of every frame")
    readings = block.groups[group.name]
    if group.steps_of == group.name:
        step = _own_steps(group, readings, span)
    else:
        step = _joint_steps(block.groups[group.steps_of], span)
    same = (step == 0) & (readings[span:] == readings[:-span]).all(axis=1)
    columns = np.column_stack([np.log(step + _STILL), same])
    return np.concatenate([np.repeat(columns[:1], span, axis=0), columns]).astype(np.float32)


def _joint_steps(vectors: Array, span: int) -> Array:
    """Return (n - span,) the lengths of the steps between vectors (n, q), relative to their mean length."""
    length = float(np.sqrt(np.square(vectors).sum(axis=1)).mean()) or 1.0
    return np.asarray(np.sqrt(np.square(vectors[span:] - vectors[:-span]).sum(axis=1)) / length, np.float32)


def _own_steps(group: FeatureGroup, readings: Array, span: int) -> Array:
    """Return (n - span,) the root mean square steps of readings (n, q), in units of their minimum effects."""
    steps = (readings[span:] - readings[:-span]) / np.array(group.minimum_effects, np.float32)
    if group.native_size is not None:
        steps = np.delete(steps, size_columns(group), axis=1)
    return np.asarray(np.sqrt(np.square(steps).mean(axis=1)), np.float32)


def column_slices(group: FeatureGroup) -> dict[str, slice]:
    """Return, for each compared column but `motion` and `repeated`, the slice of readings that it is made from."""
    return dict(_families(group))


def are_enough(rows: int, frames: int) -> bool:
    """Return whether a group that has rows of some of `frames` frames knows enough of them to be compared."""
    return rows >= max(_FEWEST_ROWS, _LEAST_SHARE * frames)


def sized_group(groups: Sequence[FeatureGroup]) -> FeatureGroup | None:
    """Return the group that knows width and height of each sample; None: none does."""
    return next((group for group in groups if group.native_size is not None), None)


def size_columns(group: FeatureGroup) -> list[int]:
    """Return the indices of the stored columns that are width and height of each sample, of a group that has them."""
    return [group.columns.index(f"{group.native_size}.{number:02d}") for number in range(2)]


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
