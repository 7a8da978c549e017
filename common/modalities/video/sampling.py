"""Sampling: a pure function of presentation timestamps.

Tick k lies k / sample_fps seconds after the first frame. Between each tick and
the next, the first key frame is sampled, or the first frame if there is no key
frame. Key frames are preferred because they are decoded by themselves, while any
other frame requires all frames that it references. A gap in the footage does not
repeat a frame. The rule depends on timestamps alone, so a part of a video is
sampled like the whole, wherever reading starts.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import numpy.typing as npt

TimestampArray = npt.NDArray[np.int64]
"""Presentation timestamps, in units of a time base."""

# Seconds. Containers round timestamps (Matroska to a millisecond), so a frame may precede its tick by this much.
_ROUNDING = Fraction(1, 1000)
_MAX_DENOMINATOR = 100_000  # of a rate as a fraction, so that 29.97 becomes 2997 / 100
_SAME_RATE = Fraction(999, 1000)  # a request for 29.97 from a stream of 30000 / 1001 means every frame


def select(pts: TimestampArray, keys: TimestampArray, time_base: Fraction, sample_fps: float | None) -> TimestampArray:
    """Return those of `pts` that are sampled.

    Parameters
    ----------
    pts : (n,) int64, ascending; presentation timestamps of all frames, in units of `time_base`
    keys : (k,) int64, ascending; those of the key frames
    time_base : seconds per unit
    sample_fps : sampled frames per second; None, or at least the stream's own rate: every frame

    Examples
    --------
    >>> select(np.arange(10), np.array([0, 4]), Fraction(1, 10), 4.0).tolist()
    [0, 4, 5, 8]
    """
    if sample_fps is None or len(pts) == 0:
        return pts
    rate = Fraction(sample_fps).limit_denominator(_MAX_DENOMINATOR)
    if len(pts) > 1:
        interval = Fraction(float(np.median(np.diff(pts)))) * time_base
        if rate * interval >= _SAME_RATE:
            return pts
    # Integer arithmetic is exact; with floats, rounding would decide about frames that lie on a tick.
    scale, first = rate * time_base, int(pts[0])
    early = (_ROUNDING * rate).numerator, (_ROUNDING * rate).denominator
    up, down = scale.numerator * early[1], scale.denominator * early[1]
    ahead = early[0] * scale.denominator
    ticks = np.array([((p - first) * up + ahead) // down for p in pts.tolist()], dtype=np.int64)
    firsts = np.flatnonzero(np.append(True, ticks[1:] > ticks[:-1]))
    chosen = pts[firsts]
    at = np.searchsorted(keys, chosen)
    near = keys[np.minimum(at, len(keys) - 1)] if len(keys) else chosen
    stops = np.append(chosen[1:], pts[-1] + 1)
    return np.where((near >= chosen) & (near < stops), near, chosen)
