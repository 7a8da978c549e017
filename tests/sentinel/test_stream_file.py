"""`streams bind` writes into a file that people write too: whatever else stands there stays."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from common.contracts.ids import check_stream_name
from common.errors import SettingsError
from common.stream_tables import StreamTable, parse_config
from sentinel.stream_file import _by_hand, bind

WRITTEN = """\
# cameras of the yard

[models.vfi]

[streams."site/dock 3"]   # the dock
baseline = "old"                # judged by this
drift_threshold = 0.4

[streams.yard]
schedule = "0 6 * * *"
source = "recordings/yard"

# the end
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "sentinel.toml"
    path.write_text(WRITTEN, encoding="utf-8")
    return path


def test_only_the_value_that_is_asked_for_changes(file: Path) -> None:
    bind(file, "site/dock 3", baseline="new", model=None).write()
    assert file.read_text(encoding="utf-8") == WRITTEN.replace('"old"  ', '"new"  ')


def test_a_stream_without_a_table_gets_one_at_the_end(file: Path) -> None:
    bind(file, 'a "b".c', baseline="new", model="vfi").write()
    assert file.read_text(encoding="utf-8") == (
        WRITTEN + '\n[streams."a \\"b\\".c"]\nbaseline = "new"\nmodel = "vfi"\n'
    )


def test_a_file_that_there_is_not_is_made(tmp_path: Path) -> None:
    path = tmp_path / "sentinel.toml"
    bind(path, "dock", baseline="d", model=None).write()
    assert path.read_text() == '[streams.dock]\nbaseline = "d"\n'


def test_what_it_says_already_is_no_change(file: Path) -> None:
    assert not bind(file, "site/dock 3", baseline="old", model=None).changes


@pytest.mark.parametrize(
    "text",
    [
        "streams = { dock = { p_value = 0.1 } } # inline\n",
        "streams.dock.p_value = 0.1\nstreams.b.p_value = 0.2\n",
        "[streams.dock]\np_value = 0.1\n[models.vfi]\n[streams.b]\np_value = 0.2\n",
        "[streams]\ndock = { p_value = 0.1 }\n[streams.b]\n",
        "[streams.dock]\r\np_value = 0.1\r\n",
        "\ufeff[streams.dock]\np_value = 0.1",
        "",
        "# nothing but a comment",
    ],
)
@pytest.mark.parametrize("stream", ["dock", "new/one", "café"])
def test_whatever_form_the_file_has_it_says_the_same_as_before_and_the_new(
    tmp_path: Path, text: str, stream: str
) -> None:
    path = tmp_path / "sentinel.toml"
    path.write_bytes(text.encode())
    before = parse_config(text.encode(), path)
    bind(path, stream, baseline="x", model="vfi").write()
    after = parse_config(path.read_bytes(), path)
    assert after.of(stream) == before.of(stream).model_copy(update={"baseline": "x", "model": "vfi"})
    assert {**after.streams, stream: None} == {**before.streams, stream: None}
    content = path.read_bytes()
    assert content.startswith(b"\xef\xbb\xbf") == text.startswith("\ufeff")
    assert (b"\r\n" in content, b"\n" in content.replace(b"\r\n", b"")) == ("\r\n" in text, "\r\n" not in text)


def test_a_name_in_another_unicode_form_is_the_same_stream(tmp_path: Path) -> None:
    path = tmp_path / "sentinel.toml"
    path.write_text('[streams."cafe\u0301"]\np_value = 0.1\n', encoding="utf-8")
    bind(path, "caf\xe9", baseline="x", model=None).write()
    assert parse_config(path.read_bytes(), path).of("caf\xe9") == StreamTable(baseline="x", p_value=0.1)


@pytest.mark.parametrize(
    "content", [b"[streams.dock", b"[streams.dock]\nbaselin = 'x'", b"\xff", b"x=" + b"[" * 10_000]
)
def test_a_file_with_an_error_is_refused_and_stays(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "sentinel.toml"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=r"sentinel\.toml"):
        bind(path, "dock", baseline="x", model=None)
    assert path.read_bytes() == content


def test_a_file_that_cannot_be_edited_is_told_without_the_password_of_a_url(tmp_path: Path) -> None:
    path = tmp_path / "sentinel.toml"
    path.write_text("[streams]\n")
    edit_by_hand = _by_hand(path, "dock", {"url": "http://cam/v?pwd=hunter2", "user": "bob"})
    assert "url = 'http://cam/v?...' and user = 'bob'" in str(edit_by_hand) and "hunter2" not in str(edit_by_hand)


def test_what_somebody_else_wrote_meanwhile_is_not_lost(file: Path) -> None:
    edit = bind(file, "dock", baseline="x", model=None)
    file.write_text("# mine\n")
    with pytest.raises(SettingsError, match="changed by somebody else"):
        edit.write()
    assert file.read_text() == "# mine\n"
    assert list(file.parent.iterdir()) == [file]


def test_a_link_stays_a_link_and_the_mode_stays(file: Path, tmp_path: Path) -> None:
    file.chmod(0o640)
    link = tmp_path / "link.toml"
    link.symlink_to(file)
    bind(link, "dock", baseline="x", model=None).write()
    assert link.is_symlink()
    assert file.stat().st_mode & 0o777 == 0o640
    assert "[streams.dock]" in file.read_text()


def test_a_folder_that_cannot_be_written_says_so(file: Path) -> None:
    edit = bind(file.parent / "none" / "sentinel.toml", "dock", baseline="x", model=None)
    with pytest.raises(SettingsError, match="cannot be written"):
        edit.write()


def _is_name(text: str) -> bool:
    try:
        return check_stream_name(text) == text
    except ValueError:
        return False


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=30).filter(_is_name), st.text(min_size=1, max_size=20))
def test_every_name_can_be_bound_and_a_value_is_kept_or_refused(tmp_path: Path, stream: str, value: str) -> None:
    path = tmp_path / "sentinel.toml"
    path.write_text(WRITTEN, encoding="utf-8")
    try:
        bind(path, stream, baseline=value, model=None).write()
    except SettingsError:
        assert path.read_text(encoding="utf-8") == WRITTEN
        return
    assert tomllib.loads(path.read_text(encoding="utf-8"))["streams"][stream]["baseline"] == value
