"""`sentinel streams accept | undo | forget | mute` as a person uses them: asked, refused, and told what was done."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from common import broker
from common.contracts.golden import GoldenChange
from common.contracts.verdicts import Cause
from common.ingest.accept import Ingestor
from common.settings import Settings
from common.store import Store, keys
from tests.feeding import feed, normal, re_aimed, reduce
from tests.sentinel.cli.conftest import CommandLine, Done
from tests.sentinel.cli.names import names, obeyed
from workers import context


class Answers(io.StringIO):
    """A terminal on which somebody types."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def turned(
    store: Store, ingestor: Ingestor, sentinel: CommandLine, with_baseline: Settings, monkeypatch: pytest.MonkeyPatch
) -> CommandLine:
    """Stream `dock`, whose camera was turned, and the command line."""
    monkeypatch.setattr(context, "store", lambda: store)
    monkeypatch.setattr(context, "baselines", lambda: ingestor.baselines)
    monkeypatch.setattr(broker, "connect_to", lambda url: None)
    sentinel.set("SENTINEL_BASELINE", "test")
    feed(store, ingestor.baselines, "dock", normal(72, seed=2))
    feed(store, ingestor.baselines, "dock", re_aimed(160, seed=3))
    return sentinel


def seen_as(store: Store, cause: Cause) -> None:
    """Let the judge have named `cause` on the windows of the open incident."""
    window = keys.stream_key("dock", "window")
    log = store.client.hget(window, "incidents").decode()
    store.client.hset(window, "incidents", log.replace('"cause":"new_content"', f'"cause":"{cause}"'))


def answer(line: CommandLine, typed: str, *arguments: str) -> Done:
    with line.patch.context() as patch:
        patch.setattr(sys, "stdin", Answers(typed))
        return line.run(*arguments)


def test_accepting_shows_what_it_is_about_asks_once_and_says_what_became_golden(
    turned: CommandLine, store: Store
) -> None:
    done = answer(turned, "y\n", "streams", "accept", "dock", "--why", "turned to the gate", "--by", "ada")
    assert done.code == 0, done.stderr
    assert "156 frames of 1 incidents, taken 2023-11-14 22:13:20Z" in done.stderr
    assert "new_content in 24" in done.stderr
    assert done.stderr.count("[y/N]") == 1
    assert "dock is judged by what was accepted" in done.stdout
    (row,) = store.golden.history("dock")
    assert (row.by, row.why) == ("ada", "turned to the gate")
    assert store.client.llen(broker.REDUCE_QUEUE) == 1, "the incident is closed now, not with the next frames"
    shown = turned.run("streams", "show", "dock").stdout
    assert "from accepted" in shown
    assert "ada accepted 156 frames (new_content 24): turned to the gate" in shown


@pytest.mark.parametrize("typed", ["n\n", "\n", ""])
def test_whoever_does_not_say_yes_has_accepted_nothing(turned: CommandLine, store: Store, typed: str) -> None:
    done = answer(turned, typed, "streams", "accept", "dock")
    assert done.code == 3
    assert store.golden.history("dock") == []


def test_where_nobody_can_be_asked_yes_has_to_be_said(turned: CommandLine, store: Store) -> None:
    done = turned.run("streams", "accept", "dock")
    assert (done.code, "say --yes" in done.stderr) == (2, True)
    assert store.golden.history("dock") == []
    done = turned.run("streams", "accept", "dock", "--yes", "--json")
    assert json.loads(done.stdout)["change"] == GoldenChange.ACCEPTED


@pytest.mark.parametrize("cause", [Cause.BLACK, Cause.FROZEN, Cause.COVERED])
def test_a_blind_camera_is_asked_about_twice(turned: CommandLine, store: Store, cause: Cause) -> None:
    seen_as(store, cause)
    once = answer(turned, "y\nn\n", "streams", "accept", "dock")
    assert (once.code, once.stderr.count("[y/N]")) == (3, 2)
    assert "24 windows" in once.stderr
    assert turned.run("streams", "accept", "dock", "--yes").code == 2
    assert store.golden.history("dock") == []
    assert turned.run("streams", "accept", "dock", "--yes", "--even-blind").code == 0
    assert len(store.golden.history("dock")) == 1


