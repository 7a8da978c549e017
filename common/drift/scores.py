"""Scores of a model, held against reference scores of it: are they worse?

The same statistics as of features: the Wasserstein distance in units of a bound, which is the reference's own variation
from block to block, and a KS test with a margin. Two things differ:

- Only worse counts. Each value of now is replaced by the smaller one of the reference value of the same rank and itself
  (the comonotone minimum), so that both statistics see nothing but what fell.
- A few scores show little, so no p-value is smaller than `SMALLEST_P`: it takes several windows to confirm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from common.drift.calibration import FRAMES_PER_INDEPENDENT, fit_null, ks_p_value, margin
from common.drift.segment import MAD_TO_SIGMA
from common.drift.statistics import kolmogorov_smirnov, sort_reference, wasserstein

Array = npt.NDArray[np.float32]

SMALLEST_P = 0.01


@dataclass(frozen=True, eq=False)
class ScoreReference:
    """Reference scores, prepared for windows of one number of rows.

    Attributes
    ----------
    values : (m, f) scores, each column sorted
    bound : (f,) the distance that their own variation explains
    size : (f,) effective number of rows of a window
    spread : (f,) typical deviation, the unit of the shifts in a verdict
    """

    values: Array
    bound: npt.NDArray[np.float64]
    size: npt.NDArray[np.float64]
    spread: npt.NDArray[np.float64]

    @classmethod
    def fit(cls, values: Array, least: npt.NDArray[np.float64], rows: int) -> ScoreReference | None:
        """Return the reference for windows of `rows` scores; None if it is too short to know its own variation.

        Parameters
        ----------
        values : (m, f) in time order, larger is better
        least : (f,) the smallest loss that matters
        """

        def comparison(rest: npt.NDArray[np.bool_], inside: slice) -> tuple[Array, Array]:
            return values[rest], comonotone_minimum(sort_reference(values[rest]), values[inside])

        null = fit_null(len(values), rows, comparison, minimum_effect=least, pooled=False)
        if null is None:
            return None
        # The rows of a window are taken apart from each other, so each counts as far as the reference's own blocks let
        # it.
        apart = replace(null, window=rows * FRAMES_PER_INDEPENDENT, rows=rows)
        size = apart.effective_sizes(np.zeros(values.shape[1], np.bool_))
        middle = np.median(values, axis=0)
        spread = np.maximum(MAD_TO_SIGMA * np.median(np.abs(values - middle), axis=0), least / 2)
        return cls(sort_reference(values), null.bound, size, spread)


@dataclass(frozen=True, eq=False)
class ScoreComparison:
    """How far the scores of a window lie below a reference.

    Attributes
    ----------
    distances : (f,) Wasserstein distances of what fell
    drift : (f,) drift scores in [0, 1]
    p_values : (f,) of the KS test
    leading : the column that fell most surely
    worse : whether any column is surely worse
    """

    distances: npt.NDArray[np.float64]
    drift: npt.NDArray[np.float64]
    p_values: npt.NDArray[np.float64]
    leading: int
    worse: bool


def compare_scores(reference: ScoreReference, now: Array, *, threshold: float, p_value: float) -> ScoreComparison:
    """Hold the scores of a window against a reference.

    Parameters
    ----------
    now : (n, f), as many rows as the reference was prepared for, in any order
    threshold, p_value : a column is worse with a drift score above `threshold` and a p-value below `p_value`
    """
    lower = comonotone_minimum(reference.values, now)
    distances = wasserstein(reference.values, lower)
    statistic = kolmogorov_smirnov(reference.values, lower, margin(reference.bound))
    p_values = np.maximum(ks_p_value(statistic, reference.size), SMALLEST_P)
    drift = np.clip(1.0 - reference.bound / np.maximum(distances, 1e-12), 0.0, 1.0)
    failing = (drift > threshold) & (p_values < p_value)
    leading = int(np.lexsort((-p_values, drift, failing))[-1])
    return ScoreComparison(distances, drift, p_values, leading, bool(failing.any()))


def comonotone_minimum(reference: Array, now: Array) -> Array:
    """Return (k, f) the smaller one of both samples at each rank, where k is the least common multiple of m and n.

    Parameters
    ----------
    reference : (m, f), each column sorted
    now : (n, f)

    Examples
    --------
    >>> comonotone_minimum(np.array([[0.0], [1.0], [2.0]]), np.array([[5.0], [-1.0]])).ravel().tolist()
    [-1.0, -1.0, -1.0, 1.0, 2.0, 2.0]
    """
    ordered = np.sort(now, axis=0)
    rows = math.lcm(len(reference), len(ordered))
    wide, narrow = (np.repeat(sample, rows // len(sample), axis=0) for sample in (reference, ordered))
    return np.asarray(np.minimum(wide, narrow), np.float32)
