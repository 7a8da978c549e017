"""Whether golden footage shows one scene: footage of two cameras in one clip has no reference median state.

Frames are split into the two groups that explain their embeddings best along
the direction of largest variance. One scene wanders between its groups; two
cameras one after the other change once, with a jump that nothing else in the
clip comes near; two cameras frame by frame change all the time.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np
import numpy.typing as npt

from common.features import FeatureBlock

_JUMP = 2.0  # times the step that 19 of 20 neighbouring frames keep below
_ALTERNATING = 0.25  # share of frames at which the group changes
_ITERATIONS = 30
_SEPARATE = 0.93  # share of the variance along the direction that the groups explain


class Mixture(StrEnum):
    """How two scenes are mixed."""

    AFTER_EACH_OTHER = "one after the other"
    ALTERNATING = "alternating"


def two_scenes(block: FeatureBlock, shortest: int) -> tuple[Mixture, int] | None:
    """Return how and from which frame a clip shows two scenes, or None where it shows one.

    Parameters
    ----------
    block : a clip's features, in order
    shortest : frames that either scene must last
    """
    count = len(block)
    if count < 2 * max(shortest, 2):
        return None
    centred = block.embedding - block.embedding.mean(axis=0)
    along = _first_component(centred)
    group, explained = _two_groups(along)
    changes = np.flatnonzero(group[1:] != group[:-1]) + 1
    if len(changes) >= _ALTERNATING * count and explained > _SEPARATE:
        return Mixture.ALTERNATING, int(changes[0])
    steps = np.sqrt(np.square(np.diff(block.embedding, axis=0)).sum(axis=1))
    if len(changes) == 1 and shortest <= changes[0] <= count - shortest:
        reference_median = float(np.quantile(np.delete(steps, changes[0] - 1), 0.95))
        if steps[changes[0] - 1] > _JUMP * max(reference_median, 1e-9):
            return Mixture.AFTER_EACH_OTHER, int(changes[0])
    return None


def _first_component(centred: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return the scores (n,) of the first principal component, by a few power iterations."""
    direction = centred[int(np.argmax(np.square(centred).sum(axis=1)))].astype(np.float64)
    for _ in range(_ITERATIONS):
        direction = centred.T @ (centred @ direction)
        direction /= max(float(np.linalg.norm(direction)), 1e-12)
    return np.asarray(centred @ direction, np.float64)


def _two_groups(values: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.bool_], float]:
    """Return which values (n,) lie above the best threshold, and the share of the variance that this explains."""
    ordered = np.sort(values)
    n = len(ordered)
    sums = np.cumsum(ordered)
    low = np.arange(1, n)
    between = np.square(sums[-1] * low / n - sums[:-1]) / (low * (n - low))
    best = int(np.argmax(between))
    return values > ordered[best], float(between[best] / max(values.var(), 1e-12))
