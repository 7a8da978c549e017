"""The Celery beat schedule: Sentinel's periodic tasks, and the scheduled sources of streams.

celery -A producers.schedule beat
"""

from __future__ import annotations

import logging
import sys
from typing import Any

from celery import Celery
from celery.beat import Scheduler
from celery.schedules import crontab, schedule

from common.broker import DAILY_TASK, HAND_IN_TASK, RETENTION_TASK, SWEEP_TASK, app
from common.errors import SettingsError
from common.settings import Settings, get_settings
from common.store.heartbeats import Heartbeat
from common.stream_config import stream_config
from common.stream_tables import StreamConfig

log = logging.getLogger(__name__)

_RETENTION_EVERY_SECONDS = 3600.0
# A task that beat could not place in time is dropped: the next one does the same work.
_EXPIRES_SECONDS = 60.0
_CONFIG_CHECK_SECONDS = 5.0  # how soon beat notices that sentinel.toml has changed

Entries = dict[str, dict[str, Any]]
"""Celery's form of a schedule: by its name what each entry sends, and when."""


def configure(celery: Celery, settings: Settings) -> None:
    """Give `celery` its fixed schedule, from the settings, and the scheduler that adds the streams' own."""
    options = {"expires": _EXPIRES_SECONDS}
    celery.conf.beat_schedule = {
        "sweep": {"task": SWEEP_TASK, "schedule": schedule(settings.sweep_seconds), "options": options},
        "daily-check": {"task": DAILY_TASK, "schedule": crontab.from_string(settings.daily_check)},
        "retention": {"task": RETENTION_TASK, "schedule": schedule(_RETENTION_EVERY_SECONDS), "options": options},
    }
    celery.conf.beat_scheduler = "producers.schedule:StreamScheduler"


def stream_entries(config: StreamConfig) -> Entries:
    """Return one entry for each stream that has a schedule."""
    return {
        f"hand in {stream}": {
            "task": HAND_IN_TASK,
            "schedule": crontab.from_string(table.schedule),
            "kwargs": {"stream": stream},
        }
        for stream, table in config.streams.items()
        if table.schedule is not None
    }


class StreamScheduler(Scheduler):
    """Celery's scheduler in memory, whose entries for streams follow `sentinel.toml` and whose loop leaves heartbeats.

    Without a readable file the fixed schedule still runs: it finds lost work,
    and that must not wait for a typo to be corrected.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._of_streams: Entries = {}
        self._logged = ""
        super().__init__(*args, **kwargs)
        url = get_settings().redis_url or self.app.conf.broker_url
        self._heartbeat = Heartbeat(url, "beat", get_settings().heartbeat_file)

    def setup_schedule(self) -> None:
        """Start with the fixed entries and those of the streams."""
        self.install_default_entries(self.data)
        self.update_from_dict(self.app.conf.beat_schedule)
        self.follow_config()

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send what is due; return the seconds until there may be something to do."""
        self._heartbeat.beat()
        self.follow_config()
        return min(float(super().tick(*args, **kwargs)), _CONFIG_CHECK_SECONDS)

    def close(self) -> None:
        """End; Celery calls this also when an error ends the loop."""
        self._heartbeat.__exit__(*sys.exc_info())
        super().close()

    def follow_config(self) -> None:
        """Give the entries of streams the state that `sentinel.toml` has now. Unchanged ones keep their last run."""
        try:
            wanted = stream_entries(stream_config(get_settings()))
        except SettingsError as error:
            if str(error) != self._logged:
                self._logged = str(error)
                log.error("no source is handed in: %s", error)
            return
        self._logged = ""
        if wanted == self._of_streams:
            return
        for name in self._of_streams.keys() - wanted.keys():
            del self.data[name]
        changed = {name: entry for name, entry in wanted.items() if self._of_streams.get(name) != entry}
        for name in changed:
            self.data.pop(name, None)  # with its last run: a new time counts from now on
        self.update_from_dict(changed)
        self._of_streams = wanted
        self._heap = None  # Celery builds it anew from the entries
        log.info("%d streams have a schedule", len(wanted))


configure(app, get_settings())
