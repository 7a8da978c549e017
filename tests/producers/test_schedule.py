from __future__ import annotations

import pytest
from celery import Celery

from common.broker import DAILY_TASK, RETENTION_TASK, SWEEP_TASK
from common.errors import SettingsError
from common.settings import Settings, get_settings
from producers.schedule import configure


def test_the_schedule_follows_the_settings(settings: Settings) -> None:
    app = Celery("x")
    configure(app, settings.model_copy(update={"sweep_seconds": 7.0, "daily_check": "30 4 * * *"}))
    entries = {entry["task"]: entry["schedule"] for entry in app.conf.beat_schedule.values()}
    assert set(entries) == {SWEEP_TASK, DAILY_TASK, RETENTION_TASK}
    assert entries[SWEEP_TASK].run_every.total_seconds() == 7.0
    assert (entries[DAILY_TASK].hour, entries[DAILY_TASK].minute) == ({4}, {30})


@pytest.mark.parametrize("line", ["", "daily", "61 * * * *", "* * * *"])
def test_a_line_that_is_no_cron_line_names_the_setting(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENTINEL_DAILY_CHECK", line)
    get_settings.cache_clear()
    with pytest.raises(SettingsError, match=r"SENTINEL_DAILY_CHECK.*five fields"):
        get_settings()
    get_settings.cache_clear()
