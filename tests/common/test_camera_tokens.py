"""The file of cameras' tokens."""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from common import camera_tokens
from common.camera_tokens import CameraTokens, add_token
from common.contracts.ids import check_stream_name
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


def _valid(name: str) -> bool:
    try:
        return check_stream_name(name) == name
    except ValueError:
        return False


NAMES = st.text(st.sampled_from("a# \u00a0\u2028\u2029\u3000é/"), min_size=1, max_size=6).filter(_valid)


@given(NAMES)
@example("dock\u20283")
@example("\u2029")
@example("dock\u3000")
@example(" dock")
@example("dock ")
def test_a_token_opens_the_stream_that_it_was_made_for_or_is_not_made(name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tokens"
        other = add_token(path, "other")
        before = path.read_bytes()
        if name.strip(" ") == name:
            made = add_token(path, name)
            assert CameraTokens(path).admits(name, made)
        else:
            with pytest.raises(SettingsError, match="begins or ends with a blank"):
                add_token(path, name)
            assert path.read_bytes() == before
        tokens = CameraTokens(path)
        assert tokens.admits("other", other)
        assert tokens.streams <= {"other", name}


def test_lines_may_end_as_on_windows_and_have_blanks_around_them(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    made = add_token(path, "dock 3")
    path.write_bytes(b" \t\r\n " + path.read_bytes().replace(b"\n", b" \r\n"))
    assert CameraTokens(path).admits("dock 3", made)


def test_a_damaged_file_is_read_and_logged_once_for_each_change_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path, parse, parsed = tmp_path / "tokens", camera_tokens._parse, list[int]()

    def counted(path: Path, content: bytes) -> dict[str, list[str]]:
        parsed.append(len(content))
        return parse(path, content)

    monkeypatch.setattr(camera_tokens, "_parse", counted)
    made = add_token(path, "dock")
    whole, tokens = path.read_bytes(), CameraTokens(path)
    assert tokens.admits("dock", made)
    parsed.clear()
    for damaged, line in ((b"secret\n", 1), (whole + b"secret\n", 2)):
        path.write_bytes(damaged)
        for _ in range(3):
            with pytest.raises(SettingsError, match=f"line {line} of"):
                tokens.admits("dock", made)
        assert parsed.pop() == len(damaged)
        assert parsed == []
        (row,) = caplog.records
        assert (row.levelno, f"line {line} of" in row.message, "secret" in row.message) == (logging.ERROR, True, False)
        caplog.clear()
    path.write_bytes(whole)
    assert tokens.admits("dock", made)
    assert caplog.records == []


def test_a_file_that_cannot_be_opened_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tokens = CameraTokens(tmp_path)
    for _ in range(3):
        with pytest.raises(SettingsError, match="cannot be read"):
            tokens.admits("dock", "x")
    assert len(caplog.records) == 1
