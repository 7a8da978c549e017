"""The Celery beat schedule.

celery -A producers.schedule beat -S producers.schedule:HeartbeatScheduler
"""

from __future__ import annotations

import sys

from celery import Celery
from celery.beat import Scheduler
from celery.schedules import crontab, schedule

from common.broker import DAILY_TASK, RETENTION_TASK, SWEEP_TASK, app
from common.processes import HEARTBEAT_SECONDS
from common.settings import Settings, get_settings
from common.store.heartbeats import Heartbeat

_RETENTION_EVERY_SECONDS = 3600.0
# A task that beat could not place in time is dropped: the next one does the same work.
_EXPIRES_SECONDS = 60.0


class HeartbeatScheduler(Scheduler):
    """Celery's scheduler in memory, whose loop leaves heartbeats. It keeps no file."""

    max_interval = HEARTBEAT_SECONDS  # the loop never sleeps for longer

    def setup_schedule(self) -> None:
        """Begin; Celery calls this in the process that runs the schedule, and only there."""
        super().setup_schedule()
        self._heartbeat = Heartbeat(self.app.conf.broker_url, "beat")

    def tick(self, *arguments: object, **named: object) -> float:
        """Send what is due, and return the seconds until the next look."""
        self._heartbeat.beat()
        return float(super().tick(*arguments, **named))

    def close(self) -> None:
        """End; Celery calls this also when an error ends the loop."""
        self._heartbeat.__exit__(*sys.exc_info())
        super().close()


def configure(celery: Celery, settings: Settings) -> None:
    """Give `celery` its schedule, from the settings."""
    options = {"expires": _EXPIRES_SECONDS}
    celery.conf.beat_schedule = {
        "sweep": {"task": SWEEP_TASK, "schedule": schedule(settings.sweep_seconds), "options": options},
        "daily-check": {"task": DAILY_TASK, "schedule": crontab.from_string(settings.daily_check)},
        "retention": {"task": RETENTION_TASK, "schedule": schedule(_RETENTION_EVERY_SECONDS), "options": options},
    }


configure(app, get_settings())
