"""`sentinel status` and `sentinel events` with more streams than a screen has lines."""

from __future__ import annotations

import json
import time

import pytest

from common.contracts.batches import BatchReport
from common.contracts.coverage import Coverage
from common.contracts.events import (
    BatchCompleted,
    ChampionPromoted,
    ConditionDropped,
    RetrainProgressed,
    RetrainStarted,
    WindowFailed,
    WindowPassed,
)
from common.contracts.learning import LearningStatus
from common.contracts.models import RetrainReport
from common.contracts.verdicts import Cause, Status, Verdict
from common.models.vfi.design import DESIGN
from common.models.vfi.first import starting_model
from common.moments import clock
from common.processes import wanted_processes
from common.store import Store, keys
from common.store.heartbeats import Heartbeat, new_start_id, note_exit
from sentinel.stack.redis_server import RedisServer
from tests.common.builders import batch, condition_record, record, verdict
from tests.learning import begin
from tests.sentinel.cli.conftest import CommandLine


def stream(
    store: Store, name: str, status: Status | None, seconds_ago: float = 1.0, *, cause: Cause = Cause.NOISE
) -> None:
    """Make a stream whose latest verdict is `status`, None: it has none yet."""
    store.batches.register(batch(name, name=f"of-{name}"))
    if status is None:
        return
    fields: dict[str, str | float | int] = {"version": 1, "at": time.time() - seconds_ago}
    fields["verdict"] = verdict(stream=name, status=status, cause=cause).to_json()
    store.client.hset(keys.stream_key(name, "window"), mapping=fields)  # type: ignore[arg-type]


def announce(store: Store, judged: Verdict) -> None:
    kind = WindowFailed if judged.status is Status.FAIL else WindowPassed
    store.event_log.announce(kind.about(judged, model="vfi", stream=judged.stream))


def column(output: str, number: int) -> list[str]:
    """Return the words of one column of what was printed, from the second line on, while lines have it."""
    rows = [line.split() for line in output.splitlines()[1:]]
    return [row[number] for row in rows if len(row) > number]


def test_status_has_one_line_per_stream_and_those_that_fail_come_first(sentinel: CommandLine, store: Store) -> None:
    stream(store, "passes-new", Status.PASS, 1)
    stream(store, "fails-old", Status.FAIL, 50)
    stream(store, "none-yet", None)
    stream(store, "fails-new", Status.FAIL, 2)
    stream(store, "passes-old", Status.PASS, 90)
    lines = sentinel.run("status").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:6]] == ["FAIL", "FAIL", "no", "PASS", "PASS"]
    names = ("fails-new", "fails-old", "none-yet", "passes-new", "passes-old")
    for line, name in zip(lines[1:6], names, strict=True):
        assert name in line
    assert [row["stream"] for row in json.loads(sentinel.run("status", "--json").stdout)["streams"]] == list(names)


def test_a_pipe_gets_whole_names_in_plain_columns_and_a_terminal_lines_that_fit(
    sentinel: CommandLine, store: Store
) -> None:
    long = "site/" + "x" * 190
    for number in range(20):
        stream(store, f"{long}{number}", Status.FAIL)
    piped = sentinel.run("status").stdout
    assert all(f"{long}{number}  " in piped for number in range(20))
    assert not set(piped) & set("\t│┃─━")
    summary = [line for line in piped.splitlines() if not line.startswith("  ")]
    assert len(summary) == 20 + 5, "the header, and queues, models, processes, Redis"
    assert len({line.index("0.60") for line in piped.splitlines()[1:21]}) == 1, "columns are aligned"
    shown = sentinel.run("status", width=100).stdout
    assert all(len(line) <= 100 for line in shown.splitlines())
    assert all("…" in line and "noise" in line for line in shown.splitlines()[1:21]), "names are cut, nothing else"


def test_streams_are_chosen_by_name_by_pattern_and_by_status(sentinel: CommandLine, store: Store) -> None:
    for name, status in (("site/a", Status.FAIL), ("site/b", Status.PASS), ("cam[1]", Status.FAIL), ("cam1", None)):
        stream(store, name, status)

    def named(*options: str) -> set[str]:
        rows = json.loads(sentinel.run("status", "--json", *options).stdout)["streams"]
        return {row["stream"] for row in rows}

    assert named("--stream", "site/*") == {"site/a", "site/b"}
    assert named("--stream", "cam[1]") == {"cam[1]", "cam1"}, "the stream of that name is not hidden by its brackets"
    assert named("--status", "FAIL") == named("--status", "fail") == {"site/a", "cam[1]"}
    assert named("--stream", "site/*", "--status", "PASS") == {"site/b"}
    assert "no stream fits" in sentinel.run("status", "--stream", "nothing").stdout


