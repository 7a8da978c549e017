"""What was learned over days, as named arrays for storage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from common.contracts.feature_groups import FeatureGroup
from common.drift.burst_arrays import burst_arrays, bursts_from_arrays
from common.drift.feature_groups import compared_minimum_effects
from common.drift.learned import Learned
from common.drift.segment import Bounds
from common.errors import BadMessage

AnyArray = npt.NDArray[Any]

_BURSTS = "bursts."


def learned_arrays(learned: Learned) -> dict[str, AnyArray]:
    """Return bursts, bounds and null as arrays `bursts.NAME`, `GROUP.bound`, `GROUP.size` and `null`."""
    arrays = {f"{_BURSTS}{name}": array for name, array in burst_arrays(learned.bursts, learned.groups).items()}
    for name, bounds in learned.bounds.items():
        arrays[f"{name}.bound"], arrays[f"{name}.size"] = bounds.distance, bounds.size
    return {**arrays, "null": learned.null}


def learned_from_arrays(arrays: Mapping[str, AnyArray], groups: tuple[FeatureGroup, ...], window: int) -> Learned:
    """Put it together again; raise `KeyError` if an array is missing, `BadMessage` if arrays do not fit."""
    own = {name.removeprefix(_BURSTS): array for name, array in arrays.items() if name.startswith(_BURSTS)}
    bursts = bursts_from_arrays(own, groups)
    bounds = {
        g.name: Bounds(np.asarray(arrays[f"{g.name}.bound"]), np.asarray(arrays[f"{g.name}.size"])) for g in groups
    }
    for group in groups:
        wanted = compared_minimum_effects(group).shape
        if (bounds[group.name].distance.shape, bounds[group.name].size.shape) != (wanted, wanted):
            raise BadMessage(f"bounds of group {group.name!r} have another shape than it says")
    if not bursts:
        raise BadMessage("it holds no bursts")
    return Learned(bursts, bounds, np.asarray(arrays["null"], np.float64), window, groups)
