"""`sentinel.toml`: what it may say, what is said of a wrong one, and that a broken edit stops nothing."""

from __future__ import annotations

import logging
import os
import time
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import SettingsError
from common.judging import Thresholds
from common.settings import Settings
from common.stream_config import (
    ConfigFile,
    baseline_of,
    config_path,
    model_of,
    settings_of_stream,
    stream_config,
)
from common.stream_tables import StreamConfig, StreamTable, parse_config

NFD = unicodedata.normalize("NFD", "café")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "sentinel.toml"


def write(file: Path, text: str, *, age: float = 10.0) -> None:
    """Write `file` as if that was `age` seconds ago."""
    file.write_text(text, encoding="utf-8")
    os.utime(file, (time.time() - age,) * 2)


def test_a_stream_has_what_its_table_says_and_the_settings_for_the_rest(file: Path, settings: Settings) -> None:
    write(file, '[streams."site/dock 3"]\nbaseline = "dock3"\ndrift_threshold = 0.5\nfalse_alarms_per_day = 3\n')
    own = settings.model_copy(update={"config": file, "baseline": "all", "p_value": 0.01})
    assert baseline_of(own, "site/dock 3") == "dock3"
    assert Thresholds.of(settings_of_stream(own, "site/dock 3")) == Thresholds(0.5, 0.01, 3.0)
    assert baseline_of(own, "other") == "all"
    assert Thresholds.of(settings_of_stream(own, "other")) == Thresholds(0.30, 0.01, 1.0)


def test_a_stream_is_served_by_the_model_of_its_table_and_else_by_the_one_that_ships(
    file: Path, settings: Settings
) -> None:
    write(file, '[models.vfi]\n[streams.a]\nmodel = "vfi"\n[streams.b]\n')
    own = settings.model_copy(update={"config": file})
    assert [model_of(own, stream) for stream in ("a", "b", "c")] == ["vfi"] * 3
    assert stream_config(own).models == ("vfi",)
    assert settings_of_stream(own, "a") is own, "a model is no setting"


def test_relative_paths_start_at_the_file_and_a_plain_name_is_a_baselines_name(file: Path) -> None:
    write(file, '[streams.a]\nbaseline = "golden/a"\nsource = "rec/a"\nschedule = "0 6 * * *"\n[streams.b]\n'
                'baseline = "b"\nsource = "/rec/b.mp4"\nschedule = "* * * * *"\n')  # fmt: skip
    streams = ConfigFile(file, required=True).current().streams
    assert streams["a"].baseline == str(file.parent / "golden/a")
    assert streams["a"].source == str(file.parent / "rec/a")
    assert (streams["b"].baseline, streams["b"].source) == ("b", "/rec/b.mp4")


def test_without_a_file_no_stream_is_configured_and_a_named_one_must_be_there(settings: Settings, file: Path) -> None:
    assert config_path(settings) is None
    assert stream_config(settings).streams == {}
    with pytest.raises(SettingsError, match=r"SENTINEL_CONFIG is .*which does not exist"):
        stream_config(settings.model_copy(update={"config": file.with_name("other.toml")}))