def test_status_says_when_the_next_retraining_may_start_and_how_far_a_running_one_is(
    sentinel: CommandLine, store: Store
) -> None:
    assert store.champions.promote(record(3, parent=2), over=0)
    assert "next retraining" not in sentinel.run("status").stdout
    store.champions.note_waiting("vfi", "dock")
    store.champions.note_waiting("vfi", "gate")
    due = store.champions.due_at("vfi")
    assert due is not None
    said = sentinel.run("status").stdout
    assert f"next retraining from {time.strftime('%Y-%m-%d %H:%M:%SZ', time.gmtime(due))}" in said
    assert "model vfi: v3, streams that wait: 2" in said
    (model,) = json.loads(sentinel.run("status", "--json").stdout)["models"]
    assert (model["version"], model["waiting_streams"], model["due_at"]) == (3, 2, due)
    assert model["retraining"] is None
    with store.champions.lease("vfi"):
        assert "retraining now, starting" in sentinel.run("status").stdout
        for kind, model_name, progress in (
            (RetrainStarted, "vfi", 0.0),
            (RetrainProgressed, "vfi", 0.4),
            (RetrainProgressed, "other", 0.9),
        ):
            report = RetrainReport(
                model=model_name, stage="training", progress=progress, detail="noise, step 12", incidents=("a", "b")
            )
            store.event_log.announce(kind.about(report, model=model_name))
        said = sentinel.run("status").stdout
        assert "retraining now, training 40%, noise, step 12, for 2 incidents" in said
        assert "next retraining" not in said
        (model,) = json.loads(sentinel.run("status", "--json").stdout)["models"]
        assert (model["retraining"]["stage"], model["retraining"]["progress"]) == ("training", 0.4)
        assert model["retraining"]["incidents"] == ["a", "b"]
    assert "retraining now" not in sentinel.run("status").stdout


def test_status_says_that_a_model_is_held(sentinel: CommandLine, store: Store) -> None:
    model = starting_model()
    kept = record(3, parent=2, model_path=str(DESIGN.starting), model_digest=model.digest)
    assert store.champions.promote(kept, over=0)
    assert sentinel.run("champions", "promote", "vfi", "3").code == 0
    store.champions.note_waiting("vfi", "dock")
    said = sentinel.run("status").stdout
    assert "held since" in said and "sentinel champions release" in said
    assert "next retraining" not in said
    assert json.loads(sentinel.run("champions", "release", "vfi", "--json").stdout)["waiting_streams"] == 1
    assert "next retraining" in sentinel.run("status").stdout


@pytest.mark.parametrize("seconds", [1e12, -1e12, 1e300, float("inf"), float("nan")])
def test_a_time_that_no_calendar_has_is_shown_in_seconds(seconds: float) -> None:
    """A camera's clock may say anything, and so may a record that was edited by hand."""
    assert clock(seconds) == f"{seconds:g} s"
    assert clock(0.0) == "1970-01-01 00:00:00Z"


def test_status_says_what_the_policy_calls_for(sentinel: CommandLine, store: Store) -> None:
    causes = {"a": Cause.NOISE, "b": Cause.COVERED, "c": Cause.NEW_CONTENT}
    for name, cause in causes.items():
        stream(store, name, Status.FAIL, cause=cause)
    stream(store, "d", Status.PASS)

    def called_for() -> dict[str, str | None]:
        rows = json.loads(sentinel.run("status", "--json").stdout)["streams"]
        return {row["stream"]: row["response"] for row in rows}

    assert called_for() == {"a": "both", "b": "call", "c": "train", "d": None}
    shown = {line.split()[1]: line for line in sentinel.run("status").stdout.splitlines()[1:5]}
    assert "both" in shown["a"] and "call" in shown["b"] and "train" in shown["c"]
    sentinel.set("SENTINEL_POLICY", "noise=call")
    assert called_for()["a"] == "call"


def test_events_tell_a_promotion_a_drop_and_a_match_of_conditions(sentinel: CommandLine, store: Store) -> None:
    condition = condition_record(stream="cam7")
    announce(store, verdict(stream="cam7", condition=condition))
    champion = record(2, parent=1, conditions=(condition,))
    store.event_log.announce(ChampionPromoted.about(champion, model="vfi"))
    store.event_log.announce(ConditionDropped.about(condition, model="vfi", stream="cam7"))
    _, matched, promoted, dropped = sentinel.run("events").stdout.splitlines()
    assert "verdict.pass" in matched and "cam7" in matched
    assert "model vfi" in promoted and "v2: test" in promoted
    assert "condition.dropped" in dropped and "cam7" in dropped
    first, second, third = json.loads(sentinel.run("events", "--json").stdout)
    assert first["verdict"]["condition"]["id"] == condition.id
    assert second["champion"]["conditions"][0]["id"] == third["condition"]["id"] == condition.id


