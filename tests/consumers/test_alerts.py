"""Alerts on a real Redis and real receivers: each change of an incident is told once, and nothing is lost."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest
import yaml
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from common.contracts.alerts import Alert, AlertChange
from common.contracts.events import Event, IncidentChanged, IncidentClosed, IncidentOpened
from common.contracts.ids import content_id
from common.contracts.incidents import Incident, IncidentLog, IncidentState
from common.contracts.verdicts import Cause
from common.drift.incident_notes import apply_note
from common.errors import DestinationRefused, SettingsError
from common.incident_story import time_line
from common.settings import Settings
from common.store import Store, keys
from consumers import destinations
from consumers.alerts import Alerts
from consumers.destinations import (
    GITHUB_EVENT,
    GITHUB_WORKFLOW,
    IDENTITY,
    SIGNATURE,
    TIMESTAMP,
    destinations_of,
    signature,
)
from sentinel.stack.redis_server import RedisServer, free_port
from tests.consumers.receiver import Receiver, receiver
from tests.consumers.test_listener import wait_until
from tests.consumers.test_retrain_trigger import know

ROOT = Path(__file__).parents[2]
HOSTILE = "<script>alert(1)</script> [/red] " + "x" * 150
_CLASSES = {"opened": IncidentOpened, "changed": IncidentChanged, "closed": IncidentClosed}


def incident(
    number: int = 0,
    *,
    state: IncidentState = IncidentState.FAILING,
    cause: Cause = Cause.NOISE,
    stream: str = "dock",
    muted: bool = False,
    acknowledged_by: str | None = None,
    ended: str = "",
) -> Incident:
    return Incident(
        id=content_id("incident", stream, number), stream=stream, model="vfi", golden_id="b1", state=state, cause=cause,
        causes={cause: 1}, since=0, since_time=1_000.0, opened_at=1_000.0, latest_at=1_001.0, occurrences=(1_000.0,),
        muted=muted, acknowledged_by=acknowledged_by, ended=ended,
    )  # fmt: skip


def event(kind: str, said: Incident, at: float) -> Event:
    found = _CLASSES[kind].about(said, model="vfi", stream=said.stream, key=f"{said.id} {at} {kind}")
    return found.model_copy(update={"time": at, "entry_id": f"{int(at * 1000)}-0"})


@pytest.fixture
def heard() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


def shown(store: Store, alerts: Alerts, kind: str, said: Incident, at: float) -> None:
    """Let an incident be as the reducer leaves it, and its event be read."""
    key = keys.stream_key(said.stream, "window")
    stored = store.client.hget(key, "incidents")
    others = [row for row in (IncidentLog.from_json(stored).open if stored else ()) if row.id != said.id]
    log = IncidentLog(open=tuple(others if said.state is IncidentState.CLOSED else [*others, said]))
    store.client.hset(key, "incidents", log.to_json())
    alerts.note(event(kind, said, at))


def alerts_to(store: Store, redis_server: RedisServer, settings: Settings, **own: object) -> Alerts:
    chosen = settings.model_copy(update={"alert_delay_seconds": 0.0, **own})
    return Alerts(Store(redis_server.url, chosen), destinations_of(chosen))


@pytest.fixture
def hooked(store: Store, redis_server: RedisServer, settings: Settings, heard: Receiver) -> Alerts:
    return alerts_to(store, redis_server, settings, alert_webhooks=(f"{heard.url}/hook",))


def later() -> float:
    return time.time() + 1.0


# --- what is told, and how often

STEPS = st.lists(st.tuples(st.sampled_from(list(IncidentState)), st.booleans(), st.booleans()), min_size=1, max_size=8)


def expected(steps: Sequence[tuple[IncidentState, bool, bool]]) -> list[tuple[float, str]]:
    """What is told of steps in their order: a beginning after an end, an end after a beginning that was told."""
    told: list[tuple[float, str]] = []
    known = ""
    for number, (state, muted, acknowledged) in enumerate(steps):
        quiet = muted or acknowledged
        if state in {IncidentState.FAILING, IncidentState.OFFLINE}:
            if known != "began" and not quiet:
                told.append((number + 1.0, "began"))
            known = known if known == "began" else "quiet" if quiet else "began"
        elif known == "began":
            known = "quiet" if quiet else "over"
            told += [] if quiet else [(number + 1.0, "over")]
    return told


@hypothesis_settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(STEPS, st.randoms(use_true_random=False))
def test_each_change_is_told_once_however_often_events_come_again(
    hooked: Alerts, heard: Receiver, store: Store, steps: list[tuple[IncidentState, bool, bool]], random: Random
) -> None:
    """The law: events that come again, in whatever order, change nothing of what is told."""
    store.client.flushall()
    heard.taken.clear()
    told: list[tuple[float, str]] = []
    said = [
        incident(state=state, muted=muted, acknowledged_by="ann" if known else None) for state, muted, known in steps
    ]
    for number, one in enumerate(said):
        shown(store, hooked, "changed", one, number + 1.0)
        for again in random.sample(range(number + 1), random.randrange(number + 2)):
            hooked.note(event("changed", said[again], again + 1.0))
        hooked.send(later())
        told += sorted((row["time"], row["change"]) for row in heard.messages)
        heard.taken.clear()
    assert told == expected(steps)


def test_what_is_acknowledged_before_it_is_sent_is_told_to_nobody(
    hooked: Alerts, heard: Receiver, store: Store
) -> None:
    shown(store, hooked, "opened", incident(), 1.0)
    shown(store, hooked, "changed", incident(acknowledged_by="ann"), 2.0)
    hooked.send(later())
    shown(store, hooked, "closed", incident(state=IncidentState.CLOSED, acknowledged_by="ann"), 3.0)
    hooked.send(later())
    assert heard.messages == []
    assert store.alerts.waiting() == 0


def test_what_is_over_before_it_is_sent_is_told_to_nobody(hooked: Alerts, heard: Receiver, store: Store) -> None:
    """Also where one commit opens and closes it: both events then have one time."""
    opened = event("opened", incident(), 1.0)
    hooked.note(opened)
    closed = event("closed", incident(state=IncidentState.CLOSED), 1.0)
    hooked.note(closed.model_copy(update={"entry_id": "1000-1"}))
    hooked.send(later())
    hooked.send(later() + 60)
    assert heard.messages == []
    assert store.alerts.waiting() == 0


def test_the_end_that_one_commit_brings_with_another_change_is_told(
    hooked: Alerts, heard: Receiver, store: Store
) -> None:
    shown(store, hooked, "opened", incident(), 1.0)
    hooked.send(later())
    for number, kind in enumerate(("changed", "closed")):
        said = incident(state=IncidentState.FAILING if kind == "changed" else IncidentState.CLOSED)
        hooked.note(event(kind, said, 2.0).model_copy(update={"entry_id": f"2000-{number}"}))
    hooked.send(later())
    assert [row["change"] for row in heard.messages] == ["began", "over"]


def test_whoever_was_not_told_of_the_beginning_is_not_told_of_the_end(
    store: Store, redis_server: RedisServer, settings: Settings, heard: Receiver
) -> None:
    with receiver() as away:
        away.status = 503
        alerts = alerts_to(store, redis_server, settings, alert_webhooks=(heard.url, away.url))
        shown(store, alerts, "opened", incident(), 1.0)
        now = later()
        alerts.send(now)
        shown(store, alerts, "closed", incident(state=IncidentState.CLOSED), 2.0)
        away.status = 200
        for after in (1, 60, 600):
            alerts.send(now + after)
        assert [row["change"] for row in heard.messages] == ["began", "over"]
        assert away.messages == []
        assert store.alerts.waiting() == 0


def test_the_message_says_what_is_wrong_what_is_done_and_where_to_look(
    store: Store, redis_server: RedisServer, settings: Settings, heard: Receiver
) -> None:
    own = {"alert_webhooks": (heard.url,), "page_url": "https://sentinel.example/"}
    alerts = alerts_to(store, redis_server, settings, **own)
    shown(store, alerts, "opened", incident(), 1.0)
    alerts.send(later())
    shown(store, alerts, "closed", incident(state=IncidentState.CLOSED, ended="12 windows passed"), 2.0)
    alerts.send(later())
    began, over = sorted(heard.messages, key=lambda row: row["time"])
    assert began["title"] == "dock: noise since 1970-01-01 00:16:40Z"
    assert "Model vfi is retrained for it by itself. Please look at the camera." in began["body"]
    assert began["link"] == f"https://sentinel.example/#/incident/{incident().id}"
    assert (over["title"], over["body"]) == ("dock: noise is over", "It began 1970-01-01 00:16:40Z. 12 windows passed")


def test_the_time_line_of_the_incident_says_who_was_told(hooked: Alerts, heard: Receiver, store: Store) -> None:
    know(store)
    shown(store, hooked, "opened", incident(), 1.0)
    hooked.send(later())
    (row,) = store.streams.window("dock").notes
    assert row.note is not None
    log, _ = apply_note(IncidentLog(open=(incident(),)), row.note)
    (moment,) = [moment for moment in time_line(log.open[0]) if "alert ended" in moment.what]
    assert moment.what == "alert ended: told webhook 127.0.0.1 that it began"


def test_a_hostile_name_is_text(store: Store, redis_server: RedisServer, settings: Settings, heard: Receiver) -> None:
    alerts = alerts_to(store, redis_server, settings, alert_urls=(heard.url.replace("http", "json"),))
    shown(store, alerts, "opened", incident(stream=HOSTILE), 1.0)
    alerts.send(later())
    (message,) = heard.messages
    assert "\n" not in message["title"]
    assert "<script>alert(1)</script> [/red]" in message["title"]


# --- many at once


def test_many_at_once_are_one_message_for_people_and_each_its_own_for_machines(
    store: Store, redis_server: RedisServer, settings: Settings, heard: Receiver
) -> None:
    own = {"alert_webhooks": (f"{heard.url}/hook",), "alert_urls": (heard.url.replace("http", "json") + "/people",)}
    alerts = alerts_to(store, redis_server, settings, **own)
    for number in range(30):
        shown(store, alerts, "opened", incident(stream=f"cam{number:02d}"), float(number + 1))
    alerts.send(later())
    paths = [path for path, _, _ in heard.taken]
    assert paths.count("/hook") == 30
    (people,) = [row for row, path in zip(heard.messages, paths, strict=True) if path != "/hook"]
    assert people["title"] == "30 changes at once"
    assert people["message"].count("- cam") == 20
    assert "and 10 more" in people["message"]
    assert store.alerts.waiting() == 0


# --- what is not taken


def test_what_is_not_taken_is_tried_again_at_that_place_alone_and_ever_more_seldom(
    store: Store, redis_server: RedisServer, settings: Settings, heard: Receiver
) -> None:
    with receiver() as other:
        alerts = alerts_to(store, redis_server, settings, alert_webhooks=(heard.url, other.url))
        other.status = 503
        shown(store, alerts, "opened", incident(), 1.0)
        now = later()
        for after in (0, 4, 6, 10, 16):  # pauses of 5 and 10 seconds
            alerts.send(now + after)
        assert (heard.asked, other.asked) == (1, 3)
        other.status = 200
        alerts.send(now + 40)
        assert (heard.asked, len(other.taken)) == (1, 1)
        assert store.alerts.waiting() == 0


def test_an_alert_that_a_process_died_with_comes_again_with_the_same_id(
    hooked: Alerts, heard: Receiver, store: Store
) -> None:
    shown(store, hooked, "opened", incident(), 1.0)
    now = later()
    (taken,) = store.alerts.take(now=now, back_at=now + 120, most=10)
    hooked.send(now + 60)
    assert heard.taken == []
    hooked.send(now + 121)
    assert [headers[IDENTITY] for _, headers, _ in heard.taken] == [taken.id]
    assert not store.alerts.settle(taken, taken_until=now + 120, due=now), "who was slow changes nothing any more"
    assert store.alerts.waiting() == 0


def test_what_nobody_takes_for_a_week_becomes_a_dead_letter(hooked: Alerts, heard: Receiver, store: Store) -> None:
    heard.status = 500
    shown(store, hooked, "opened", incident(), 1.0)
    (alert,) = store.alerts.take(now=later(), back_at=9e9, most=1)
    store.alerts.settle(alert.model_copy(update={"attempts": 999}), taken_until=9e9, due=0.0)
    hooked.send(later())
    (letter,) = store.event_log.dead_letters()
    assert "did not take it in 1000 attempts: dock: noise since" in letter.reason
    assert "127.0.0.1" in letter.reason
    assert store.alerts.waiting() == 0


def test_a_receiver_that_sends_elsewhere_is_not_followed(hooked: Alerts, heard: Receiver, store: Store) -> None:
    heard.status = 307
    shown(store, hooked, "opened", incident(), 1.0)
    hooked.send(later())
    assert heard.asked == 1
    assert store.alerts.waiting() == 1


@pytest.mark.parametrize("answer", [b"nonsense\r\n\r\n", b"", b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200 + b"\r\n"])
def test_a_receiver_that_is_no_web_server_holds_up_no_other(
    answer: bytes, store: Store, redis_server: RedisServer, settings: Settings, heard: Receiver
) -> None:
    with speaker(answer) as url:
        alerts = alerts_to(store, redis_server, settings, alert_webhooks=(url, heard.url))
        for number in range(3):
            shown(store, alerts, "opened", incident(stream=f"cam{number}"), number + 1.0)
        alerts.send(later())
        assert len(heard.taken) == 3
        assert store.alerts.waiting() == 3


@contextmanager
def speaker(answer: bytes) -> Iterator[str]:
    """A server that says the same to everybody, whatever they ask."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def speak() -> None:
            with suppress(OSError):
                while True:
                    one, _ = server.accept()
                    with one, suppress(OSError):
                        one.recv(65_536)
                        one.sendall(answer)

        threading.Thread(target=speak, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def test_a_stream_that_is_forgotten_leaves_no_alert(hooked: Alerts, heard: Receiver, store: Store) -> None:
    shown(store, hooked, "opened", incident(), 1.0)
    shown(store, hooked, "opened", incident(stream="gate"), 1.0)
    assert store.alerts.forget("dock") == 1
    hooked.send(later())
    assert [row["stream"] for row in heard.messages] == ["gate"]


# --- who is told


def test_a_webhook_is_signed(store: Store, redis_server: RedisServer, settings: Settings, heard: Receiver) -> None:
    alerts = alerts_to(store, redis_server, settings, alert_webhooks=(heard.url,), alert_secret="s3cret")
    shown(store, alerts, "opened", incident(), 1.0)
    alerts.send(later())
    ((_, headers, body),) = heard.taken
    assert headers[SIGNATURE] == signature("s3cret", headers[TIMESTAMP], body)
    assert headers[SIGNATURE] != signature("other", headers[TIMESTAMP], body)
    assert abs(time.time() - int(headers[TIMESTAMP])) < 60


def test_the_red_phone_rings_once_for_what_the_policy_trains_on(
    store: Store, redis_server: RedisServer, settings: Settings, heard: Receiver
) -> None:
    own = {"github_repository": "lab/vfi", "github_token": "t0ken", "github_api": heard.url}
    alerts = alerts_to(store, redis_server, settings, **own)
    for number, cause in enumerate((Cause.NOISE, Cause.COVERED)):
        shown(store, alerts, "opened", incident(number, cause=cause), 1.0)
        shown(store, alerts, "changed", incident(number, cause=cause), 2.0)
        alerts.send(later())
        shown(store, alerts, "closed", incident(number, cause=cause, state=IncidentState.CLOSED), 3.0)
        alerts.send(later())
    ((path, headers, _),) = heard.taken
    (message,) = heard.messages
    assert path == "/repos/lab/vfi/dispatches"
    assert headers["Authorization"] == "Bearer t0ken"
    assert message["event_type"] == GITHUB_EVENT
    assert (message["client_payload"]["stream"], message["client_payload"]["cause"]) == ("dock", "noise")


@dataclass
class Gh:
    """A program of the name gh on the path, which records how it was called."""

    folder: Path

    def install(self, body: str) -> None:
        """Write it; its arguments, ended by NUL, come to a file a call, then it does what `body` says."""
        program = self.folder / "gh"
        program.write_text(
            f"#!/bin/sh\nprintf '%s\\0' \"$@\" > '{self.folder}'/call-$$\nenv > '{self.folder}'/env\n{body}\n"
        )
        program.chmod(0o755)

    @property
    def calls(self) -> list[list[str]]:
        return [path.read_text().split("\0")[:-1] for path in sorted(self.folder.glob("call-*"))]

    @property
    def environment(self) -> str:
        return (self.folder / "env").read_text()


def alert() -> Alert:
    return Alert(
        id="a", incident="i", stream="dock", model="vfi", cause=Cause.NOISE, change=AlertChange.BEGAN, title="t",
        body="b", link="", trains=True, time=1.0, open_to=(),
    )  # fmt: skip


@pytest.fixture
def gh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gh:
    found = Gh(tmp_path / "bin")
    found.folder.mkdir()
    monkeypatch.setenv("PATH", str(found.folder), prepend=os.pathsep)
    return found


def test_where_gh_is_and_no_token_it_starts_the_workflow_with_what_that_asks_for(
    store: Store, redis_server: RedisServer, settings: Settings, gh: Gh, monkeypatch: pytest.MonkeyPatch
) -> None:
    gh.install("exit 0")
    monkeypatch.setenv("SENTINEL_PAGE_TOKEN", "s3cret")
    hostile = "@/etc/passwd $(touch pwned); --repo x"
    know(store, hostile)
    alerts = alerts_to(store, redis_server, settings, github_repository="lab/vfi")
    shown(store, alerts, "opened", incident(cause=Cause.NOISE, stream=hostile), 1.0)
    alerts.send(later())
    alerts.send(later())
    (call,) = gh.calls
    assert call[:5] == ["workflow", "run", "retrain.yml", "--repo", "lab/vfi"]
    assert call[5::2] == ["--raw-field"] * 6
    sent = dict(field.split("=", 1) for field in call[6::2])
    assert (sent["stream"], sent["cause"]) == (hostile, "noise")
    assert "s3cret" not in gh.environment
    workflow = yaml.safe_load((ROOT / "deploy" / "github" / GITHUB_WORKFLOW).read_text())
    started_by = workflow[True]  # YAML takes `on` for a truth value
    inputs = started_by["workflow_dispatch"]["inputs"]
    assert {name for name, about in inputs.items() if about.get("required")} <= set(sent) <= set(inputs)
    assert started_by["repository_dispatch"]["types"] == [GITHUB_EVENT]


def test_gh_is_told_of_another_host(settings: Settings, gh: Gh) -> None:
    gh.install("exit 0")
    own = {"github_repository": "lab/vfi", "github_api": "https://git.example/api/v3"}
    (phone,) = destinations_of(settings.model_copy(update=own)).values()
    phone.send([alert()], None)
    (call,) = gh.calls
    assert call[4] == "git.example/lab/vfi"


def test_a_gh_that_fails_or_hangs_is_a_destination_that_refuses(
    settings: Settings, gh: Gh, monkeypatch: pytest.MonkeyPatch
) -> None:
    gh.install("echo 'HTTP 404: \033[31mno workflow' >&2; exit 1")
    (phone,) = destinations_of(settings.model_copy(update={"github_repository": "lab/vfi"})).values()
    with pytest.raises(DestinationRefused, match="ends with 1: HTTP 404") as found:
        phone.send([alert()], None)
    assert "\033" not in str(found.value)
    monkeypatch.setattr(destinations, "_GH_SECONDS", 0.5)
    gh.install("exec sleep 60")
    with pytest.raises(DestinationRefused, match="not started it in"):
        phone.send([alert()], None)
    (gh.folder / "gh").unlink()
    with pytest.raises(DestinationRefused, match="cannot be run"):
        phone.send([alert()], None)


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({"alert_urls": ("nonsense",)}, "is no URL that Apprise knows"),
        ({"alert_webhooks": ("ftp://host/secret",)}, "ftp://… is no address that begins with http"),
        ({"alert_webhooks": ("http://host:port/secret",)}, "http://… is no address"),
        ({"github_repository": "lab/vfi"}, "set SENTINEL_GITHUB_TOKEN too, or install gh"),
        ({"github_repository": "lab/vfi", "github_token": "a\nsecret"}, "blanks or signs that no token has"),
        ({"github_repository": "lab", "github_token": "t"}, "write owner/name"),
        ({"github_repository": "lab/--web", "github_token": "t"}, "write owner/name"),
    ],
)
def test_an_address_that_is_none_is_said_without_its_secret(
    own: dict[str, object], said: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")  # where no gh is
    with pytest.raises(SettingsError, match=said) as found:
        destinations_of(settings.model_copy(update=own))
    assert "secret" not in str(found.value)


# --- the process


def test_a_process_that_is_killed_at_any_time_tells_each_incident_once(
    own_redis: RedisServer, settings: Settings, tmp_path: Path
) -> None:
    """Killed between two messages: what was sent and not yet settled may come twice, with one id."""
    store, port = Store(own_redis.url, settings), free_port()
    numbers = Random(7)
    with receiver(port) as heard, (tmp_path / "log").open("wb") as log:
        for number in range(40):
            said = incident(number, stream=f"cam{number}")
            key = keys.stream_key(said.stream, "window")
            store.client.hset(key, "incidents", IncidentLog(open=(said,)).to_json())
            store.event_log.announce(event("opened", said, time.time()))
        own = {
            "SENTINEL_REDIS_URL": own_redis.url,
            "SENTINEL_ALERT_WEBHOOKS": heard.url,
            "SENTINEL_ALERT_DELAY_SECONDS": "0",
        }

        def start() -> subprocess.Popen[bytes]:
            command = [sys.executable, "-m", "sentinel", "alerts"]
            return subprocess.Popen(command, env={**os.environ, **own}, stdout=log, stderr=log)

        process = start()
        try:
            for wanted in (1, 12):
                wait_until("some are told", lambda wanted=wanted: len(heard.taken) >= wanted)  # type: ignore[misc]
                time.sleep(numbers.random() * 0.05)
                process.send_signal(signal.SIGKILL)
                process.wait()
                _let_come_back(store)
                process = start()
            wait_until("all are told", lambda: store.alerts.waiting() == 0 and len(_streams(heard.messages)) == 40)
        finally:
            process.kill()
            process.wait()
        ids = [headers[IDENTITY] for _, headers, _ in heard.taken]
        assert len(set(ids)) == 40, "one id an incident"
        assert len(ids) - 40 <= 2, "at most the one that was under way at each kill"


def _streams(messages: Sequence[dict[str, object]]) -> set[object]:
    return {row["stream"] for row in messages}


def _let_come_back(store: Store) -> None:
    """Let the minutes pass after which what a dead process had taken is sent by another one."""
    for alert_id, due in store.client.zscan_iter("sentinel:alerts:due"):
        store.client.zadd("sentinel:alerts:due", {alert_id: due - 400})
