"""How much a camera may send without a picture in it: FFmpeg keeps what belongs to one until its end has come."""

from __future__ import annotations

NO_PICTURE = "it sends no end of a picture"
_MOST_BYTES = 64_000_000  # twice the largest picture that is taken (`producers.cameras.packets`), and what is probed


class Allowance:
    """Counts the bytes that came since the last picture; one connection has one."""

    def __init__(self) -> None:
        self._came = 0

    def exceeds(self, size: int) -> bool:
        """Count `size` more bytes; return whether they are too many."""
        self._came += size
        return self._came > _MOST_BYTES

    def renew(self) -> None:
        """Note that a picture came."""
        self._came = 0
