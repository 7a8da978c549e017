"""The loop of every consumer: each event at least once, and none that stops what stands behind it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
import redis
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from common.contracts.dead_letters import DeadLetterKind
from common.contracts.events import Event, WindowPassed
from common.contracts.verdicts import Status
from common.settings import Settings
from common.store import Store, keys
from common.store.ingest import RawEntry
from consumers import listener
from consumers.listener import Listener, keep_running
from sentinel.stack.redis_server import RedisServer
from tests.common.builders import verdict

PATIENCE_SECONDS = 60.0


def announce(store: Store, stop: int = 48) -> str:
    said = verdict(status=Status.PASS, stop=stop)
    event = WindowPassed.about(said, model="dock", stream="dock", key=said.id)
    store.event_log.announce(event)
    return event.id


def wait_until(what: str, true: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < deadline, f"still waiting for: {what}"
        time.sleep(0.05)


def pending(store: Store, group: str) -> int:
    return int(store.client.xpending(keys.EVENTS, group)["pending"])


def test_each_group_gets_every_event_once(store: Store) -> None:
    ids = [announce(store, stop) for stop in (48, 60)]
    for group in ("alerts", "metrics"):
        heard: list[Event] = []
        one = Listener(store, group, heard.append)
        assert one.step() == 2
        assert one.step() == 0
        assert [event.id for event in heard] == ids
        assert pending(store, group) == 0


@hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(st.sampled_from(["id", "type", "time", "data", "x"]), st.binary(max_size=30), min_size=1))
def test_an_entry_that_cannot_be_read_becomes_a_dead_letter_and_the_next_is_handled(
    store: Store, fields: dict[str, bytes]
) -> None:
    store.client.flushall()
    store.client.xadd(keys.EVENTS, fields)  # type: ignore[arg-type]
    announced = announce(store)
    heard: list[Event] = []
    assert Listener(store, "alerts", heard.append).step() == 2
    assert [event.id for event in heard] == [announced]
    (letter,) = store.event_log.dead_letters()
    assert letter.kind is DeadLetterKind.EVENT
    assert "not an event" in letter.reason
    assert pending(store, "alerts") == 0
    store.client.delete(keys.EVENTS)
    RawEntry.from_json(letter.original).send(store.client)
    ((_, again),) = store.client.xrange(keys.EVENTS)
    assert {name.decode(): value for name, value in again.items()} == fields, "a retry goes back where it came from"


def test_a_fault_in_the_consumer_itself_costs_one_event_and_keeps_its_traceback(store: Store) -> None:
    announce(store, 48)
    last = announce(store, 60)
    heard: list[str] = []

    def handle(event: Event) -> None:
        if event.id != last:
            raise KeyError("no such thing")
        heard.append(event.id)

    assert Listener(store, "alerts", handle).step() == 2
    assert heard == [last]
    (letter,) = store.event_log.dead_letters()
    assert "no such thing" in letter.reason
    assert "in handle" in letter.traceback


@pytest.mark.parametrize(
    "passing", [redis.ConnectionError("gone"), redis.ResponseError("-OOM command not allowed"), OSError("reset")]
)
def test_an_event_that_redis_was_not_there_for_comes_again(
    store: Store, monkeypatch: pytest.MonkeyPatch, passing: Exception
) -> None:
    monkeypatch.setattr(listener, "_CLAIM_AFTER_SECONDS", 0.0)
    announced = announce(store)
    heard: list[str] = []

    def handle(event: Event) -> None:
        heard.append(event.id)
        if len(heard) == 1:
            raise passing

    one = Listener(store, "alerts", handle)
    with pytest.raises(type(passing)):
        one.step()
    wait_until("it to come again", lambda: one.step() and len(heard) > 1)
    assert set(heard) == {announced}
    assert list(store.event_log.dead_letters()) == []


def test_events_of_a_consumer_that_died_are_taken_over(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "_CLAIM_AFTER_SECONDS", 0.0)
    announced = announce(store)
    store.client.xgroup_create(keys.EVENTS, "alerts", id="0")
    store.client.xreadgroup("alerts", "doomed", {keys.EVENTS: ">"})
    heard: list[Event] = []
    Listener(store, "alerts", heard.append).step()
    assert [event.id for event in heard] == [announced]


def test_a_consumer_waits_for_a_redis_that_went_away_and_goes_on(
    own_redis: RedisServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "_PAUSE_SECONDS", 0.05)
    store = Store(own_redis.url, settings)
    heard: list[str] = []
    stop = threading.Event()
    one = Listener(store, "alerts", lambda event: heard.append(event.id))
    at_work = threading.Thread(target=keep_running, args=(one.step, stop, lambda: None))
    at_work.start()
    try:
        first = announce(store, 48)
        wait_until("the first event", lambda: heard == [first])
        own_redis.stop()
        own_redis.start()
        second = announce(store, 60)
        wait_until("the second event", lambda: heard[-1] == second)
    finally:
        stop.set()
        at_work.join(PATIENCE_SECONDS)
        store.client.close()
    assert not at_work.is_alive()