def test_an_undo_says_what_is_golden_again(turned: CommandLine, store: Store) -> None:
    turned.run("streams", "accept", "dock", "--yes")
    done = turned.run("streams", "undo", "dock", "--by", "bob", "--why", "too early")
    assert (done.code, "acceptance 1 of stream dock is undone" in done.stdout) == (0, True)
    assert "bob undid acceptance 1: too early" in turned.run("streams", "show", "dock").stdout
    again = turned.run("streams", "undo", "dock", "--json")
    assert (again.code, json.loads(again.stdout)["error"]) == (3, "NotAccepted")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("accept", "yard", "--yes"), "there is no stream 'yard'"),
        (("accept", "dock", "--incident", "ffff", "--yes"), "0 incidents of stream 'dock' begin with 'ffff'"),
        (("undo", "yard"), "there is no stream 'yard'"),
        (("undo", "dock"), "nothing to undo"),
        (("forget", "yard", "--yes"), "nothing to forget"),
        (("mute", "yard", "--for", "1h"), "there is no stream 'yard'"),
        (("show", "yard"), "there is no stream 'yard'"),
    ],
)
def test_what_cannot_be_is_said_and_changes_nothing(
    turned: CommandLine, store: Store, arguments: tuple[str, ...], said: str
) -> None:
    done = turned.run("streams", *arguments)
    assert (done.code, said in done.stderr) == (3, True), done.stderr
    assert store.golden.history("dock") == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("mute", "dock"),
        ("mute", "dock", "--for", "1h", "--off"),
        ("bind", "dock"),
        ("accept", "a/../b"),
        ("forget", ""),
    ],
)
def test_a_command_that_says_too_little_or_too_much_is_a_usage_error(
    turned: CommandLine, arguments: tuple[str, ...]
) -> None:
    assert turned.run("streams", *arguments).code == 2


@pytest.mark.parametrize("text", ["", "2", "h", "-1h", "1y", "1h 30", "0s", "91d", "1e9d", "nan", "٣h", "1h\x1b[2J"])
def test_a_length_of_time_that_is_none_says_how_to_write_one(turned: CommandLine, text: str) -> None:
    done = turned.run("streams", "mute", "dock", f"--for={text}")
    assert done.code == 2
    assert obeyed(done.stderr) == ""


def test_a_mute_lasts_as_long_as_was_said_and_can_be_ended(turned: CommandLine, store: Store) -> None:
    done = turned.run("streams", "mute", "dock", "--for", "1h30m", "--by", "ada")
    assert (done.code, "muted for 1h30m" in done.stdout) == (0, True)
    mute = store.golden.muted("dock")
    assert mute is not None
    assert (mute.by, round(mute.until - mute.at)) == ("ada", 5400)
    assert 5390 < store.client.ttl(keys.stream_key("dock", "mute")) <= 5400
    assert store.streams.window("dock").muted_until == mute.until, "as the reducer reads it"
    assert "muted    until" in turned.run("streams", "show", "dock").stdout
    reduce("dock")
    (incident,) = store.streams.open_incidents("dock")
    assert incident.actions[-1].outcome == "muted for 1h30m"
    assert turned.run("streams", "mute", "dock", "--off").code == 0
    assert store.golden.muted("dock") is None
    assert "was not muted" in turned.run("streams", "mute", "dock", "--off").stdout


def test_forgetting_asks_and_says_what_stays(turned: CommandLine, store: Store, with_baseline: Settings) -> None:
    assert answer(turned, "n\n", "streams", "forget", "dock").code == 3
    assert store.streams.is_known("dock")
    done = answer(turned, "y\n", "streams", "forget", "dock")
    assert done.code == 0, done.stderr
    assert str(with_baseline.watch_dir / "dock") in done.stdout
    assert not store.streams.is_known("dock")
    assert turned.run("streams", "list").stdout == "no streams yet\n"


