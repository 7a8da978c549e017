"""When consecutive FAILs become a confirmed alarm, at a stated false-alarm rate per camera and day.

A camera yields thousands of windows per day, and some of them fail by chance.
The p-values of consecutive FAILs are therefore multiplied. A run of FAILs is
confirmed once the product is so small that chance alone reaches it at most a
given number of times per day. A gross fault is confirmed by its first windows,
a faint one by a few more.

Windows overlap. A window that shares frames with the previous FAIL contributes
only in proportion to its new frames, as if its evidence were spread evenly over
its frames.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.special import gammaincc

DAY_SECONDS = 86_400.0
_NEGLIGIBLE = 1e-15
_SMALLEST_P = 1e-12  # smaller p-values depend more on the asymptotic formula than on the footage


@dataclass(frozen=True)
class Run:
    """Consecutive windows of a stream that fail, without one between them that does not.

    Attributes
    ----------
    since : position in the stream of the first frame of the first failed window
    stop : position after the last frame of the last failed window
    evidence : minus the natural logarithm of the product of the p-values
    """

    since: int
    stop: int
    evidence: float


def evidence_needed(false_alarms_per_day: float, p_value: float, frames: int, frames_per_second: float) -> float:
    """Return the evidence at which a run is confirmed.

    If the p-values of clean windows are uniform and independent, runs of clean
    windows reach it `false_alarms_per_day` times per day.

    Parameters
    ----------
    false_alarms_per_day : allowed rate per camera
    p_value : a window fails only below this p-value
    frames : frames per window
    frames_per_second : sampled frames per second of the stream

    Examples
    --------
    >>> round(evidence_needed(1.0, 0.05, 48, 5.0), 1)  # 9,000 windows per day
    11.9
    """
    from scipy.optimize import brentq  # imported late: it takes 0.2 s, and embedding workers never need it

    windows_per_day = DAY_SECONDS * max(frames_per_second, 1e-6) / frames
    allowed = false_alarms_per_day / windows_per_day
    if p_value <= 0.0 or allowed >= alarm_rate(0.0, p_value):
        return 0.0
    high = 1.0
    while alarm_rate(high, p_value) > allowed:
        high *= 2.0
    return float(brentq(lambda evidence: alarm_rate(evidence, p_value) - allowed, 0.0, high, xtol=1e-6))


def alarm_rate(evidence: float, p_value: float) -> float:
    """Return the share of clean windows at which a run reaches `evidence`.

    L clean windows fail in a row with probability p_value ** L. Given that a
    clean window fails, its evidence is ln(1 / p_value) plus a standard
    exponential variable. The evidence of L of them is therefore
    L ln(1 / p_value) plus a gamma variable of shape L.
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


def update_run(run: Run | None, *, failed: bool, p_value: float, start: int, stop: int) -> Run | None:
    """Return the stream's run after its next verdict; None after a PASS.

    Parameters
    ----------
    run : the run before the verdict, or None
    failed, p_value : of the verdict
    start, stop : positions of the window's first frame and of the frame after its last
    """
    if not failed:
        return None
    evidence = -math.log(max(p_value, _SMALLEST_P))
    if run is None:
        return Run(start, stop, evidence)
    new_share = min(stop - run.stop, stop - start) / (stop - start)
    return Run(run.since, stop, run.evidence + evidence * max(new_share, 0.0))
