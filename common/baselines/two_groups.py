"""Segments of before 0.4, of baselines and conditions: arrays of the two groups of video, named as then."""

from __future__ import annotations

from common.contracts.feature_groups import FeatureGroup
from common.drift.segment_arrays import Arrays
from common.modalities.video.groups import EMBEDDING, embedding_group, quality_group

_ARRAYS = {
    "embedding": "embedding.values",
    "embedding_spread": "embedding.spread",
    "embedding_bound": "embedding.bound",
    "embedding_size": "embedding.size",
    "quality": "quality.values",
    "quality_spread": "quality.spread",
    "quality_bound": "quality.bound",
    "quality_size": "quality.size",
    "reference_median": "quality.median",
}


def groups(
    embedding_size: int, sensor_names: tuple[str, ...], minimum_effects: tuple[float, ...]
) -> tuple[FeatureGroup, ...]:
    """Return the declarations of the two groups."""
    return embedding_group(embedding_size), quality_group(sensor_names, minimum_effects, steps_of=EMBEDDING)


def renamed(arrays: Arrays) -> Arrays:
    """Return the arrays of segments under the names of this version; the prefix before a dot stays."""
    found: Arrays = {}
    for name, array in arrays.items():
        prefix, dot, column = name.rpartition(".")
        found[f"{prefix}{dot}{_ARRAYS.get(column, column)}"] = array
    return found
