"""`sentinel incidents`, and what `status` and `events` say of them."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import HealthCheck, given, settings

from common import broker
from common.contracts.events import RetrainProgressed
from common.contracts.incidents import ActionKind, Incident
from common.contracts.models import RetrainReport
from common.contracts.verdicts import Cause, Verdict
from common.printable import printable
from common.store import Store, keys
from sentinel.stack.redis_server import RedisServer
from tests.common.incidents import DAY, judged, note, silence_note
from tests.common.store.test_incidents import commit_to
from tests.sentinel.cli.conftest import CommandLine, Done
from tests.sentinel.cli.names import WORST, names, obeyed


@pytest.fixture(autouse=True)
def own_queue(sentinel: CommandLine, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks go to the queues of the test's own Redis, where nobody takes them."""
    own = broker.get_settings().model_copy(update={"redis_url": redis_server.url})
    monkeypatch.setattr(broker, "app", broker.make_app(own))


def shown_safely(done: Done) -> None:
    assert "Traceback" not in done.stderr
    assert obeyed(done.stdout + done.stderr) == ""


def stream(store: Store, name: str, *verdicts: Verdict) -> None:
    store.client.zadd(keys.STREAMS, {name: time.time()})
    commit_to(store, name, *verdicts)


def passes(name: str, first: int, at: float | None = None) -> list[Verdict]:
    return [judged(first + i, "pass", stream=name, at=at) for i in range(3)]


def of_each_state(store: Store) -> None:
    stream(store, "site/closed", judged(0, "fail", stream="site/closed"), *passes("site/closed", 1))
    stream(store, "site/healed", judged(0, "match", stream="site/healed"))
    stream(store, "dark", judged(0, "fail", stream="dark", cause=Cause.BLACK))
    stream(store, "well", judged(0, "pass", stream="well"))


def only(store: Store, name: str) -> Incident:
    (incident,) = store.streams.incidents(name)
    return incident


def test_an_incident_that_is_worked_on_says_how_far_its_retraining_is(sentinel: CommandLine, store: Store) -> None:
    stream(store, "dark", judged(0, "fail", stream="dark", cause=Cause.NOISE))
    incident = only(store, "dark")
    for incidents in (("other",), (incident.id,)):
        report = RetrainReport(
            model=incident.model, stage="training", progress=0.4, detail="noise, step 100, 31.50 dB, 30.25 dB on check "
            "examples", incidents=incidents, step=100, loss=-31.5, check_db=30.25,
        )  # fmt: skip
        store.event_log.announce(RetrainProgressed.about(report, model=incident.model))
    with store.champions.lease(incident.model):
        said = sentinel.run("incidents", "show", incident.id).stdout
        assert "healing   training 40%, noise, step 100, 31.50 dB, 30.25 dB on check examples, for 1 in" in said
        shown = json.loads(sentinel.run("incidents", "show", incident.id, "--json").stdout)["retraining"]
        assert (shown["step"], shown["loss"], shown["check_db"]) == (100, -31.5, 30.25)
        other = report.model_copy(update={"incidents": ("other",)})
        store.event_log.announce(RetrainProgressed.about(other, model=incident.model))
        assert "healing   " not in sentinel.run("incidents", "show", incident.id).stdout
    assert "healing   " not in sentinel.run("incidents", "show", incident.id).stdout, "none is running"


def test_incidents_are_listed_failing_first_and_chosen_by_stream_and_state(sentinel: CommandLine, store: Store) -> None:
    assert sentinel.run("incidents", "list").stdout == "no incidents\n"
    of_each_state(store)
    _, *lines = sentinel.run("incidents", "list").stdout.splitlines()
    assert [line.split()[1:3] for line in lines] == [
        ["failing", "dark"], ["healed", "site/healed"], ["closed", "site/closed"],
    ]  # fmt: skip

    def chosen(*options: str) -> list[str]:
        return [row["stream"] for row in json.loads(sentinel.run("incidents", "list", "--json", *options).stdout)]

    assert chosen() == ["dark", "site/healed", "site/closed"]
    assert chosen("--state", "open") == ["dark", "site/healed"]
    assert chosen("--state", "CLOSED") == ["site/closed"]
    assert chosen("--stream", "site/*", "--state", "healed") == ["site/healed"]
    assert sentinel.run("incidents", "list", "--state", "failing", "--stream", "well").stdout == "no incident fits\n"
    assert sentinel.run("incidents", "list", "--state", "broken").code == 2
    assert all(len(line) <= 80 for line in sentinel.run("incidents", "list", width=80).stdout.splitlines())


