"""Two-sample distances, exact, for all features at once.

Samples are arrays of shape (n_frames, n_features). A reference is sorted once
along its frames and then compared with many windows.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from common.errors import BadMessage

Array = npt.NDArray[np.floating]


def sort_reference(sample: Array) -> npt.NDArray[np.float32]:
    """Return `sample` sorted along its frames, each feature by itself; raise `BadMessage` if it is empty or has NaN."""
    _check(sample)
    return np.sort(np.asarray(sample, np.float32), axis=0)


def wasserstein(reference: Array, window: Array) -> npt.NDArray[np.float64]:
    """Return the Wasserstein-1 distance of each feature between a sorted reference and a window.

    With both quantile functions constant between the merged grid of k / n and
    k / m, the integral of their difference is a sum over that grid.

    Parameters
    ----------
    reference : (m, f), sorted along its frames
    window : (n, f), in any order

    Returns
    -------
    (f,) float64

    Examples
    --------
    >>> wasserstein(np.array([[0.0], [1.0]]), np.array([[5.0], [6.0]]))
    array([5.])
    """
    _check(window)
    ordered = np.sort(np.asarray(window, np.float32), axis=0)
    m, n = len(reference), len(ordered)
    # Integers, so that equal grid points of the two samples are equal: i / m = j / n exactly when i n = j m.
    grid = np.unique(np.concatenate([np.arange(m + 1) * n, np.arange(n + 1) * m]))
    widths = np.diff(grid) / (m * n)
    left = grid[:-1]
    gaps = np.abs(reference[left // n].astype(np.float64) - ordered[left // m])
    return np.asarray(widths @ gaps, np.float64)


def kolmogorov_smirnov(
    reference: Array, window: Array, margin: float | npt.NDArray[np.float64] = 0.0
) -> npt.NDArray[np.float64]:
    """Return the two-sample Kolmogorov-Smirnov statistic of each feature; ties are counted on both sides.

    With a margin, the question is whether the window lies farther off than that:
    the one-sided statistics are taken after moving the window towards the
    reference by the margin, from above and from below, and the larger one counts.

    Parameters
    ----------
    reference : (m, f), sorted along its frames
    window : (n, f), in any order
    margin : 0 or more, in the features' units, one for all or (f,)

    Returns
    -------
    (f,) float64 in [0, 1]

    Examples
    --------
    >>> kolmogorov_smirnov(np.array([[0.0], [1.0]]), np.array([[5.0], [6.0]]))
    array([1.])
    >>> kolmogorov_smirnov(np.array([[0.0], [1.0]]), np.array([[5.0], [6.0]]), margin=9.0)
    array([0.])
    """
    _check(window)
    ordered = np.sort(np.asarray(window, np.float32), axis=0)
    margins = np.broadcast_to(np.asarray(margin, np.float32), ordered.shape[1])
    m, n = len(reference), len(ordered)
    result = np.empty(reference.shape[1])
    for feature in range(reference.shape[1]):
        column, values = reference[:, feature], ordered[:, feature]
        up_to = np.searchsorted(values, values, side="right") / n
        below = np.searchsorted(values, values, side="left") / n
        # Between two neighbouring points of the window its share stands still while the reference's grows, so the
        # difference is largest at a point of the window or just before one.
        lower, upper = values - margins[feature], values + margins[feature]
        above = np.searchsorted(column, lower, side="left") / m - below
        under = up_to - np.searchsorted(column, upper, side="right") / m
        result[feature] = max(float(above.max()), float(under.max()), 0.0)
    return result


def _check(sample: Array) -> None:
    if sample.ndim != 2 or len(sample) == 0:
        raise BadMessage(f"features must be (frames, features) with at least one frame, these are {sample.shape}")
    if not np.isfinite(sample).all():
        raise BadMessage("features contain NaN or infinity: the frames they came from cannot be judged")
