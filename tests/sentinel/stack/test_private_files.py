"""The state folder is this user's alone, also where an earlier version left it open."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from common.errors import SettingsError
from sentinel.stack.private_files import append_private, make_private_folder, write_private


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_a_new_folder_is_closed_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        make_private_folder(tmp_path / "a" / "state", "SENTINEL_STATE_DIR")
        write_private(tmp_path / "a" / "state" / "stack.json", "{}")
        with append_private(tmp_path / "a" / "state" / "x.log") as log:
            log.write(b"x")
    finally:
        os.umask(before)
    assert mode(tmp_path / "a" / "state") == 0o700
    assert mode(tmp_path / "a" / "state" / "stack.json") == 0o600
    assert mode(tmp_path / "a" / "state" / "x.log") == 0o600


def test_what_the_version_before_left_open_is_closed(tmp_path: Path) -> None:
    state, outside = tmp_path / "state", tmp_path / "outside"
    (state / "redis").mkdir(parents=True)
    (state / "logs").mkdir()
    outside.write_text("not ours")
    files = [state / "redis" / "appendonly.aof", state / "logs" / "embed.log", state / "stack.json"]
    for file in files:
        file.write_text("x")
        file.chmod(0o644)
    for folder in (state, state / "redis", state / "logs"):
        folder.chmod(0o755)
    outside.chmod(0o644)
    (state / "logs" / "link").symlink_to(outside)
    make_private_folder(state, "SENTINEL_STATE_DIR")
    assert {mode(folder) for folder in (state, state / "redis", state / "logs")} == {0o700}
    assert {mode(file) for file in files} == {0o600}
    assert mode(outside) == 0o644, "links are not followed"


def test_a_folder_that_all_users_share_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    with pytest.raises(SettingsError, match=r"SENTINEL_STATE_DIR.*shared.*yours alone"):
        make_private_folder(tmp_path, "SENTINEL_STATE_DIR")
    assert mode(tmp_path) == 0o1777
    tmp_path.chmod(0o700)


def test_a_file_in_the_place_of_the_folder_names_the_setting(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(SettingsError, match="SENTINEL_STATE_DIR"):
        make_private_folder(tmp_path / "state", "SENTINEL_STATE_DIR")