def test_one_is_shown_with_what_happened_when_and_how_it_ended(sentinel: CommandLine, store: Store) -> None:
    for night in range(3):
        at = night * DAY
        stream(store, "dock", judged(100 * night, "fail", stream="dock", at=at), *passes("dock", 100 * night + 1, at))
    incident = only(store, "dock")
    store.streams.note(
        note("sentinel", incident=incident.id, action_id="r", ended=True, outcome="v2 promoted, +0.31 dB")
    )
    commit_to(store, "dock")
    shown = sentinel.run("incidents", "show", incident.id[:6]).stdout
    lines = shown.splitlines()
    assert lines[0] == "closed, third time this week"
    told = [line[24:] for line in lines if line.startswith("  1970-")]
    assert told.count("opened again") == 2
    assert told.index("opened") < told.index("opened again")
    assert "retrain by sentinel" in told
    assert "retrain ended: v2 promoted, +0.31 dB" in told
    assert told[-1].startswith("closed: 3 windows in a row passed")
    assert "a.mp4 at" in shown
    assert "noise (windows: noise 3)" in shown
    shown_as_json = json.loads(sentinel.run("incidents", "show", incident.id, "--json").stdout)
    assert shown_as_json.pop("retraining") is None
    assert shown_as_json == json.loads(only(store, "dock").to_json())
    assert "third time this week" in sentinel.run("incidents", "list").stdout


def test_one_is_acknowledged_by_the_reducer_and_says_by_whom(sentinel: CommandLine, store: Store) -> None:
    of_each_state(store)
    incident = only(store, "dark")
    done = sentinel.run("incidents", "ack", incident.id[:8], "--by", "Ida", "--json")
    assert json.loads(done.stdout) == {"id": incident.id, "stream": "dark", "acknowledged_by": "Ida"}
    assert only(store, "dark").acknowledged_by is None, "the reducer alone writes incidents"
    assert store.client.llen("reduce") == 1
    commit_to(store, "dark")
    (action,) = only(store, "dark").actions
    assert (only(store, "dark").acknowledged_by, action.kind) == ("Ida", ActionKind.ACKNOWLEDGE)
    assert "acknowledged by Ida" in sentinel.run("incidents", "list").stdout
    assert "acknowledge by Ida" in sentinel.run("incidents", "show", incident.id).stdout
    assert sentinel.run("incidents", "ack", incident.id).code == 0, "without --by it is the user"
    commit_to(store, "dark")
    assert only(store, "dark").acknowledged_by not in {None, "", "Ida"}


@pytest.mark.parametrize("command", ["show", "ack"])
@pytest.mark.parametrize("wrong", ["zzz", "", "\udcff", WORST])
def test_an_unknown_incident_is_an_error_that_says_where_to_look(
    sentinel: CommandLine, store: Store, command: str, wrong: str
) -> None:
    of_each_state(store)
    done = sentinel.run("incidents", command, "--", wrong)
    shown_safely(done)
    assert done.code == 3
    assert "see `sentinel incidents list`" in done.stderr
    assert store.client.llen("reduce") == 0


def test_a_beginning_that_several_share_asks_for_more_of_it(sentinel: CommandLine, store: Store) -> None:
    for number in range(17):  # more than there are first digits
        name = f"cam{number}"
        stream(store, name, judged(0, "fail", stream=name))
    first = [incident["id"][0] for incident in json.loads(sentinel.run("incidents", "list", "--json").stdout)]
    twice = next(digit for digit in first if first.count(digit) > 1)
    done = sentinel.run("incidents", "ack", twice)
    assert done.code == 3
    assert "give more of the id" in done.stderr


def test_a_closed_incident_needs_no_acknowledgement(sentinel: CommandLine, store: Store) -> None:
    of_each_state(store)
    done = sentinel.run("incidents", "ack", only(store, "site/closed").id)
    assert done.code == 3
    assert "is closed" in done.stderr


