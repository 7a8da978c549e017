"""The Celery beat schedule.

celery -A producers.schedule beat
"""

from __future__ import annotations

from celery import Celery
from celery.schedules import crontab, schedule

from common.broker import DAILY_TASK, RETENTION_TASK, SWEEP_TASK, app
from common.errors import SettingsError
from common.settings import Settings, get_settings

_RETENTION_EVERY_SECONDS = 3600.0
# A task that beat could not place in time is dropped: the next one does the same work.
_EXPIRES_SECONDS = 60.0


def cron(line: str) -> crontab:
    """Read a five-field cron line; raise `SettingsError` if it is not one."""
    fields = line.split()
    try:
        minute, hour, day, month, weekday = fields
        return crontab(minute=minute, hour=hour, day_of_month=day, month_of_year=month, day_of_week=weekday)
    except ValueError as error:
        raise SettingsError(
            f"SENTINEL_DAILY_CHECK is {line!r}: give five fields, like '0 6 * * *' ({error})"
        ) from error


def configure(celery: Celery, settings: Settings) -> None:
    """Give `celery` its schedule, from the settings."""
    options = {"expires": _EXPIRES_SECONDS}
    celery.conf.beat_schedule = {
        "sweep": {"task": SWEEP_TASK, "schedule": schedule(settings.sweep_seconds), "options": options},
        "daily-check": {"task": DAILY_TASK, "schedule": cron(settings.daily_check)},
        "retention": {"task": RETENTION_TASK, "schedule": schedule(_RETENTION_EVERY_SECONDS), "options": options},
    }


configure(app, get_settings())
