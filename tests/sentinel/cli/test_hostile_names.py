"""No name, wherever it comes from, stops a command or reaches the terminal as anything but text."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.baselines.storage import MANIFEST_FILE, StoredBaseline
from common.contracts.batches import BatchReport
from common.contracts.dead_letters import DeadLetter, DeadLetterKind
from common.contracts.events import (
    BatchCompleted,
    ChallengerRejected,
    ChampionPromoted,
    ConditionDropped,
    Event,
    RetrainProgressed,
    StreamCheck,
    StreamChecked,
    WindowFailed,
)
from common.contracts.ids import Message, check_stream_name, content_id
from common.contracts.models import RetrainReport
from common.contracts.policy import Response
from common.contracts.verdicts import Cause, FeatureShift, FrameTime, Verdict
from common.drift.baseline import Baseline
from common.printable import printable
from common.settings import Settings
from common.store import Store, keys
from sentinel.album import Shot
from sentinel.check import CheckResult
from sentinel.cli import check, stack
from sentinel.demo.result import DemoResult, Step
from sentinel.report import Evidence, page
from sentinel.stack.stack import StackInfo
from tests.common.baselines.small import small_baseline
from tests.common.builders import condition_record, record, verdict
from tests.common.drift.footage import fitted, footage
from tests.sentinel.cli.conftest import CommandLine, Done, captured
from tests.sentinel.cli.names import WORST, file_names, names, obeyed
from tests.sentinel.conftest import World

hostile = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
COMMANDS = (
    ("status",), ("events", "--limit", "50"), ("dead", "list", "--each"), ("dead", "list", "--summary"),
    ("dead", "show", "a"), ("champions", "list"),
)  # fmt: skip


def shown_safely(done: Done) -> None:
    assert "Traceback" not in done.stderr
    assert obeyed(done.stdout) == ""
    assert obeyed(done.stderr) == ""


def as_stream(name: str) -> str:
    """Return `name`, or the name of a stream that is most like it."""
    try:
        return check_stream_name(name)
    except ValueError:
        return check_stream_name("[/red]" + "".join(c for c in name if c.isalnum())[:100])


def fill(store: Store, name: str) -> None:
    """Put `name` wherever a camera, a file or an error could put one."""
    store.client.flushall()
    store.client.zadd(keys.STREAMS, {name: time.time()})
    store.client.hset(keys.stream_key(name, "window"), mapping={"version": 1, "at": time.time()})
    condition = condition_record(stream=as_stream(name), path=name, digest=name).model_copy(update={"id": name})
    champion = record(2, model=name, parent=1, model_path=name, model_digest=name, conditions=(condition,)).model_copy(
        update={"reason": name}
    )
    assert store.champions.promote(champion, over=0)
    judged = verdict().model_copy(update={"sources": (name,), "baseline": name})
    report = RetrainReport(model=name, stage=name, progress=0.5, detail=name, incidents=(name,))
    batch = BatchReport(batch_id="b", stream=name, uri=name, frames=1, dead_chunks=1)
    daily = StreamCheck(stream=name, state=name, hours_since_last_frame=1, pending_chunks=0, drift_score=None)
    about: list[tuple[type[Event], Message]] = [
        (WindowFailed, judged), (BatchCompleted, batch), (StreamChecked, daily), (ChampionPromoted, champion),
        (RetrainProgressed, report), (ChallengerRejected, report), (ConditionDropped, condition),
    ]  # fmt: skip
    for kind, message in about:
        store.event_log.announce(kind.about(message, model=name, stream=name))
    store.client.xadd(keys.EVENTS, {"type": name, "data": name})  # as no version of ours writes it
    letter = DeadLetter(
        id="a" + content_id(name), kind=DeadLetterKind.SOURCE, stream=name, subject=name, reason=name, original=name,
        traceback=name, time=time.time(),
    )  # fmt: skip
    store.event_log.bury(letter)


@hostile
@given(name=names)
def test_every_command_that_reads_redis_shows_names_as_they_are(sentinel: CommandLine, store: Store, name: str) -> None:
    fill(store, name)
    with store.champions.lease(name):
        for command in COMMANDS:
            piped, terminal = sentinel.run(*command), sentinel.run(*command, width=60)
            for done in (piped, terminal):
                shown_safely(done)
                assert done.code == 0, done.stderr
            assert printable(name).rstrip() in piped.stdout
            as_json = sentinel.run(*command, "--json")
            shown_safely(as_json)
            json.loads(as_json.stdout)


@hostile
@given(name=names)
def test_a_champion_of_such_a_name_is_shown_with_its_conditions(sentinel: CommandLine, store: Store, name: str) -> None:
    fill(store, name)
    for done in (
        sentinel.run("champions", "show", "--", name),
        sentinel.run("champions", "show", "--", name, width=60),
    ):
        shown_safely(done)
        assert done.code == 0, done.stderr
    as_json = sentinel.run("champions", "show", "--json", "--", name)
    shown_safely(as_json)
    (condition,) = json.loads(as_json.stdout)["conditions"]
    assert (condition["id"], condition["path"]) == (name, name)


@hostile
@given(name=names)
def test_dead_work_with_such_names_is_retried_and_dropped(sentinel: CommandLine, store: Store, name: str) -> None:
    fill(store, name)
    tried = sentinel.run("dead", "retry", "--all")
    shown_safely(tried)
    assert (tried.code, "stays a dead letter" in tried.stderr) == (3, True), "its original is no request"
    dropped = sentinel.run("dead", "drop", "--all")
    shown_safely(dropped)
    assert printable(name).rstrip() in dropped.stdout
    assert sentinel.run("dead", "list").stdout == "no dead letters\n"


@pytest.mark.parametrize("name", ["cam\udcff", "\ud800", WORST, "n" * 255, "a\nb", "[/red]"])
@pytest.mark.parametrize("command", [("rollback",), ("release",), ("promote",), ("show",)])
def test_a_model_that_does_not_exist_is_an_error_whatever_it_is_called(
    sentinel: CommandLine, store: Store, command: tuple[str, ...], name: str
) -> None:
    done = sentinel.run("champions", *command, "--", name, *["1"][: command == ("promote",)])
    shown_safely(done)
    assert done.code == 3
    assert "see `sentinel champions list`" in done.stderr


@hostile
@given(name=file_names.filter(lambda name: name[0] not in "-." and name != "test"))
def test_files_and_folders_of_such_names_are_named_in_errors(sentinel: CommandLine, tmp_path: Path, name: str) -> None:
    baselines = tmp_path / "baselines"
    if not (baselines / "test").exists():
        small_baseline(baselines / "test")
    for command in (
        ("check", name, "--baseline", "test"),
        ("check", ".", "--baseline", name),
        ("baseline", "show", name),
    ):
        for extra in ((), ("--json",)):
            done = sentinel.run(*command, *extra)
            shown_safely(done)
            assert done.code == 3
            if extra:
                assert json.loads(done.stdout)["status"] == "ERROR"
    folder = baselines / name
    folder.mkdir(exist_ok=True)
    (folder / MANIFEST_FILE).write_text("{")
    try:
        listed = sentinel.run("baseline", "list")
        shown_safely(listed)
        assert listed.code == 0
        assert printable(name) in listed.stderr
    finally:
        (folder / MANIFEST_FILE).unlink()
        folder.rmdir()


@hostile
@given(name=file_names)
def test_a_usage_error_shows_what_was_typed(sentinel: CommandLine, name: str) -> None:
    for command in ((name,), ("events", "--type", name), ("check", "a", name, "b"), ("sabotage", "--fault", name)):
        done = sentinel.run(*command)
        shown_safely(done)
        assert done.code in {0, 2}


def result_of(name: str) -> CheckResult:
    window: Verdict = verdict().model_copy(
        update={
            "leading_features": (FeatureShift(feature=name, shift=1, baseline_value=0, window_value=1),),
            "sources": (name,),
        }
    )
    return CheckResult(
        status=window.status, drift_score=0.6, p_value=0.01, cause=Cause.NOISE, response=Response.BOTH,
        began=FrameTime(source=name, time=1.0), baseline=name, baseline_id=name, frames=48, windows=(window,),
    )  # fmt: skip


@hostile
@given(name=names)
def test_results_of_check_up_and_demo_show_names_as_they_are(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    info = StackInfo(pid=1, redis_url="redis://:secret@h:1/0", flower_url=name, watch_dir=name)
    own = Settings(_env_file=None, baseline=name)  # type: ignore[call-arg]
    steps = (Step(name=name, outcome=name, seconds=1),)
    for action in (
        lambda: check.show(result_of(name)),
        lambda: stack.show_stack(own, info),
        lambda: stack.ShownLog()("embed", f"2026-11-30 08:09:22,263 WARNING {name}"),
        lambda: DemoResult(as_told=False, steps=steps, seconds=1, folder=name).show(),
    ):
        with monkeypatch.context() as patch:
            piped = captured(patch, action)
        shown_safely(piped)
        assert printable(name).rstrip() in piped.stdout + piped.stderr
        assert "secret" not in piped.stdout


@pytest.fixture(scope="module")
def golden() -> Baseline:
    return fitted(footage(100, seed=1))


@hostile
@given(name=names.filter(lambda name: "<" in name or "&" in name or "\x1b" in name) | st.just(WORST))
def test_the_report_shows_names_as_they_are(golden: Baseline, name: str) -> None:
    result = result_of(name)
    own = Settings(_env_file=None, baseline=name, page_token="secret")  # type: ignore[call-arg]
    stored = StoredBaseline(replace(golden, name=name), name, Path())
    shots = {result.windows[0].id: Shot(result.windows[0], b"\xff\xd8", name, 1.0)}
    written = page(result, own, Evidence(stored, shots, b"\xff\xd8"))
    assert "secret" not in written
    assert obeyed(written) == ""
    assert written.count("<script") == 0
    assert written.count("<img") == 2
    assert written.count("<b>") == 3, "the score, the baseline and the cause; none from a name"
    escaped = printable(name).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert escaped.replace("'", "&#39;").replace('"', "&#34;") in written


def test_a_file_of_such_a_name_is_judged(world: World, tmp_path: Path) -> None:
    """As a user meets it: the whole command, bytes that are no UTF-8 in the name too."""
    clip = tmp_path / (WORST.replace("/", "_") + "\udcff.mp4")
    clip.write_bytes((world.folder / "clean.mp4").read_bytes())
    report = tmp_path / "report.html"
    done = world.run("check", str(tmp_path), "--baseline", "golden", "--json", "--report", str(report))
    assert done.returncode == 0, done.stderr
    (source,) = json.loads(done.stdout)["windows"][0]["sources"]
    assert source.startswith(str(tmp_path))
    assert obeyed(done.stdout) == ""
    assert obeyed(report.read_text(encoding="utf-8")) == ""
    assert world.run("check", str(clip), "--baseline", "golden").returncode == 0