def test_events_have_a_line_each_with_time_stream_and_file(sentinel: CommandLine, store: Store) -> None:
    announce(store, verdict(stream="site/dock 3"))
    announce(store, verdict(stream="cam7", status=Status.PASS))
    report = BatchReport(batch_id="b", stream="cam7", uri="/in/cam7/day one.mp4", frames=120, dead_chunks=2)
    store.event_log.announce(BatchCompleted.about(report, model="vfi", stream="cam7"))
    header, first, second, third = sentinel.run("events").stdout.splitlines()
    assert header.split() == ["time", "type", "stream", "what"]
    today = time.strftime("%Y-%m-%d", time.gmtime())
    assert first.startswith(today) and first[19] == "Z"
    assert "verdict.fail" in first and "site/dock 3" in first and "noise, confirmed" in first and "a.mp4" in first
    assert "verdict.pass" in second
    assert "day one.mp4, 120 frames, 2 chunks given up" in third
    lines = sentinel.run("events", width=70).stdout.splitlines()
    assert [line for line in lines if len(line) > 70] == []


def test_events_are_chosen_by_stream_and_type(sentinel: CommandLine, store: Store) -> None:
    for name in ("site/a", "site/b", "cam7"):
        announce(store, verdict(stream=name))
        announce(store, verdict(stream=name, status=Status.PASS))

    def found(*options: str) -> list[tuple[str, str]]:
        rows = json.loads(sentinel.run("events", "--json", *options).stdout)
        return [(row["stream"], row["type"].split(".")[3]) for row in rows]

    assert found("--stream", "site/*", "--type", "verdict.fail") == [("site/a", "fail"), ("site/b", "fail")]
    assert found("--type", "io.sentinel.verdict.pass.v1", "--stream", "cam7") == [("cam7", "pass")]
    assert len(found("--type", "verdict")) == 6
    assert found("--type", "verdict.fail", "--limit", "2") == [("site/b", "fail"), ("cam7", "fail")], "the latest"
    wrong = sentinel.run("events", "--type", "verdict.fial")
    assert wrong.code == 2
    assert "verdict.fail" in wrong.stderr


def test_status_names_the_processes_that_need_a_look_and_why(
    sentinel: CommandLine, store: Store, redis_server: RedisServer
) -> None:
    note_exit(store.client, "embed", new_start_id(), pid=7, code=-9, reason="[red]out of memory[/red]")
    with Heartbeat(redis_server.url, "watch"):
        shown = sentinel.run("status").stdout
        told = {row["process"]: row for row in json.loads(sentinel.run("status", "--json").stdout)["processes"]}
    assert f"processes: 1 of {len(wanted_processes(store.settings))} alive" in shown
    assert "embed: missing: ended with exit code -9: [red]out of memory[/red]" in shown
    assert sum("missing" in line for line in shown.splitlines()) == 2, "those with the same trouble share a line"
    assert (told["watch"]["state"], told["embed"]["last_exit"]["code"]) == ("alive", -9)


def test_a_stream_that_learns_says_how_far_it_is_and_what_it_asks(sentinel: CommandLine, store: Store) -> None:
    plan = begin(store, "gate")
    sentinel.set("SENTINEL_LEARN", "auto")
    store.client.zadd(keys.STREAMS, {"gate": time.time()})
    assert "begins" in sentinel.run("status").stdout
    seen = Coverage(
        bursts=6,
        days=1.0,
        hours=tuple(int(hour in {6, 7, 8}) for hour in range(24)),
        known=tuple(5 <= hour <= 9 for hour in range(24)),
        weekdays=(0, 0, 0, 6, 0, 0, 0),
        false_alarms_per_day=24.0,
    )
    learned = LearningStatus(epoch="0", bursts=6, pictures=0, no_pictures="pictures are off", bytes=1)
    store.learning.publish(plan, {"status:0": learned.to_json(), "coverage:0": seen.to_json()})
    assert "5/24 h, 1/7 d, <= 24 alarms/d" in sentinel.run("status").stdout
    (row,) = json.loads(sentinel.run("status", "--json").stdout)["streams"]
    assert (row["learning"]["bursts"], row["learning"]["coverage"]["false_alarms_per_day"]) == (6, 24.0)
    shown = sentinel.run("streams", "show", "gate").stdout
    assert "5-10" in shown
    assert "at most 24" in shown
    assert "pictures are off" in shown
    assert "learned" in sentinel.run("streams", "list").stdout
