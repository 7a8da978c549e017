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
    up_to = _count_below(ordered, ordered, including=True) / n
    below = _count_below(ordered, ordered, including=False) / n
    # Between two neighbouring points of the window its share stands still while the reference's grows, so the
    # difference is largest at a point of the window or just before one.
    above = _count_below(reference, ordered - margins, including=False) / m - below
    under = up_to - _count_below(reference, ordered + margins, including=True) / m
    return np.asarray(np.maximum(np.maximum(above.max(axis=0), under.max(axis=0)), 0.0), np.float64)


def _count_below(columns: Array, values: Array, *, including: bool) -> npt.NDArray[np.int32]:
    """Return how many of each sorted column lie below `values` of the same column, or at them too if `including`.

    A binary search in all columns at once: a call of `searchsorted` for each of a thousand columns takes longer.

    Parameters
    ----------
    columns : (m, f), sorted along their first axis
    values : (n, f)

    Returns
    -------
    (n, f) int32
    """
    size, width = columns.shape
    flat, column = columns.ravel(), np.arange(width, dtype=np.int64)
    counts = np.zeros(values.shape, np.int64)
    step = 1 << size.bit_length()
    while step := step >> 1:
        reach = counts + step
        probe = flat[np.minimum(reach - 1, size - 1) * width + column]
        counts = np.where((reach <= size) & ((probe <= values) if including else (probe < values)), reach, counts)
    return counts.astype(np.int32)


def _check(sample: Array) -> None:
    if sample.ndim != 2 or len(sample) == 0:
        raise BadMessage(f"features must be (frames, features) with at least one frame, these are {sample.shape}")
    if not np.isfinite(sample).all():
        raise BadMessage("features contain NaN or infinity: the frames they came from cannot be judged")
