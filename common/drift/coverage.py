"""How much of a camera's days golden bursts cover, and whether they still need another one."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from common.contracts.coverage import HOURS, Coverage
from common.drift.bursts import DAY_SECONDS, Burst, Moment
from common.drift.learned import NEAR_HOURS, days_of, hours_apart

BURST_SECONDS = 1800.0
"""Capture time between two bursts while a camera is being learned; a burst stands for so much of the day."""
ANCHOR_DAYS = 7
"""On so many days an hour is learned; after that only light that was never seen there is added."""
_SAME_HOUR = 0.5  # hours of the day between bursts that count as one hour
_SAME_LIGHT = 0.15  # natural log, a fifth of a stop
_UPPER = 0.95


def coverage_of(bursts: Sequence[Burst]) -> Coverage:
    """Return what bursts of one camera cover."""
    moments = [burst.moment for burst in bursts]
    seen = {(moment.day, int(moment.hour)) for moment in moments}
    of_day = np.array([moment.hour for moment in moments])
    light = [moment.light for moment in moments]
    taken = [moment.taken_at for moment in moments]
    return Coverage(
        bursts=len(bursts),
        days=days_of(moments),
        hours=tuple(sum(hour == of for _, of in seen) for hour in range(HOURS)),
        known=tuple(bool((hours_apart(of_day, hour + 0.5) <= NEAR_HOURS).any()) for hour in range(HOURS)),
        weekdays=tuple(sum(_weekday(moment) == day for moment in moments) for day in range(7)),
        light_from=min(light, default=None),
        light_to=max(light, default=None),
        colour=any(not moment.infrared for moment in moments),
        infrared=any(moment.infrared for moment in moments),
        taken_from=min(taken, default=None),
        taken_to=max(taken, default=None),
        false_alarms_per_day=false_alarms_held(moments),
    )


def false_alarms_held(moments: Sequence[Moment]) -> float | None:
    """Return the upper 95% bound on false alarms per camera-day, if none of the bursts fails; None without any.

    None of the bursts failed beside those of other days. If each stands for the time until the next, half an hour at
    most, and a false alarm lasts no shorter than that, the rate is below -ln(0.05) = 3.0 per observed time.
    """
    if not moments:
        return None
    taken = np.sort([moment.taken_at for moment in moments])
    seconds = float(np.minimum(np.diff(taken), BURST_SECONDS).sum()) + BURST_SECONDS
    return -math.log(1 - _UPPER) * DAY_SECONDS / seconds


def wants(
    bursts: Sequence[Burst], burst: Burst, *, anchor_days: int = ANCHOR_DAYS, apart: float = BURST_SECONDS
) -> bool:
    """Return whether a camera that is known by `bursts` still has to learn this one.

    An hour is learned on `anchor_days` days, from bursts that are `apart` seconds from each other. After that only a
    light that was never seen at that hour is added, and the first days stay: what creeps in slowly is held against them
    for good. The caller sees to it that it passes.
    """
    moment = burst.moment
    alike = [other.moment for other in bursts if other.moment.infrared == moment.infrared]
    if not alike:
        return True
    taken = np.array([other.taken_at for other in alike])
    hours = hours_apart(np.array([other.hour for other in alike]), moment.hour)
    if (np.abs(taken - moment.taken_at) < apart / 2).any():
        return False
    days = {other.day for other, between in zip(alike, hours, strict=True) if between <= _SAME_HOUR}
    if len(days) < anchor_days:
        return True
    light = np.abs(np.array([other.light for other in alike]) - moment.light)
    return not bool(((hours <= NEAR_HOURS) & (light <= _SAME_LIGHT)).any())


def _weekday(moment: Moment) -> int:
    return (moment.day + 3) % 7  # the epoch began on a Thursday


def hours_text(hours: Sequence[int]) -> str:
    """Return hours of the day as ranges.

    Examples
    --------
    >>> hours_text([0, 1, 2, 7, 22, 23])
    '22-3, 7-8'
    """
    missing = sorted(set(range(HOURS)) - set(hours))
    if not missing:
        return "0-24"
    # Begin behind a gap, so that a range over midnight is one.
    ordered = [(missing[-1] + 1 + step) % HOURS for step in range(HOURS)]
    ranges: list[list[int]] = []
    for hour in ordered:
        if hour not in hours:
            continue
        if ranges and (ranges[-1][1]) % HOURS == hour:
            ranges[-1][1] = hour + 1
        else:
            ranges.append([hour, hour + 1])
    return ", ".join(f"{first}-{last}" for first, last in ranges)
