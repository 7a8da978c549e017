"""Cron lines: when beat sends what is scheduled."""

from __future__ import annotations


def check_cron_line(line: str) -> str:
    """Return `line`; raise `ValueError` if it is no valid cron line, or its day never occurs (the 30th of February)."""
    from celery.schedules import crontab

    try:
        crontab.from_string(line)
    except ValueError as error:
        raise ValueError(f"{line!r} is no cron line: give five fields, like '0 6 * * *' ({error})") from error
    return line
