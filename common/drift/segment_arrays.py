"""A segment as named arrays, for storage."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from common.drift.manifest import ClipSummary
from common.drift.segment import Bounds, Segment

Arrays = dict[str, npt.NDArray[Any]]

_COLUMNS = ("embedding", "embedding_spread", "quality", "quality_spread", "reference_median")


def segment_arrays(segment: Segment, prefix: str) -> Arrays:
    """Return everything of a segment but its summary; each name starts with `prefix`."""
    arrays: Arrays = {f"{prefix}{column}": getattr(segment, column) for column in _COLUMNS}
    for group, bounds in (("embedding", segment.embedding_bounds), ("quality", segment.quality_bounds)):
        arrays[f"{prefix}{group}_bound"] = bounds.distance
        arrays[f"{prefix}{group}_size"] = bounds.size
    return arrays


def segment_from_arrays(summary: ClipSummary, prefix: str, arrays: Arrays) -> Segment:
    """Put a segment together again; raise `KeyError` if an array is missing."""
    columns = {column: arrays[f"{prefix}{column}"] for column in _COLUMNS}
    return Segment(
        summary=summary,
        **columns,
        embedding_bounds=Bounds(
            np.asarray(arrays[f"{prefix}embedding_bound"]), np.asarray(arrays[f"{prefix}embedding_size"])
        ),
        quality_bounds=Bounds(
            np.asarray(arrays[f"{prefix}quality_bound"]), np.asarray(arrays[f"{prefix}quality_size"])
        ),
    )
