"""What is wrong with `sentinel.toml` is found by `doctor`, and keeps `sentinel up` from starting."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import JsonValue

from common.errors import SettingsError
from common.settings import Settings
from sentinel.doctor import examine, require_sound
from sentinel.findings import Finding
from sentinel.stack.info import StackInfo
from sentinel.stack.local import settings_of_stack


def found(settings: Settings) -> Finding:
    # A backbone that there is not: loading a real one would take the longest, and is not asked about here.
    (finding,) = [row for row in examine(settings.model_copy(update={"backbone": "none"})) if row.what == "streams"]
    return finding


def test_a_broken_file_keeps_the_stack_from_starting_and_is_a_finding(settings: Settings, tmp_path: Path) -> None:
    config = tmp_path / "sentinel.toml"
    config.write_text("[streams.dock]\nbasline = 'dock'\n", encoding="utf-8")
    own = settings.model_copy(update={"config": config})
    with pytest.raises(SettingsError, match="is 'baseline' meant"):
        require_sound(own)
    finding = found(own)
    assert not finding.ok
    assert "is 'baseline' meant" in finding.detail


def test_doctor_looks_for_scheduled_sources(settings: Settings, tmp_path: Path) -> None:
    assert found(settings).ok
    config = tmp_path / "good.toml"
    config.write_text("[streams.dock]\nsource = 'incoming/dock'\nschedule = '0 6 * * *'\n", encoding="utf-8")
    own = settings.model_copy(update={"config": config})
    assert "incoming/dock does not exist" in found(own).detail
    (tmp_path / "incoming" / "dock").mkdir(parents=True)
    assert found(own).detail == f"{config}: 1 configured, 1 with a schedule"
    config = tmp_path / "outside.toml"
    config.write_text("[streams.dock]\nsource = '/'\nschedule = '0 6 * * *'\n", encoding="utf-8")
    finding = found(settings.model_copy(update={"config": config}))
    assert not finding.ok
    assert "SENTINEL_ALLOWED_ROOTS" in finding.detail


@pytest.mark.parametrize("named", ["/elsewhere/sentinel.toml", None])
def test_another_terminal_reads_the_file_that_the_running_stack_reads(settings: Settings, named: str | None) -> None:
    settings.state_dir.mkdir()
    told: dict[str, JsonValue] = {"config": named} if named else {}
    StackInfo(pid=os.getpid(), redis_url="redis://x", flower_url="", watch_dir="/w", settings=told).write(
        settings.state_dir
    )
    assert settings_of_stack(settings).config == (Path(named) if named else None)
    own = settings.model_copy(update={"config": Path("/own.toml")})
    assert settings_of_stack(own).config == Path("/own.toml"), "what this terminal sets comes first"
