"""Lengths of time as people write and read them."""

from __future__ import annotations

UNIT_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
"""The letter after a number -> seconds."""

LONGEST_MUTE_SECONDS = 90 * UNIT_SECONDS["d"]
"""A stream that is muted for longer is forgotten by its people."""


def duration_text(seconds: float) -> str:
    """Return a length of time in its two largest units.

    Examples
    --------
    >>> duration_text(5400.0)
    '1h30m'
    """
    left, parts = round(seconds), []
    for unit, size in sorted(UNIT_SECONDS.items(), key=lambda row: -row[1]):
        count, left = divmod(left, int(size))
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts[:2]) or "0s"
