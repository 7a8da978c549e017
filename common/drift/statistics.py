"""Two-sample distances, exact, for all features at once.

Samples are arrays of shape (n_frames, n_features). A reference is sorted once
along its frames and then compared with many windows.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from common.errors import BadMessage

Array = npt.NDArray[np.floating]

_BLOCK = 128  # columns at a time: what a step touches stays in the cache


def sort_reference(sample: Array) -> npt.NDArray[np.float32]:
    """Return `sample` sorted along its frames, each feature by itself and contiguous in memory, as it is searched.

    Raises `BadMessage` if it is empty or has NaN.
    """
    _check(sample)
    return np.sort(np.ascontiguousarray(np.asarray(sample, np.float32).T), axis=1).T


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
    # A feature a row: each search stays within one row.
    columns = np.ascontiguousarray(np.asarray(reference, np.float32).T)
    ordered = np.sort(np.ascontiguousarray(np.asarray(window, np.float32).T), axis=1)
    margins = np.broadcast_to(np.asarray(margin, np.float32), len(ordered))[:, None]
    m, n = columns.shape[1], ordered.shape[1]
    below, up_to = _own_counts(ordered)
    # Between two neighbouring points of the window its share stands still while the reference's grows, so the
    # difference is largest at a point of the window or just before one. In whole numbers: no share is rounded.
    above = _count_below(columns, ordered - margins, "left") * n - below * m
    under = up_to * m - _count_below(columns, ordered + margins, "right") * n
    return np.asarray(np.maximum(np.maximum(above.max(axis=1), under.max(axis=1)), 0) / (m * n), np.float64)


def _own_counts(ordered: Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return how many of each sorted row (f, n) lie below each of its values, and how many at or below it."""
    count = ordered.shape[1]
    places = np.arange(count, dtype=np.int64)
    steps = ordered[:, 1:] != ordered[:, :-1]
    below, last = np.broadcast_to(places, ordered.shape), np.broadcast_to(places, ordered.shape)
    if not steps.all():
        below, last = below.copy(), last.copy()
        below[:, 1:] *= steps
        np.maximum.accumulate(below, axis=1, out=below)
        last[:, :-1][~steps] = count - 1
        last = np.minimum.accumulate(last[:, ::-1], axis=1)[:, ::-1]
    return below, last + 1


def _count_below(columns: Array, values: Array, side: Literal["left", "right"]) -> npt.NDArray[np.int64]:
    """Return how many of each sorted row of `columns` (f, m) lie below `values` (f, n) of the same row ("left"), or
    at them too ("right")."""
    counts = np.empty(values.shape, np.int64)
    for column, sought, found in zip(columns, values, counts, strict=True):
        found[:] = column.searchsorted(sought, side)
    return counts


def _check(sample: Array) -> None:
    if sample.ndim != 2 or len(sample) == 0:
        raise BadMessage(f"features must be (frames, features) with at least one frame, these are {sample.shape}")
    if not np.isfinite(sample).all():
        raise BadMessage("features contain NaN or infinity: the frames they came from cannot be judged")