def test_status_shows_each_streams_open_incident(sentinel: CommandLine, store: Store) -> None:
    of_each_state(store)
    lines = {line.split()[1]: line for line in sentinel.run("status").stdout.splitlines()[1:5]}
    assert "failing since 1970-01-01 00:00:00Z" in lines["dark"]
    assert "healed since" in lines["site/healed"]
    assert "since" not in lines["site/closed"] + lines["well"]
    rows = {row["stream"]: row["incidents"] for row in json.loads(sentinel.run("status", "--json").stdout)["streams"]}
    assert [row["state"] for row in rows["dark"]] == ["failing"]
    assert rows["dark"][0]["id"] == only(store, "dark").id
    assert rows["site/closed"] == rows["well"] == []


def offline(store: Store, name: str, since: float = 1000.0) -> None:
    """Let `name`, the last of whose windows passed, be silent."""
    stream(store, name, judged(0, "pass", stream=name))
    store.client.zadd(keys.STREAMS, {name: since})
    store.streams.note(silence_note(since, noticed_at=since + 180.0, stream=name))
    commit_to(store, name)


def test_a_silence_is_shown_without_windows_and_what_to_do_about_it(sentinel: CommandLine, store: Store) -> None:
    of_each_state(store)
    offline(store, "gate")
    _, *lines = sentinel.run("incidents", "list").stdout.splitlines()
    assert [line.split()[1:3] for line in lines][:2] == [["failing", "dark"], ["offline", "gate"]]
    assert "none" in lines[1]
    chosen = json.loads(sentinel.run("incidents", "list", "--state", "offline", "--json").stdout)
    assert [row["stream"] for row in chosen] == ["gate"]
    incident = only(store, "gate")
    shown = sentinel.run("incidents", "show", incident.id).stdout
    assert shown.splitlines()[0] == "offline"
    for said in ("its power and its network", "last batch before it", "cause     offline\n", "none after position 48"):
        assert said in shown
    for absent in ("windows", "worst frames", "first frame", "capture times"):
        assert absent not in shown
    streams = [line.split()[1] for line in sentinel.run("status").stdout.splitlines()[1:6]]
    assert streams[:2] == ["dark", "gate"], "what fails, then what is offline, whatever its latest verdict was"
    assert "offline since 1970-01-01 00:16:40Z" in sentinel.run("status", "--stream", "gate").stdout
    assert "offline: offline since" in sentinel.run("events", "--type", "incident.opened", "--stream", "gate").stdout
    assert sentinel.run("incidents", "ack", incident.id, "--by", "Ida").code == 0
    commit_to(store, "gate", frames=48)
    shown = sentinel.run("incidents", "show", incident.id).stdout
    assert shown.splitlines()[0] == "closed"
    assert "closed: frames come again, it was offline for" in shown
    assert sentinel.run("doctor").stdout.count("none of 5 streams is offline") == 1


def test_the_doctor_names_streams_that_are_offline(sentinel: CommandLine, store: Store) -> None:
    for number in range(7):
        offline(store, f"gate{number}")
    found = sentinel.run("doctor").stdout
    assert "offline: gate" in found
    assert "and 2 more" in found


def test_events_about_incidents_have_a_line_each(sentinel: CommandLine, store: Store) -> None:
    of_each_state(store)
    _, *lines = sentinel.run("events", "--type", "incident").stdout.splitlines()
    assert [line.split()[2] for line in lines] == [
        "incident.opened", "incident.closed", "incident.opened", "incident.opened",
    ]  # fmt: skip
    assert "failing: black since" in lines[3]
    assert "passed the golden baseline" in lines[1]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=names)
def test_a_persons_name_and_an_outcome_are_shown_as_they_are(sentinel: CommandLine, store: Store, name: str) -> None:
    store.client.flushall()
    stream(store, "dock", judged(0, "fail", stream="dock"))
    incident = only(store, "dock")
    store.streams.note(note(name, incident=incident.id, ended=True, outcome=name))
    acknowledged = sentinel.run("incidents", "ack", incident.id, f"--by=x{name}x")
    shown_safely(acknowledged)
    assert acknowledged.code == 0, acknowledged.stderr
    commit_to(store, "dock")
    for command in (("list",), ("show", incident.id)):
        for done in (sentinel.run("incidents", *command), sentinel.run("incidents", *command, width=60)):
            shown_safely(done)
            assert done.code == 0, done.stderr
        assert printable(name)[:150] in sentinel.run("incidents", *command).stdout
        as_json = sentinel.run("incidents", *command, "--json")
        shown_safely(as_json)
        json.loads(as_json.stdout)
