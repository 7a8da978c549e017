"""Confidence bounds of mean differences, by the method of batch means.

Neighbouring examples are correlated, means of contiguous blocks of them much less so. The bounds are Student's t,
one-sided, 95%, over the means of up to eight blocks.
"""

from __future__ import annotations

import numpy as np

from common.features import FloatArray

_CONFIDENCE = 0.95  # of each one-sided bound
_BLOCKS = 8


def lower_bound(differences: FloatArray) -> float:
    """Return the lower one-sided 95% confidence bound of the mean of paired differences (n,), n at least 2."""
    blocks, variance = _error(differences)
    return mean(differences) - _quantile(blocks) * float(np.sqrt(variance))


def lower_bound_of_excess(one: FloatArray, other: FloatArray) -> float:
    """Return the lower one-sided 95% bound of how much the mean of `one` (n,) exceeds that of `other` (m,).

    The samples are independent of each other, their variances may differ; n and m at least 2. The degrees of freedom
    are those of the sample with fewer blocks, which is on the safe side of Welch's.
    """
    (blocks, variance), (others, variance_of_other) = _error(one), _error(other)
    error = float(np.sqrt(variance + variance_of_other))
    return mean(one) - mean(other) - _quantile(min(blocks, others)) * error


def mean(values: FloatArray) -> float:
    """Return the mean of values (n,) in double precision; 0 if there are none."""
    return float(np.mean(values, dtype=np.float64)) if len(values) else 0.0


def _error(values: FloatArray) -> tuple[int, float]:
    """Return the number of blocks, and the variance of the mean that their means suggest."""
    blocks = np.array_split(np.asarray(values, np.float64), min(_BLOCKS, len(values)))
    means = np.array([block.mean() for block in blocks])
    return len(means), float(means.var(ddof=1)) / len(means)


def _quantile(blocks: int) -> float:
    from scipy.special import stdtrit  # a tenth of a second to import, which every command would wait for

    return float(stdtrit(blocks - 1, _CONFIDENCE))