def test_a_stream_without_baseline_says_how_to_make_one(settings: Settings) -> None:
    with pytest.raises(SettingsError, match="sentinel baseline build"):
        baseline_of(settings, "cam7")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[streams.dock]\nschedul = "0 6 * * *"', "unknown key 'schedul' in [streams.dock]: is 'schedule' meant?"),
        ("[streams.dock]\nbasline = 'x'\n[streams.b]\npvalue = 1", "is 'baseline' meant?; unknown key 'pvalue'"),
        ("[streams.dock]\nzebra = 1", "unknown key 'zebra' in [streams.dock]: there may be baseline, model, schedule"),
        ("[stream.dock]\nbaseline = 'x'", "unknown key 'stream' at the top: is 'streams' meant?"),
        ("baseline = 'x'", "unknown key 'baseline' at the top: keys of a stream stand below [streams.NAME]"),
        ("[streams.dock]\nurl = 'file:///x'", "'url' in [streams.dock]: a live camera has a URL that begins with"),
        ("[streams.dock]\nurl = 'rtsp://a:b@x/1'", "user and password do not stand in a URL"),
        ("[streams.dock]\nuser = 'bob'", "'user' needs 'url' beside it"),
        ("[streams.dock]\nurl = 'rtsp://x'\nuser = 'bob'", "'user' comes with either 'password_env' or"),
        ("[streams.dock]\nurl = 'rtsp://x'\nsample = 'some'", "'sample' in [streams.dock]"),
        ("[streams.dock]\nignore = [[0, 0, 1, 1]]", "'ignore' in [streams.dock]: the zones cover 100%"),
        ("[streams.dock]\nignore = [[0.9, 0, 0.2, 0.1]]", "'ignore' in [streams.dock]: zone [0.9, 0.0, 0.2,"),
        ("[streams.dock]\nignore = [0, 0, 0.2, 0.1]", "'ignore' in [streams.dock]: 0 is no zone: write [x, y,"),
        ("[streams.dock]\nmodel = 'vif'", "'model' in [streams.dock]: no entry point offers model 'vif'"),
        ("[streams.dock]\nmodel = 'zebra'", "no entry point offers model 'zebra' (there are: "),
        ("[models.vif]", "[models.vif]: no entry point offers model 'vif' (there are: "),
        ("[model.vfi]", "unknown key 'model' at the top: is 'models' meant?"),
        ("[models.vfi]\nsteps = 3", "unknown key 'steps' in [models.vfi]: a model has no keys of its own yet"),
        ("models = 3", "'models' is no table: write [models.NAME]"),
        ("[models]\nvfi = 1", "'vfi' in [models] is no table: write [models.vfi]"),
        ("[streams.site.cam]\nbaseline = 'x'", 'a name with a dot or slash stands in quotes'),
        ("streams = 3", "'streams' is no table"),
        ("[streams]\ndock = 'x'", "'dock' in [streams] is no table: write [streams.dock]"),
        ("\n[streams.site/dock]\n", "line 2, '[streams.site/dock]': this is no TOML"),
        ("[streams.a]\nbaseline = dock", "line 2, 'baseline': this is no TOML"),
        ("[streams.dock]\n[streams.a]\n[streams.dock]", "line 3"),
        (f'[streams."café"]\n[streams."{NFD}"]', "stands there twice, written in two Unicode forms"),
        ("[streams.dock]\nsource = 'x'\nschedule = 'daily'", "'schedule' in [streams.dock]: 'daily' is no cron line"),
        ("[streams.dock]\nsource = 'x'\nschedule = '0 6 31 2 *'", "'schedule' in [streams.dock]: '0 6 31 2 *' is no"),
        ("[streams.dock]\nschedule = '0 6 * * *'", "[streams.dock]: 'schedule' needs 'source' beside it"),
        ("[streams.dock]\nsource = 'x'", "[streams.dock]: 'source' needs 'schedule' beside it"),
        ("[streams.dock]\nsource = 'http://x/y'\nschedule = '0 6 * * *'", "is a URL: paths are read here"),
        ("[streams.dock]\nsource = 's3://a/../b'\nschedule = '0 6 * * *'", "'source' in [streams.dock]: a part of it"),
        ('[streams.dock]\nbaseline = "a\\u0000b"', "'baseline' in [streams.dock]: it is empty or has a control"),
        ("[streams.dock]\nbaseline = ''", "'baseline' in [streams.dock]: it is empty"),
        ("[streams.dock]\nbaseline = 3", "'baseline' in [streams.dock]: Input should be a valid string"),
        ("[streams.dock]\np_value = 2", "'p_value' in [streams.dock]: Input should be less than or equal to 1"),
        ("[streams.dock]\np_value = nan", "'p_value' in [streams.dock]: Input should be"),
        ("[streams.dock]\ndrift_threshold = '0.3'", "'drift_threshold' in [streams.dock]: Input should be a valid num"),
        ("[streams.dock]\nfalse_alarms_per_day = inf", "'false_alarms_per_day' in [streams.dock]: Input should be"),
        ("[streams.dock]\nfalse_alarms_per_day = 0", "'false_alarms_per_day' in [streams.dock]: Input should be"),
        ('[streams."a//b"]', '[streams."a//b"]: stream name'),
        ('[streams.""]', '[streams.""]: a stream name has 1 to 200 characters'),
        ('[streams."a\\u001b[31m"]', '[streams."a\\u001b[31m"]: stream name'),
        (f'[streams."{"x" * 255}"]', "a stream name has 1 to 200 characters, this has 255"),
        ("x=" + "[" * 100_000, "nested too deeply"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_place_and_a_way_on(file: Path, text: str, said: str) -> None:
    write(file, text)
    with pytest.raises(SettingsError) as raised:
        ConfigFile(file, required=True).current()
    assert said in str(raised.value)
    assert str(file) in str(raised.value)
    assert "\x1b" not in str(raised.value)


@pytest.mark.parametrize(
    "line",
    [
        'url = "rtsp://10.0.0.7/1?pwd=hunter2',
        "url = rtsp://bob:hunter2@10.0.0.7/1",
        "url: rtsp://bob:hunter2@10.0.0.7/1",
        'url rtsp://bob:hunter2@10.0.0.7/1',
        'source = "http://10.0.0.7/?hunter2"',
        'password_file = "http://10.0.0.7/?hunter2"',
        'password = "hunter2"',
        "[x = hunter2",
    ],
)  # fmt: skip
def test_no_error_quotes_what_may_be_a_password(file: Path, line: str) -> None:
    with pytest.raises(SettingsError) as raised:
        parse_config(f"[streams.dock]\n{line}\n".encode(), file)
    assert "hunter2" not in str(raised.value)


def test_bytes_that_are_no_text_are_named_by_their_line_and_a_mark_in_front_is_none(file: Path) -> None:
    with pytest.raises(SettingsError, match=r"line 2: this is no UTF-8 text"):
        parse_config(b"\n\xff", file)
    assert parse_config("\ufeff[streams.a]\r\n".encode(), file) == StreamConfig({"a": StreamTable()})


@pytest.mark.parametrize("what", ["folder", "pipe", "no permission"])
def test_a_file_that_cannot_be_read_says_so_and_nobody_waits_for_it(file: Path, what: str) -> None:
    if what == "folder":
        file.mkdir()
    elif what == "pipe":
        os.mkfifo(file)
    elif os.geteuid() == 0:
        pytest.skip("root reads everything")
    else:
        write(file, "")
        file.chmod(0)
    with pytest.raises(SettingsError, match=r"no regular file|cannot be read \(Permission denied\)"):
        ConfigFile(file, required=True).current()


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: f"[streams.{text}".encode(errors="replace")))
def test_whatever_the_file_holds_it_is_read_or_refused_as_a_setting(content: bytes) -> None:
    try:
        parse_config(content, Path("sentinel.toml"))
    except SettingsError as error:
        assert "sentinel.toml" in str(error)


