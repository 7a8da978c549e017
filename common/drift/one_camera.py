"""Detects bursts of two cameras among those of one: they have no common normal state."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from common.contracts.feature_groups import FeatureGroup, GroupKind
from common.drift.bursts import Array, Burst
from common.drift.scene_change import Mixture, two_scenes_in
from common.errors import BadBaseline

_FEWEST = 8  # bursts by the same kind of light; fewer cannot be told apart from weather
_SEPARATE = 0.6  # share of all variance that a change of camera explains; a change of weather explains far less
_SHORTEST = 3  # bursts of a stretch of one camera


def check_one_camera(bursts: Sequence[Burst], groups: Sequence[FeatureGroup]) -> None:
    """Raise `BadBaseline` if bursts show two scenes in turn, or one after the other.

    Bursts in colour and by infra-red light are looked at apart, for they are no two scenes. Only joint groups are
    looked at.
    """
    for infrared in (False, True):
        alike = sorted((b for b in bursts if b.moment.infrared is infrared), key=lambda burst: burst.moment.taken_at)
        if len(alike) < _FEWEST:
            continue
        for group in groups:
            if group.kind is not GroupKind.JOINT:
                continue
            vectors = _means(alike, group)
            found = two_scenes_in(vectors, _SHORTEST)
            if found is not None and (found[0] is Mixture.ALTERNATING or _explained(vectors, found[1]) > _SEPARATE):
                raise BadBaseline(_in_words(alike, *found))


def _means(bursts: Sequence[Burst], group: FeatureGroup) -> Array:
    return np.array([burst.groups[group.name].readings.mean(axis=0) for burst in bursts], np.float32)


def _explained(vectors: Array, first: int) -> float:
    """Return the share of the variance of vectors (n, f) that a change of their mean at `first` explains."""
    means = np.concatenate(
        [np.repeat(part.mean(axis=0, keepdims=True), len(part), axis=0) for part in (vectors[:first], vectors[first:])]
    )
    total = float(np.square(vectors - vectors.mean(axis=0)).sum())
    return 1.0 - float(np.square(vectors - means).sum()) / max(total, 1e-12)


def _in_words(bursts: Sequence[Burst], mixture: Mixture, first: int) -> str:
    if mixture is Mixture.ALTERNATING:
        return (
            f"the footage alternates between two scenes, first between {bursts[first - 1].source} and "
            f"{bursts[first].source}: build a baseline for each camera"
        )
    return (
        f"the footage shows another scene from {bursts[first].source} on: of two cameras, build a baseline each; if "
        "the camera was moved, give the days since then"
    )
