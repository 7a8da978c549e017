"""Detects golden clips that show two scenes: a clip of two cameras has no single normal state.

Along the direction of largest variance of the embeddings, frames are split into
the two groups that explain the variance best. In footage of one scene the
frames move back and forth between the groups. Two cameras one after the other
change groups once, in a step larger than any other in the clip. Two cameras
interleaved frame by frame change groups all the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from common.contracts.feature_groups import FeatureGroup, GroupKind
from common.features import FeatureBlock, FloatArray

_STEP_RATIO = 2.0  # of a change of scenes to the step between frames
_TYPICAL_STEP = 0.95  # quantile of the steps between consecutive frames
_ALTERNATING = 0.25  # share of frames at which the group changes
_ITERATIONS = 30
_SEPARATE = 0.93  # share of the variance along the direction that the groups explain


class Mixture(StrEnum):
    """How two scenes are mixed in a clip."""

    CONSECUTIVE = "one after the other"
    ALTERNATING = "alternating"


def two_scenes(block: FeatureBlock, groups: Sequence[FeatureGroup], shortest: int) -> tuple[Mixture, int] | None:
    """Return how a clip mixes two scenes, and the first frame of the second one; None for a single scene.

    Only joint groups are looked at: in a clip without any, no scenes are told apart.

    Parameters
    ----------
    block : features of the clip, frames in order
    groups : the groups of the clip's modality
    shortest : frames that each scene must last
    """
    for group in groups:
        if group.kind is not GroupKind.JOINT:
            continue
        at = block.frames_of(group.name)
        rows = -(-shortest * len(at) // max(len(block), 1))  # in the group's own rows, rounded up
        if found := _two_scenes(block.groups[group.name], rows):
            return found[0], int(at[found[1]])
    return None


def _two_scenes(embedding: FloatArray, shortest: int) -> tuple[Mixture, int] | None:
    count = len(embedding)
    if count < 2 * max(shortest, 2):
        return None
    group, explained = split_in_two(embedding)
    changes = np.flatnonzero(group[1:] != group[:-1]) + 1
    if len(changes) >= _ALTERNATING * count and explained > _SEPARATE:
        return Mixture.ALTERNATING, int(changes[0])
    steps = np.sqrt(np.square(np.diff(embedding, axis=0)).sum(axis=1))
    if len(changes) == 1 and shortest <= changes[0] <= count - shortest:
        typical = float(np.quantile(np.delete(steps, changes[0] - 1), _TYPICAL_STEP))
        if steps[changes[0] - 1] > _STEP_RATIO * max(typical, 1e-9):
            return Mixture.CONSECUTIVE, int(changes[0])
    return None


def split_in_two(vectors: FloatArray) -> tuple[npt.NDArray[np.bool_], float]:
    """Return which of vectors (n, f) are of one of two groups, and the share of the variance that the groups explain,
    along the direction of largest variance."""
    return _two_groups(_first_component(vectors - vectors.mean(axis=0)))


def _first_component(centred: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return the scores (n,) of the first principal component, by power iteration."""
    direction = centred[int(np.argmax(np.square(centred).sum(axis=1)))].astype(np.float64)
    for _ in range(_ITERATIONS):
        direction = centred.T @ (centred @ direction)
        direction /= max(float(np.linalg.norm(direction)), 1e-12)
    return np.asarray(centred @ direction, np.float64)


def _two_groups(values: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.bool_], float]:
    """Return which values (n,) exceed the threshold that explains most of their variance, and the share explained.

    Otsu's method: the threshold maximises the variance between the two groups.
    """
    ordered = np.sort(values)
    n = len(ordered)
    sums = np.cumsum(ordered)
    low = np.arange(1, n)
    between = np.square(sums[-1] * low / n - sums[:-1]) / (low * (n - low))
    best = int(np.argmax(between))
    return values > ordered[best], float(between[best] / max(values.var(), 1e-12))
