"""Moments that a person names: a time of day, a date and a time, with or without a zone."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Annotated

import typer

MomentArgument = Annotated[
    str,
    typer.Argument(
        metavar="TIME",
        help="14:05 (the latest there was), '2026-11-29 14:05', or ISO 8601 with a zone; without one, local time.",
        show_default=False,
    ),
]


def moment(text: str, now: float) -> float:
    """Return when `text` says, seconds since the epoch.

    A time of day without a date is the latest one before now. Without a zone it is local time.

    Raises
    ------
    typer.BadParameter
        If it is no time, or has not come yet.
    """
    words = text.strip()
    today = datetime.fromtimestamp(now).astimezone()
    try:
        at = _of_day(time.fromisoformat(words), today)
    except ValueError:
        try:
            at = datetime.fromisoformat(words).astimezone()
        except (ValueError, OverflowError, OSError) as error:
            raise typer.BadParameter(
                f"{text!r} is no time: say 14:05, '{today:%Y-%m-%d} 14:05', or {today.isoformat(timespec='seconds')}"
            ) from error
    seconds = at.timestamp()
    if seconds > now:
        raise typer.BadParameter(f"{text!r} has not come yet: it is {today.isoformat(sep=' ', timespec='seconds')}")
    return seconds


def _of_day(clock: time, today: datetime) -> datetime:
    """Return the latest time of day `clock` that is not after `today`, in its zone or else in local time."""
    if clock.tzinfo is not None:
        there = today.astimezone(clock.tzinfo)
        found = datetime.combine(there.date(), clock)
        return found if found <= there else found - timedelta(days=1)
    # Naive, so that each day has its own offset where clocks are put forward and back.
    found = datetime.combine(today.date(), clock)
    return (found if found.timestamp() <= today.timestamp() else found - timedelta(days=1)).astimezone()