def test_the_list_names_streams_that_wait_and_what_to_do(turned: CommandLine, store: Store, tmp_path: Path) -> None:
    config = tmp_path / "sentinel.toml"
    config.write_text('[streams.gate]\nmodel = "vfi"\n[streams.yard]\nbaseline = "gone"\n', encoding="utf-8")
    turned.set("SENTINEL_CONFIG", str(config))
    store.golden.note_waiting("night", "it has no baseline: bind one")
    rows = {row["stream"]: row for row in json.loads(turned.run("streams", "list", "--json").stdout)}
    assert sorted(rows) == ["dock", "gate", "night", "yard"]
    assert (rows["dock"]["comes_from"], rows["dock"]["waiting"], rows["dock"]["has_footage"]) == ("settings", "", True)
    assert (rows["gate"]["baseline"], rows["gate"]["has_footage"]) == ("test", False)
    assert (rows["yard"]["baseline"], "gone" in rows["yard"]["waiting"]) == (None, True)
    text = turned.run("streams", "list").stdout
    assert "night waits for a baseline: it has no baseline: bind one" in text
    status = turned.run("status")
    assert "night waits for a baseline: it has no baseline: bind one" in status.stdout
    one = turned.run("streams", "list", "--stream", "ga*").stdout
    assert "dock" not in one


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=names)
def test_names_and_reasons_are_shown_as_text_whatever_they_are(sentinel: CommandLine, store: Store, name: str) -> None:
    store.client.flushall()
    store.client.zadd(keys.STREAMS, {name: 0.0})
    store.golden.note_waiting(name, name)
    for arguments in (("list",), ("show", "--", name), ("undo", "--by", name, "--why", name, "--", name),
                      ("mute", "--for", "1h", "--by", name, "--", name), ("bind", "--baseline", name, "--", name),
                      ("bind", "--model", name, "--", name), ("accept", "--yes", "--", name), ("list", "--json"),
                      ("forget", "--yes", "--", name)):  # fmt: skip
        for width in (None, 60):
            done = sentinel.run("streams", *arguments, width=width)
            assert "Traceback" not in done.stderr
            assert obeyed(done.stdout) == obeyed(done.stderr) == ""


def test_binding_writes_the_table_and_shows_the_change(turned: CommandLine, tmp_path: Path) -> None:
    config = tmp_path / "sentinel.toml"
    config.write_text("# mine\n[streams.yard]\np_value = 0.01\n", encoding="utf-8")
    turned.set("SENTINEL_CONFIG", str(config))
    done = turned.run("streams", "bind", "yard", "--baseline", "test", "--model", "vfi")
    assert done.code == 0, done.stderr
    assert '+baseline = "test"' in done.stdout
    assert config.read_text() == '# mine\n[streams.yard]\np_value = 0.01\nbaseline = "test"\nmodel = "vfi"\n'
    assert "says that already" in turned.run("streams", "bind", "yard", "--model", "vfi").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--baseline", "gone"), "no baseline in"),
        (("--model", "vif"), "did you mean 'vfi'?"),
        (("--baseline", "ACCEPTED"), "two streams cannot be bound to one learned baseline"),
    ],
)
def test_what_cannot_be_bound_is_refused_and_the_file_stays(
    turned: CommandLine, store: Store, tmp_path: Path, arguments: tuple[str, str], said: str
) -> None:
    config = tmp_path / "sentinel.toml"
    config.write_text("# mine\n", encoding="utf-8")
    turned.set("SENTINEL_CONFIG", str(config))
    turned.run("streams", "accept", "dock", "--yes")
    folder = (store.golden.history("dock")[0].folder or "") if arguments[1] == "ACCEPTED" else arguments[1]
    done = turned.run("streams", "bind", "yard", arguments[0], folder)
    assert (done.code, said in done.stderr) == (3, True), done.stderr
    assert config.read_text() == "# mine\n"
