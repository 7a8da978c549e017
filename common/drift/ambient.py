"""What a modality declares of light, read from a block: its level, infra-red, and single compared columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from common.contracts.feature_groups import Ambient, FeatureGroup, SteadyColumn
from common.drift.feature_groups import column_slices, compared_names

Array = npt.NDArray[np.float32]


def ambient_group(groups: Sequence[FeatureGroup]) -> tuple[FeatureGroup, Ambient] | None:
    """Return the group that declares what light does, and its declaration; None: the modality declares none."""
    return next(((group, group.ambient) for group in groups if group.ambient is not None), None)


def light_of(groups: Sequence[FeatureGroup], readings: Mapping[str, Array]) -> tuple[float, bool]:
    """Return the median level of light of some frames in natural logs, and whether they were taken by infra-red light.

    Parameters
    ----------
    readings : group -> (n, q) stored columns
    """
    found = ambient_group(groups)
    if found is None:
        return 0.0, False
    group, ambient = found
    values = readings[group.name]
    level = float(np.median(raw_column(group, values, ambient.light)))
    saturation = float(np.median(raw_column(group, values, ambient.infrared)))
    return level, saturation < ambient.infrared_below


def raw_column(group: FeatureGroup, readings: Array, name: str) -> Array:
    """Return (n,) a column without a reference to compare it with: of a family, the median over its tiles.

    Raises
    ------
    KeyError
        If the group compares no such column.
    """
    return np.asarray(np.median(readings[:, column_slices(group)[name]], axis=1), np.float32)


def mean_of(group: FeatureGroup, readings: Array, between: Array, name: str) -> float:
    """Return the mean over some frames of a column that needs no reference.

    Parameters
    ----------
    readings : (n, q) stored columns of the group
    between : (n, k) of the same frames, from `feature_groups.between_samples`
    """
    count = between.shape[1]
    among = compared_names(group)[-count:] if count else ()
    values = between[:, among.index(name)] if name in among else raw_column(group, readings, name)
    return float(values.mean())


def steady_columns(group: FeatureGroup, groups: Sequence[FeatureGroup]) -> tuple[SteadyColumn, ...]:
    """Return the columns of a group that light hardly moves, whichever group declares them."""
    found, names = ambient_group(groups), compared_names(group)
    return () if found is None else tuple(steady for steady in found[1].steady if steady.column in names)


def position(group: FeatureGroup, name: str) -> int:
    """Return the index of a compared column."""
    return compared_names(group).index(name)
