"""When a packet was taken, by this machine's clock: its presentation timestamp, set by the camera, beside its arrival.

A camera's timestamps are even and begin anywhere; arrivals are true and jitter, for networks hold packets up and never
hurry them. So the least of the latest differences `arrival - timestamp` is the one without delay, and timestamp plus
that difference is when the frame was taken, as nearly as can be told without trusting the camera's own clock.
"""

from __future__ import annotations

_SPAN_SECONDS = 30.0  # two of them are looked back: quartz clocks part by less than 10 ms in that time


class ArrivalClock:
    """Turns a camera's timestamps into times of this machine.

    Examples
    --------
    >>> clock = ArrivalClock()
    >>> for seconds, arrived in [(5.0, 100.3), (6.0, 101.1), (7.0, 102.9)]:
    ...     clock.note(seconds, arrived)
    >>> round(clock.time_of(7.0), 3)
    102.1
    """

    def __init__(self) -> None:
        self._least: float | None = None  # of this span
        self._least_before: float | None = None  # of the one before
        self._span_began = 0.0

    def note(self, seconds: float, arrived: float) -> None:
        """Take in a packet.

        Parameters
        ----------
        seconds : its timestamp
        arrived : when it came, seconds since the epoch
        """
        if self._least is None or arrived - self._span_began > _SPAN_SECONDS:
            self._least_before, self._least, self._span_began = self._least, arrived - seconds, arrived
        self._least = min(self._least, arrived - seconds)

    def time_of(self, seconds: float) -> float:
        """Return when a packet with this timestamp was taken, seconds since the epoch; one must have been noted."""
        assert self._least is not None
        least = self._least if self._least_before is None else min(self._least, self._least_before)
        return seconds + least