def test_a_running_process_follows_the_file(file: Path) -> None:
    reader = ConfigFile(file, required=False)
    assert reader.current().streams == {}
    write(file, "[streams.a]\nbaseline = 'one'")
    assert reader.current().of("a").baseline == "one"
    assert reader.current() is reader.current(), "unchanged, it is not read again"
    write(file, "[streams.a]\nbaseline = 'two'", age=5.0)
    assert reader.current().of("a").baseline == "two"


@pytest.mark.parametrize("trouble", ["typo", "half", "gone", "folder"])
def test_what_stood_before_a_broken_edit_still_stands_and_that_is_said_once(
    file: Path, trouble: str, caplog: pytest.LogCaptureFixture
) -> None:
    write(file, "[streams.a]\nbaseline = 'one'")
    reader = ConfigFile(file, required=True)
    reader.current()
    if trouble == "typo":
        write(file, "[streams.a]\nbaselin = 'two'", age=5.0)
    elif trouble == "half":
        write(file, "[streams.a]\nbasel", age=5.0)
    else:
        file.unlink()
    if trouble == "folder":
        file.mkdir()
        os.utime(file, (1, 1))
    with caplog.at_level(logging.ERROR):
        assert [reader.current().of("a").baseline for _ in range(5)] == ["one"] * 5
    (record,) = caplog.records
    assert str(file) in record.getMessage()
    assert "what it said before still holds" in record.getMessage()
    if trouble == "folder":
        file.rmdir()
    write(file, "[streams.a]\nbaseline = 'three'", age=4.0)
    assert reader.current().of("a").baseline == "three"


def test_a_file_that_is_being_written_is_read_once_it_is_quiet(file: Path) -> None:
    write(file, "[streams.a]\nbaseline = 'one'")
    reader = ConfigFile(file, required=True)
    reader.current()
    write(file, "", age=0.0)  # an editor has emptied it, and is about to fill it
    assert reader.current().of("a").baseline == "one"
    write(file, "[streams.a]\nbaseline = 'two'", age=0.0)
    os.utime(file, (time.time() - 2,) * 2)
    assert reader.current().of("a").baseline == "two"


def test_a_process_that_starts_with_a_broken_file_says_so_each_time_and_reads_it_once_it_is_mended(file: Path) -> None:
    write(file, "[streams.a]\nbaselin = 'one'")
    reader = ConfigFile(file, required=True)
    for _ in range(2):
        with pytest.raises(SettingsError, match="is 'baseline' meant"):
            reader.current()
    write(file, "[streams.a]\nbaseline = 'one'", age=0.0)
    assert reader.current().of("a").baseline == "one", "nothing stands yet, so there is nothing to keep"


def test_zones_to_ignore_are_a_streams_own(file: Path, settings: Settings) -> None:
    write(file, "[streams.dock]\nignore = [[0.9, 0, 0.1, 1], [0, 0, 0.3, 0.08]]\n[streams.yard]\nignore = []")
    own = settings.model_copy(update={"config": file, "ignore": ((0.5, 0.5, 0.1, 0.1),)})
    assert settings_of_stream(own, "dock").ignore == ((0.0, 0.0, 0.3, 0.08), (0.9, 0.0, 0.1, 1.0))
    assert settings_of_stream(own, "yard").ignore == ()
    assert settings_of_stream(own, "other").ignore == own.ignore
