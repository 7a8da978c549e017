"""Exact confidence bounds of counts: of shares (Clopper and Pearson, 1934) and of events per time (Garwood, 1936).

SciPy is imported when a bound is computed: it takes a tenth of a second, which most processes need not wait for.
"""

from __future__ import annotations

CONFIDENCE = 0.95


def share_bounds(hits: int, count: int) -> tuple[float, float]:
    """Return the two-sided 95% bounds of a share, of which `hits` out of `count` independent trials were seen.

    Examples
    --------
    >>> low, high = share_bounds(0, 99)
    >>> (low, round(high, 3))
    (0.0, 0.037)
    """
    from scipy.special import betaincinv

    tail = (1.0 - CONFIDENCE) / 2.0
    low = float(betaincinv(hits, count - hits + 1, tail)) if hits else 0.0
    high = float(betaincinv(hits + 1, count - hits, 1.0 - tail)) if hits < count else 1.0
    return low, high


def most_share(hits: int, count: int) -> float:
    """Return the one-sided 95% upper bound of a share; 1 if nothing was tried.

    Examples
    --------
    >>> round(most_share(0, 99), 3)
    0.03
    """
    from scipy.special import betaincinv

    return float(betaincinv(hits + 1, count - hits, CONFIDENCE)) if hits < count else 1.0


def most_per_day(events: int, days: float) -> float:
    """Return the one-sided 95% upper bound of the events per day, of which `events` were seen in `days`.

    Examples
    --------
    >>> round(most_per_day(0, 3.0), 2)  # the rule of three
    1.0
    """
    from scipy.special import gammaincinv

    return float(gammaincinv(events + 1, CONFIDENCE)) / max(days, 1e-9)
