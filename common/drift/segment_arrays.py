"""A segment as named arrays, for storage."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from common.drift.manifest import ClipSummary
from common.drift.segment import Bounds, Segment, SegmentGroup

Arrays = dict[str, npt.NDArray[Any]]


def segment_arrays(segment: Segment, prefix: str) -> Arrays:
    """Return everything of a segment but its summary, as arrays `GROUP.values`, `GROUP.spread`, `GROUP.bound`,
    `GROUP.size` and, of groups whose readings are judged by themselves, `GROUP.median`, of groups of pictures,
    `GROUP.views`; each name starts with `prefix`.
    """
    arrays: Arrays = {}
    for name, group in segment.groups.items():
        arrays[f"{prefix}{name}.values"] = group.values
        arrays[f"{prefix}{name}.spread"] = group.spread
        arrays[f"{prefix}{name}.bound"] = group.bounds.distance
        arrays[f"{prefix}{name}.size"] = group.bounds.size
        if group.reference_median is not None:
            arrays[f"{prefix}{name}.median"] = group.reference_median
        if group.views is not None:
            arrays[f"{prefix}{name}.views"] = group.views
    return arrays


def segment_from_arrays(summary: ClipSummary, groups: Iterable[str], prefix: str, arrays: Arrays) -> Segment:
    """Put a segment together again; raise `KeyError` if an array is missing.

    Parameters
    ----------
    groups : names of its groups
    prefix : that the names of its arrays start with
    """
    found = {}
    for name in groups:
        start = f"{prefix}{name}."
        found[name] = SegmentGroup(
            values=arrays[f"{start}values"],
            spread=arrays[f"{start}spread"],
            reference_median=arrays.get(f"{start}median"),
            bounds=Bounds(np.asarray(arrays[f"{start}bound"]), np.asarray(arrays[f"{start}size"])),
            views=arrays.get(f"{start}views"),
        )
    return Segment(summary, found)
