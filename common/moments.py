"""Moments as people read them."""

from __future__ import annotations

from datetime import UTC, datetime


def clock(seconds: float) -> str:
    """Return a time since the epoch as date and time of day in UTC; one that no calendar has, in seconds."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (ValueError, OverflowError, OSError):  # a camera's clock may say anything
        return f"{seconds:g} s"
