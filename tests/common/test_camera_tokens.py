"""The file of cameras' tokens."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from common.camera_tokens import CameraTokens, add_token
from common.errors import SettingsError


def test_a_token_is_known_for_its_stream_alone_and_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "tokens"
    tokens = CameraTokens(path)
    assert not tokens.admits("site/dock 3", "")
    made = add_token(path, "site/dock 3")
    assert tokens.admits("site/dock 3", made)
    assert not tokens.admits("site", made)
    assert not tokens.admits("site/dock 3", made[:-1])
    assert not tokens.admits("site/dock 3", "é\ud800")
    assert made not in path.read_text()
    assert path.stat().st_mode & 0o077 == 0


def test_a_stream_may_have_two_and_what_people_wrote_stays(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    path.write_text("# ours")
    first, second = add_token(path, "dock"), add_token(path, "dock")
    tokens = CameraTokens(path)
    assert tokens.admits("dock", first)
    assert tokens.admits("dock", second)
    assert path.read_text().startswith("# ours\n")
    path.write_text("\n".join(path.read_text().splitlines()[-1:]))
    os.utime(path, (1, 1))
    assert not tokens.admits("dock", first)
    assert tokens.admits("dock", second)


@pytest.mark.parametrize("line", [b"secret dock", b"0" * 64, b"0" * 64 + b" a//b", b"A" * 64 + b" dock", b"\xff"])
def test_a_file_that_holds_something_else_is_refused_without_what_stands_there(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "tokens"
    add_token(path, "dock")
    path.write_bytes(path.read_bytes() + line)
    before = path.read_bytes()
    with pytest.raises(SettingsError, match="SENTINEL_HTTP_TOKENS") as error:
        CameraTokens(path).load()
    assert "secret" not in str(error.value)
    with pytest.raises(SettingsError):
        add_token(path, "dock")
    assert path.read_bytes() == before


def test_a_folder_is_no_file_of_tokens(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be"):
        CameraTokens(tmp_path).load()
    with pytest.raises(SettingsError, match="cannot be"):
        add_token(tmp_path, "dock")
