"""Exact two-sample distances, computed for all features at once.

Samples have the shape (n_frames, n_features). A reference is sorted once, each
feature by itself, and then compared with many windows.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from common.errors import BadMessage

Array = npt.NDArray[np.floating]

_BLOCK = 128  # columns per step, so that its working set fits the processor's cache


def sort_reference(sample: Array) -> npt.NDArray[np.float32]:
    """Return `sample` (m, f) with each feature sorted by itself and contiguous in memory.

    Raises
    ------
    BadMessage
        If the sample is empty or not finite.
    """
    _check(sample)
    return np.sort(np.ascontiguousarray(np.asarray(sample, np.float32).T), axis=1).T


def wasserstein(reference: Array, window: Array) -> npt.NDArray[np.float64]:
    """Return the Wasserstein-1 distance between a sorted reference and a window, for each feature.

    The distance is the integral of the absolute difference of the two quantile
    functions. Both are constant between neighbouring points of the merged grid
    of all i / m and j / n, so the integral is a sum over that grid.

    Parameters
    ----------
    reference : (m, f), from `sort_reference`
    window : (n, f), frames in any order

    Returns
    -------
    (f,) float64

    Raises
    ------
    BadMessage
        If the window is empty or not finite.

    Examples
    --------
    >>> wasserstein(np.array([[0.0], [1.0]]), np.array([[5.0], [6.0]]))
    array([5.])
    """
    _check(window)
    ordered = np.sort(np.asarray(window, np.float32), axis=0)
    m, n = len(reference), len(ordered)
    # Integers i n and j m instead of i / m and j / n, so that equal grid points compare as equal.
    grid = np.unique(np.concatenate([np.arange(m + 1) * n, np.arange(n + 1) * m]))
    widths = np.diff(grid) / (m * n)
    left = grid[:-1]
    rows, window_rows = left // n, left // m
    distances = np.empty(ordered.shape[1], np.float64)
    for start in range(0, ordered.shape[1], _BLOCK):
        block = slice(start, start + _BLOCK)
        gaps = np.ascontiguousarray(reference[:, block], np.float32)[rows]
        gaps -= np.ascontiguousarray(ordered[:, block])[window_rows]
        distances[block] = widths @ np.abs(gaps, out=gaps)
    return distances


def kolmogorov_smirnov(
    reference: Array, window: Array, margin: float | npt.NDArray[np.float64] = 0.0
) -> npt.NDArray[np.float64]:
    """Return the two-sample Kolmogorov-Smirnov statistic of each feature; ties are handled exactly.

    With a margin, only differences larger than the margin count. The one-sided
    statistics are computed with the window moved down by the margin and moved
    up by it, and the larger one is returned.

    Parameters
    ----------
    reference : (m, f), from `sort_reference`
    window : (n, f), frames in any order
    margin : at least 0, in the units of the features; one for all, or (f,)

    Returns
    -------
    (f,) float64 in [0, 1]

    Raises
    ------
    BadMessage
        If the window is empty or not finite.

    Examples
    --------
    >>> kolmogorov_smirnov(np.array([[0.0], [1.0]]), np.array([[5.0], [6.0]]))
    array([1.])
    >>> kolmogorov_smirnov(np.array([[0.0], [1.0]]), np.array([[5.0], [6.0]]), margin=9.0)
    array([0.])
    """
    _check(window)
    # One row per feature, so that each search stays within contiguous memory.
    columns = np.ascontiguousarray(np.asarray(reference, np.float32).T)
    ordered = np.sort(np.ascontiguousarray(np.asarray(window, np.float32).T), axis=1)
    margins = np.broadcast_to(np.asarray(margin, np.float32), len(ordered))[:, None]
    m, n = columns.shape[1], ordered.shape[1]
    below, up_to = _own_counts(ordered)
    # Between neighbouring points of the window its distribution function is constant and the reference's grows, so
    # the difference is largest at a point of the window or just before one. Integer counts avoid rounding.
    above = _count_below(columns, ordered - margins, "left") * n - below * m
    under = up_to * m - _count_below(columns, ordered + margins, "right") * n
    return np.asarray(np.maximum(np.maximum(above.max(axis=1), under.max(axis=1)), 0) / (m * n), np.float64)


def _own_counts(ordered: Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return, for each value of sorted rows (f, n), how many values of its row are smaller, and how many not larger."""
    count = ordered.shape[1]
    ranks = np.arange(count, dtype=np.int64)
    steps = ordered[:, 1:] != ordered[:, :-1]
    below, last = np.broadcast_to(ranks, ordered.shape), np.broadcast_to(ranks, ordered.shape)
    if not steps.all():
        below, last = below.copy(), last.copy()
        below[:, 1:] *= steps
        np.maximum.accumulate(below, axis=1, out=below)
        last[:, :-1][~steps] = count - 1
        last = np.minimum.accumulate(last[:, ::-1], axis=1)[:, ::-1]
    return below, last + 1


def _count_below(columns: Array, values: Array, side: Literal["left", "right"]) -> npt.NDArray[np.int64]:
    """Return, for each of `values` (f, n), how many of the same sorted row of `columns` (f, m) are smaller ("left")
    or not larger ("right")."""
    counts = np.empty(values.shape, np.int64)
    for column, row, count in zip(columns, values, counts, strict=True):
        count[:] = column.searchsorted(row, side)
    return counts


def _check(sample: Array) -> None:
    if sample.ndim != 2 or len(sample) == 0:
        raise BadMessage(f"features must be (frames, features) with at least one frame, these are {sample.shape}")
    if not np.isfinite(sample).all():
        raise BadMessage("features contain NaN or infinity: the frames they came from cannot be judged")
