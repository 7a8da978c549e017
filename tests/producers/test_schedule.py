from __future__ import annotations

import pytest
from celery import Celery

from common.broker import DAILY_TASK, RETENTION_TASK, SWEEP_TASK
from common.errors import SettingsError
from common.settings import Settings
from producers.schedule import configure, cron


def test_the_schedule_follows_the_settings(settings: Settings) -> None:
    app = Celery("x")
    configure(app, settings.model_copy(update={"sweep_seconds": 7.0, "daily_check": "30 4 * * *"}))
    entries = {entry["task"]: entry["schedule"] for entry in app.conf.beat_schedule.values()}
    assert set(entries) == {SWEEP_TASK, DAILY_TASK, RETENTION_TASK}
    assert entries[SWEEP_TASK].run_every.total_seconds() == 7.0
    assert (entries[DAILY_TASK].hour, entries[DAILY_TASK].minute) == ({4}, {30})


@pytest.mark.parametrize("line", ["", "daily", "61 * * * *", "* * * *"])
def test_a_line_that_is_no_cron_line_names_the_setting(line: str) -> None:
    with pytest.raises(SettingsError, match="SENTINEL_DAILY_CHECK"):
        cron(line)
