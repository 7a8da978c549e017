"""A segment as named arrays, for storage."""

from __future__ import annotations

import hashlib
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
    `GROUP.views`; and `interval`, if it is known. Each name starts with `prefix`.
    """
    arrays: Arrays = {}
    if segment.interval is not None:
        arrays[f"{prefix}interval"] = np.array(segment.interval)
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
    interval = arrays.get(f"{prefix}interval")
    return Segment(summary, found, None if interval is None else float(interval))


def digest_of(text: str, arrays: Arrays) -> str:
    """Return the digest of a text and named arrays, by which what is stored is verified: it must not change."""
    digest = hashlib.blake2b(text.encode(), digest_size=16)
    for name, array in sorted(arrays.items()):
        digest.update(f"{name}{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
