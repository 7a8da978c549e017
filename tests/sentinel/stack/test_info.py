"""A command in another terminal, with nothing set, takes the settings of the stack that runs here."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from common.settings import Settings
from sentinel.stack.info import StackInfo, forget_info, read_info, told_settings
from sentinel.stack.local import settings_of_stack


def of_stack(folder: Path, **given: object) -> StackInfo:
    settings = Settings(_env_file=None, state_dir=folder, **given)  # type: ignore[call-arg, arg-type]
    info = StackInfo(
        pid=os.getpid(), redis_url="redis://:secret@h", flower_url="", watch_dir="", settings=told_settings(settings)
    )
    info.write(folder)
    return info


def test_what_is_left_open_here_comes_from_the_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights.h5").write_text("")
    (tmp_path / "sentinel.toml").write_text("")
    given = {
        "watch_dir": Path("in"), "weights": "weights.h5", "window_frames": 96, "allowed_roots": (Path("a"), Path("/b")),
        "baseline": "dock", "flower_password": "hidden",
    }  # fmt: skip
    of_stack(tmp_path, **given)
    monkeypatch.chdir("/")
    here = settings_of_stack(Settings(_env_file=None, state_dir=tmp_path, baseline="other"))  # type: ignore[call-arg]
    assert here.redis_url == "redis://:secret@h"
    assert here.baseline == "other", "what is set here goes first"
    assert here.watch_dir == tmp_path / "in"
    assert here.weights == str(tmp_path / "weights.h5")
    assert here.window_frames == 96
    assert here.allowed_roots == (tmp_path / "a", Path("/b"))
    assert here.config == tmp_path / "sentinel.toml"
    assert here.flower_password is None


def test_folders_that_nobody_set_are_those_of_the_stacks_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    of_stack(tmp_path)
    monkeypatch.chdir("/")
    here = settings_of_stack(Settings(_env_file=None, state_dir=tmp_path))  # type: ignore[call-arg]
    assert (here.watch_dir, here.baselines_dir) == (tmp_path / "incoming", tmp_path / "baselines")


def test_the_file_is_this_users_alone_and_tells_no_more_secrets_than_it_must(tmp_path: Path) -> None:
    of_stack(tmp_path, flower_password="hidden", redis_url="redis://h", redis_password="hidden")
    assert stat.S_IMODE((tmp_path / "stack.json").stat().st_mode) == 0o600
    assert "hidden" not in (tmp_path / "stack.json").read_text()


def test_a_stack_that_is_gone_or_unreadable_tells_nothing(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, state_dir=tmp_path)  # type: ignore[call-arg]
    assert read_info(tmp_path) is None
    (tmp_path / "stack.json").write_text("{")
    assert settings_of_stack(settings) == settings
    of_stack(tmp_path).model_copy(update={"pid": 2**22 - 1}).write(tmp_path)
    assert read_info(tmp_path) is None
    forget_info(tmp_path)
    forget_info(tmp_path)
