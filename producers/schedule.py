"""The Celery beat schedule.

celery -A producers.schedule beat
"""

from __future__ import annotations

from celery import Celery
from celery.schedules import crontab, schedule

from common.broker import DAILY_TASK, RETENTION_TASK, SWEEP_TASK, app
from common.settings import Settings, get_settings

_RETENTION_EVERY_SECONDS = 3600.0
# A task that beat could not place in time is dropped: the next one does the same work.
_EXPIRES_SECONDS = 60.0


def configure(celery: Celery, settings: Settings) -> None:
    """Give `celery` its schedule, from the settings."""
    options = {"expires": _EXPIRES_SECONDS}
    celery.conf.beat_schedule = {
        "sweep": {"task": SWEEP_TASK, "schedule": schedule(settings.sweep_seconds), "options": options},
        "daily-check": {"task": DAILY_TASK, "schedule": crontab.from_string(settings.daily_check)},
        "retention": {"task": RETENTION_TASK, "schedule": schedule(_RETENTION_EVERY_SECONDS), "options": options},
    }


configure(app, get_settings())
