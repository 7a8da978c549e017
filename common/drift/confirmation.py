"""When FAILs add up to an alarm: few enough false ones a camera-day.

A window that fails by accident is one of thousands that a camera gives a day.
FAILs that follow each other are multiplied: a run of them is confirmed once the
product of its p-values is one that accidents reach at most so many times a day.
A gross fault is confirmed by its first windows, a faint one by a few more.

Windows overlap. One that shares part of its frames with the FAIL before it
counts for the share that is new, as if its evidence were spread over its frames.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.special import gammaincc

DAY_SECONDS = 86_400.0
_NEGLIGIBLE = 1e-15
_SMALLEST_P = 1e-12  # beyond it, a p-value says more about the formula than about the footage


@dataclass(frozen=True)
class Run:
    """FAILs without a PASS between them.

    Attributes
    ----------
    since : position in the stream of the first failed window's first frame
    stop : position after the last failed window
    evidence : minus the natural logarithm of the p-values' product
    """

    since: int
    stop: int
    evidence: float


def evidence_needed(false_alarms_per_day: float, p_value: float, frames: int, frames_per_second: float) -> float:
    """Return the evidence that confirms a run.

    With p-values as they should be, uniform and independent from window to
    window, runs of accidents reach it `false_alarms_per_day` times a day.

    Parameters
    ----------
    false_alarms_per_day : allowed, a camera
    p_value : a FAIL has a smaller one
    frames : a window
    frames_per_second : sampled, of the stream

    Examples
    --------
    >>> round(evidence_needed(1.0, 0.05, 48, 5.0), 1)  # 9,000 windows a day
    11.9
    """
    from scipy.optimize import brentq  # embedding workers never come here, and its import takes a fifth of a second

    windows_per_day = DAY_SECONDS * max(frames_per_second, 1e-6) / frames
    allowed = false_alarms_per_day / windows_per_day
    if p_value <= 0.0 or allowed >= alarm_rate(0.0, p_value):
        return 0.0
    high = 1.0
    while alarm_rate(high, p_value) > allowed:
        high *= 2.0
    return float(brentq(lambda evidence: alarm_rate(evidence, p_value) - allowed, 0.0, high, xtol=1e-6))


def alarm_rate(evidence: float, p_value: float) -> float:
    """Return how often a window without any fault is the one that brings its run to `evidence`.

    The evidence of an accident is ln(1 / p_value) and an exponential variable
    more, so that of L in a row is that many times the first and a gamma
    variable more; and L in a row happen with probability p_value ** L.
    """
    p_value = min(p_value, 1.0 - 1e-9)
    least = -math.log(p_value)
    rate, reached, length = 0.0, 0.0, 0
    while reached < 1.0 and p_value**length > _NEGLIGIBLE:
        length += 1
        beyond = evidence - length * least
        now = 1.0 if beyond <= 0 else float(gammaincc(length, beyond))
        rate += p_value**length * (now - reached)
        reached = now
    return rate


def follow(run: Run | None, *, failed: bool, p_value: float, start: int, stop: int) -> Run | None:
    """Return the run after the next verdict of the stream, None where there is none.

    Parameters
    ----------
    failed, p_value : of the verdict on frames `start` to `stop` of the stream
    """
    if not failed:
        return None
    strength = -math.log(max(p_value, _SMALLEST_P))
    if run is None:
        return Run(start, stop, strength)
    fresh = min(stop - run.stop, stop - start) / (stop - start)
    return Run(run.since, stop, run.evidence + strength * max(fresh, 0.0))
