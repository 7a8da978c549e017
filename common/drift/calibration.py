"""What golden footage does by itself: the null that a window is held against.

Frames of video are not independent, so shuffling or splitting them at random
gives a null far too narrow, and every window fails. Here contiguous windows of
a clip are compared with the rest of it, a guard gap around them left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln, kolmogi, kolmogorov  # scipy.stats has them too, and takes a third of a second more

from common.drift.statistics import kolmogorov_smirnov, sort_reference, wasserstein

Array = npt.NDArray[np.float32]

_GUARD_SHARE = 0.5  # of a window is left out on either side: neighbouring frames are nearly the same frame
_MOST_WINDOWS = 48  # more overlap so much that they add time and no knowledge
_FEWEST_REST = 8  # frames that must remain to compare a window with
_MEDIAN_K, _UPPER_K = float(kolmogi(0.5)), float(kolmogi(0.1))
_UPPER_SHARE = 0.9
MARGIN_SHARE = 0.75
_TINY = 1e-6
_MOST_DEPENDENT_FRAMES = 4  # never believe more than every fourth frame to be news, whatever the null says

Compared = Callable[[npt.NDArray[np.bool_], slice], tuple[Array, Array]]
"""Given which frames are the rest and which the window, their columns; the rest decides what is reference_median."""


@dataclass(frozen=True)
class Null:
    """Distances of a clip's own windows from the rest of the clip.

    Attributes
    ----------
    bound : (f,) the distance that the clip's own variation explains: the largest Wasserstein distance of its windows,
        widened for what so short a clip cannot have shown, or the minimum effect
    kolmogorov : (n_windows, f) KS statistics with half the bound as margin
    window : frames a window
    """

    bound: npt.NDArray[np.float64]
    kolmogorov: npt.NDArray[np.float64]
    window: int

    def effective_sizes(self, constant: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        """Return (f,) the numbers of independent frames that a comparison amounts to.

        The KS statistic of n independent frames is K / sqrt(n) with K of
        Kolmogorov's distribution. The n for which the null's median and upper
        statistics are as large as they were found is the effective size. The
        statistic is the largest of all columns, so that p-values hold for all
        columns together, however much they have in common (Westfall and Young,
        1993: the single-step max-T procedure).

        Parameters
        ----------
        constant : (f,) which columns never changed in the clip: there each frame that differs is news by itself
        """
        largest = self.kolmogorov.max(axis=1)
        middle, upper = max(float(np.median(largest)), _TINY), max(float(np.quantile(largest, _UPPER_SHARE)), _TINY)
        size = min((_MEDIAN_K / middle) ** 2, (_UPPER_K / upper) ** 2, self.window / _MOST_DEPENDENT_FRAMES)
        return np.where(constant, float(self.window), size)


def margin(bound: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return (f,) the margin of the KS test for a bound: half of what the footage does by itself.

    Footage of a scene at rest has features that hardly move and remember each
    other for minutes. Without a margin any two of its windows are told apart
    for differences that nobody can see, which leaves a KS test no way to call a
    real change significant.
    """
    return np.asarray(bound * MARGIN_SHARE, np.float64)


def widening(frames: int, window: int) -> float:
    """Return the factor for finite footage: with n windows' worth, the largest seen is not the largest there is."""
    return 1.0 + 1.0 / float(np.sqrt(max(frames / window, 1e-9)))


def null_starts(frames: int, window: int) -> list[int]:
    """Return where the windows of a clip start that are judged against the rest of it."""
    last = frames - window
    step = max(1, window // 4, last // _MOST_WINDOWS)
    return [start for start in range(0, last + 1, step) if frames - _hole(start, frames, window) >= _FEWEST_REST]


def _hole(start: int, frames: int, window: int) -> int:
    guard = int(window * _GUARD_SHARE)
    return min(frames, start + window + guard) - max(0, start - guard)


def null_of(
    frames: int, window: int, compared: Compared, *, minimum_effect: npt.NDArray[np.float64], pooled: bool
) -> Null | None:
    """Return the null of one clip, or None if it is too short for any window with a rest.

    Parameters
    ----------
    frames : of the clip
    window : frames a window
    compared : from a rest and a window to their columns
    minimum_effect : (f,), or (1,) if pooled: the smallest bound
    pooled : average the distances over the columns, so that the null has one
    """
    pairs = []
    for start in null_starts(frames, window):
        rest = np.ones(frames, np.bool_)
        guard = int(window * _GUARD_SHARE)
        rest[max(0, start - guard) : start + window + guard] = False
        outside, piece = compared(rest, slice(start, start + window))
        pairs.append((sort_reference(outside), piece))
    if not pairs:
        return None
    distances = np.array([_pool(wasserstein(rest, piece), pooled) for rest, piece in pairs])
    bound = np.maximum(distances.max(axis=0) * widening(frames, window), minimum_effect)
    statistics = [_pool(kolmogorov_smirnov(rest, piece, margin(bound)), pooled) for rest, piece in pairs]
    return Null(bound, np.array(statistics), window)


def _pool(values: npt.NDArray[np.float64], pooled: bool) -> npt.NDArray[np.float64]:
    return values.mean(keepdims=True) if pooled else values


def novelty_p_value(different: npt.NDArray[np.int64], window: int, reference: int) -> npt.NDArray[np.float64]:
    """Return the p-value of so many frames of a window that differ from what no frame of the reference ever left.

    Were all frames alike, the chance that all of them fell into the window:
    C(window, k) / C(reference + window, k), Fisher's exact test.

    Parameters
    ----------
    different : (f,) frames of the window that differ
    window, reference : frames of either
    """
    both = reference + window
    return np.asarray(
        np.exp(
            gammaln(window + 1) - gammaln(window - different + 1) - gammaln(both + 1) + gammaln(both - different + 1)
        ),
        np.float64,
    )


def ks_p_value(statistic: npt.NDArray[np.float64], effective_size: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the p-value of KS statistics at effective sample sizes.

    The asymptotic distribution with Stephens' correction for small samples
    (Stephens 1970: sqrt(n) + 0.12 + 0.11 / sqrt(n)).
    """
    root = np.sqrt(effective_size)
    return np.asarray(kolmogorov(statistic * (root + 0.12 + 0.11 / np.maximum(root, 1e-9))), np.float64)
