"""The null distribution: how far windows of golden footage lie from the rest of their own clip.

Frames of video are not independent. Shuffling frames, or splitting them at
random, therefore gives a null that is far too narrow, and every window fails.
Here contiguous windows of a clip are compared with the rest of the clip, with a
guard gap left out on both sides of the window.

SciPy is imported when it computes: it takes a tenth of a second, which most processes need not wait for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.drift.statistics import kolmogorov_smirnov, sort_reference, wasserstein

Array = npt.NDArray[np.float32]

_GUARD_SHARE = 0.5  # of a window is left out on each side: neighbouring frames are nearly identical
_MAX_WINDOWS = 48  # more windows overlap so much that they add computing time and no information
_MIN_REST = 8  # frames that must remain to compare a window with
_UPPER_SHARE, _UPPER_TAIL = 0.9, 0.1
MARGIN_SHARE = 0.75
"""The margin of the KS test, as a share of the bound."""
_TINY = 1e-6
FRAMES_PER_INDEPENDENT = 4
"""At most every fourth frame counts as independent, whatever the null says."""

Comparison = Callable[[npt.NDArray[np.bool_], slice], tuple[Array, Array]]
"""Maps (frames of the rest, frames of the window) to the columns of each; reference medians come from the rest."""


@dataclass(frozen=True)
class Null:
    """Distances of a clip's own windows from the rest of the clip.

    Attributes
    ----------
    bound : (f,) the distance that the clip's own variation explains: the largest Wasserstein distance of its windows
        times `widening_factor`, and at least the minimum effect
    kolmogorov : (n_windows, f) KS statistics, with a margin of `MARGIN_SHARE` times the bound
    window : frames per window
    rows : the fewest rows of the group in one of the windows; as many as frames if it has a row for every frame
    """

    bound: npt.NDArray[np.float64]
    kolmogorov: npt.NDArray[np.float64]
    window: int
    rows: int

    def effective_sizes(self, constant: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        """Return (f,) effective sample sizes: how many independent frames one window is worth.

        For n independent frames the KS statistic is K / sqrt(n), where K has
        Kolmogorov's distribution. The effective size is the n at which the
        median and the 90% quantile of K / sqrt(n) are as large as those of the
        null. The null's statistic is the largest over all columns, so p-values
        are corrected for all columns together, however they are correlated
        (single-step max-T procedure, Westfall and Young, 1993).

        Parameters
        ----------
        constant : (f,) columns that never changed in the clip; for these every frame of a window counts
        """
        from scipy.special import kolmogi

        largest = self.kolmogorov.max(axis=1)
        middle, upper = max(float(np.median(largest)), _TINY), max(float(np.quantile(largest, _UPPER_SHARE)), _TINY)
        most = min(self.window / FRAMES_PER_INDEPENDENT, self.rows)
        size = min((float(kolmogi(0.5)) / middle) ** 2, (float(kolmogi(_UPPER_TAIL)) / upper) ** 2, most)
        return np.where(constant, float(self.window), size)


def margin(bound: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return (f,) the margin of the KS test: `MARGIN_SHARE` (three quarters) of the bound.

    Features of a static scene hardly vary and stay correlated for minutes.
    Without a margin, the KS statistic of any two windows of such footage is
    large although nobody can see a difference. The null is then so wide that
    no real change is significant.
    """
    return np.asarray(bound * MARGIN_SHARE, np.float64)


def widening_factor(frames: int, window: int) -> float:
    """Return 1 + 1 / sqrt(frames / window), by which the largest distance of a short clip is widened.

    The fewer windows a clip holds, the farther the largest distance among them
    falls short of the largest that longer footage would show.
    """
    return 1.0 + 1.0 / float(np.sqrt(max(frames / window, 1e-9)))


def null_starts(frames: int, window: int) -> list[int]:
    """Return the first frames of those windows of a clip that are compared with the rest of it."""
    last = frames - window
    step = max(1, window // 4, last // _MAX_WINDOWS)
    return [start for start in range(0, last + 1, step) if frames - _left_out(start, frames, window) >= _MIN_REST]


def _left_out(start: int, frames: int, window: int) -> int:
    """Return how many frames the window and its guard gaps take from the clip."""
    guard = int(window * _GUARD_SHARE)
    return min(frames, start + window + guard) - max(0, start - guard)


def fit_null(
    frames: int, window: int, comparison: Comparison, *, minimum_effect: npt.NDArray[np.float64], pooled: bool
) -> Null | None:
    """Return the null of one clip, or None if the clip is too short for a single window and a rest.

    Parameters
    ----------
    frames : length of the clip
    window : frames per window
    comparison : returns the columns of the rest and of the window; windows in which either has no row are left out
    minimum_effect : (f,), or (1,) if pooled: the smallest bound
    pooled : average the distances over all columns, so that the null has a single column
    """
    pairs = []
    guard = int(window * _GUARD_SHARE)
    for start in null_starts(frames, window):
        rest = np.ones(frames, np.bool_)
        rest[max(0, start - guard) : start + window + guard] = False
        outside, inside = comparison(rest, slice(start, start + window))
        if len(outside) and len(inside):
            pairs.append((sort_reference(outside), inside))
    if not pairs:
        return None
    distances = np.array([_pool(wasserstein(rest, inside), pooled) for rest, inside in pairs])
    bound = np.maximum(distances.max(axis=0) * widening_factor(frames, window), minimum_effect)
    statistics = [_pool(kolmogorov_smirnov(rest, inside, margin(bound)), pooled) for rest, inside in pairs]
    return Null(bound, np.array(statistics), window, min(len(inside) for _, inside in pairs))


def _pool(values: npt.NDArray[np.float64], pooled: bool) -> npt.NDArray[np.float64]:
    return values.mean(keepdims=True) if pooled else values


def novelty_p_value(novel: npt.NDArray[np.int64], window: int, reference: int) -> npt.NDArray[np.float64]:
    """Return (f,) p-values of k novel frames in a window, for columns that are constant in the reference.

    Fisher's exact test: if window and reference came from the same source, the
    probability that all k deviating frames fall into the window is
    C(window, k) / C(reference + window, k).

    Parameters
    ----------
    novel : (f,) frames of the window whose value the reference never takes, k
    window, reference : frames of each
    """
    from scipy.special import gammaln

    both = reference + window
    return np.asarray(
        np.exp(gammaln(window + 1) - gammaln(window - novel + 1) - gammaln(both + 1) + gammaln(both - novel + 1)),
        np.float64,
    )


def ks_p_value(statistic: npt.NDArray[np.float64], effective_size: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the p-values of KS statistics at effective sample sizes n.

    Kolmogorov's asymptotic distribution at D (sqrt(n) + 0.12 + 0.11 / sqrt(n)),
    Stephens' correction for small samples (Stephens, 1970).
    """
    from scipy.special import kolmogorov

    root = np.sqrt(effective_size)
    return np.asarray(kolmogorov(statistic * (root + 0.12 + 0.11 / np.maximum(root, 1e-9))), np.float64)
