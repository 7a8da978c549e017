"""How long and how much a camera may send without a picture in it: FFmpeg waits, and keeps what belongs to one until
its end has come."""

from __future__ import annotations

import time

NO_PICTURE = "what it sends has no end of a picture"
_MOST_BYTES = 64_000_000  # twice the largest picture that is taken (`producers.cameras.packets`), and what is probed
_TIMES = 6  # as long as a camera may send nothing


class Allowance:
    """Counts what came since the last picture; one connection has one.

    Parameters
    ----------
    seconds : that the camera may send nothing
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = _TIMES * seconds
        self.renew()

    def exceeds(self, size: int) -> bool:
        """Count `size` more bytes; return whether they are too many, or come too late."""
        self._came += size
        return self._came > _MOST_BYTES or time.monotonic() > self._picture_at + self._seconds

    def renew(self) -> None:
        """Note that a picture came."""
        self._came, self._picture_at = 0, time.monotonic()
