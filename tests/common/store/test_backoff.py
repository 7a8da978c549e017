"""Streams whose retrainings are rejected wait longer each time, and no other stream waits for them."""

from __future__ import annotations

import time

import pytest

from common.settings import Settings
from common.store import Store, keys
from common.store.models import Outcome
from sentinel.stack.redis_server import RedisServer
from tests.common.store.test_models import wait_until_due

DAY = 86_400.0


def wait_of(store: Store, stream: str) -> float:
    """Return for how many seconds `stream` must still wait, whatever other streams wait for."""
    value = store.client.hget(keys.model_key("vfi", "waiting"), stream)
    assert value is not None
    return float(value.decode().split("|")[2]) - time.time()


def reject(store: Store, stream: str, times: int) -> None:
    for _ in range(times):
        store.champions.note_waiting("vfi", stream)
        store.champions.settle("vfi", {stream: "rejected"})


def left(store: Store) -> float:
    """Return the seconds until the next retraining of the model."""
    due = store.champions.due_at("vfi")
    assert due is not None
    return due - time.time()


def with_cooldown(redis_server: RedisServer, settings: Settings, seconds: float) -> Store:
    store = Store(redis_server.url, settings.model_copy(update={"cooldown_seconds": seconds}))
    store.client.flushall()
    return store


def test_each_rejection_in_a_row_doubles_the_wait_and_others_leave_it(store: Store) -> None:
    waits = list[float]()
    outcomes: list[Outcome] = ["rejected", "idle", "idle", "rejected", "rejected", "promoted", "rejected"]
    for number, outcome in enumerate(outcomes):
        store.champions.note_waiting("vfi", "dock")
        assert left(store) == pytest.approx(wait_of(store, "dock"), abs=0.01)
        waits.append(left(store))
        store.champions.settle("vfi", {"dock": outcome}, ended=number != 1)
    assert waits == pytest.approx([0.2, 0.4, 0.4, 0.4, 0.8, 1.6, 0.2], abs=0.15)


@pytest.mark.parametrize(("cooldown", "longest"), [(60.0, DAY), (2 * DAY, 2 * DAY)])
def test_the_longest_wait_is_a_day_or_the_cool_down(
    redis_server: RedisServer, settings: Settings, cooldown: float, longest: float
) -> None:
    store = with_cooldown(redis_server, settings, cooldown)
    reject(store, "dock", 30)
    store.champions.note_waiting("vfi", "dock")
    assert wait_of(store, "dock") == pytest.approx(longest, abs=5)


def test_a_stream_that_is_rejected_again_and_again_delays_no_other(
    redis_server: RedisServer, settings: Settings
) -> None:
    store = with_cooldown(redis_server, settings, 60.0)
    reject(store, "dock", 5)
    store.champions.note_waiting("vfi", "dock")
    assert left(store) == pytest.approx(32 * 60, abs=5)
    store.champions.note_waiting("vfi", "gate")
    assert left(store) == pytest.approx(60, abs=5)
    assert wait_of(store, "gate") == pytest.approx(60, abs=5)
    assert wait_of(store, "dock") == pytest.approx(32 * 60, abs=5), "its own wait is as it was"


def test_a_retraining_takes_the_streams_whose_own_wait_is_over_and_leaves_the_others_as_they_are(store: Store) -> None:
    reject(store, "dock", 5)
    store.champions.note_waiting("vfi", "dock")
    store.champions.note_waiting("vfi", "gate")
    assert wait_until_due(store) == ["vfi"]
    assert store.champions.accept_call("vfi")
    assert list(store.champions.noted("vfi", due_by=time.time())) == ["gate"]
    before = wait_of(store, "dock")
    assert store.champions.settle("vfi", {"gate": "promoted"}) == 1
    assert store.champions.waiting("vfi") == ["dock"]
    assert wait_of(store, "dock") == pytest.approx(before, abs=0.1)
    assert left(store) == pytest.approx(before, abs=0.1), "no retraining starts for nobody"


def test_after_a_retraining_the_cool_down_holds_for_what_is_due_earlier(
    redis_server: RedisServer, settings: Settings
) -> None:
    store = with_cooldown(redis_server, settings, 60.0)
    store.client.zadd(keys.DUE, {"vfi": 1.0})
    for stream in ("dock", "gate"):
        store.champions.note_waiting("vfi", stream)
    assert list(store.champions.noted("vfi", due_by=1.0)) == ["dock", "gate"]
    store.champions.settle("vfi", {})
    assert left(store) == pytest.approx(60, abs=5)
    store.client.zadd(keys.DUE, {"vfi": time.time() + 90})
    store.champions.settle("vfi", {"dock": "idle"}, ended=False)
    assert left(store) == pytest.approx(90, abs=5), "none ran, so it is due as it was"


def test_a_stream_without_rejections_joins_what_is_planned_and_one_with_some_does_not(
    redis_server: RedisServer, settings: Settings
) -> None:
    store = with_cooldown(redis_server, settings, 60.0)
    reject(store, "dock", 1)
    store.champions.note_waiting("vfi", "gate")
    store.client.zadd(keys.DUE, {"vfi": time.time() + 10})
    for stream in ("dock", "yard"):
        store.champions.note_waiting("vfi", stream)
    assert wait_of(store, "yard") == pytest.approx(10, abs=5)
    assert wait_of(store, "dock") == pytest.approx(120, abs=5)
    assert left(store) == pytest.approx(10, abs=5)


def test_a_stream_that_was_noted_while_its_retraining_ran_waits_anew_as_its_rejections_say(store: Store) -> None:
    reject(store, "dock", 2)
    for stream in ("dock", "gate"):
        store.champions.note_waiting("vfi", stream)
    noted = store.champions.noted("vfi")
    time.sleep(0.05)
    for stream in ("dock", "gate"):
        assert not store.champions.note_waiting("vfi", stream)
    outcomes: dict[str, Outcome] = {"dock": "rejected", "gate": "promoted"}
    assert store.champions.settle("vfi", outcomes, noted_by=max(noted.values())) == 2
    assert wait_of(store, "dock") == pytest.approx(1.6, abs=0.15)
    assert wait_of(store, "gate") == pytest.approx(0.2, abs=0.15)
    assert left(store) == pytest.approx(0.2, abs=0.15)


def test_rejections_are_remembered_for_twice_the_longest_wait_after_the_latest(store: Store) -> None:
    reject(store, "dock", 1)
    key = keys.model_key("vfi", "rejected")
    assert store.client.ttl(key) == pytest.approx(2 * DAY, abs=60)
    store.client.expire(key, 1000)
    store.champions.note_waiting("vfi", "gate")
    store.champions.settle("vfi", {"gate": "promoted"})
    assert store.client.ttl(key) == pytest.approx(1000, abs=60), "only a rejection is a reason to remember"
    reject(store, "gate", 1)
    assert store.client.ttl(key) == pytest.approx(2 * DAY, abs=60)


def test_a_stream_that_is_forgotten_is_rejected_no_more(store: Store) -> None:
    """Its model has no champion, and a retraining ends afterwards that had begun with it."""
    for stream in ("dock", "gate"):
        reject(store, stream, 3)
        store.champions.note_waiting("vfi", stream)
    store.champions.forget("dock")
    assert store.champions.waiting("vfi") == ["gate"]
    store.champions.settle("vfi", {"dock": "rejected"})
    assert store.client.hgetall(keys.model_key("vfi", "rejected")) == {b"gate": b"3"}
    store.champions.note_waiting("vfi", "dock")
    assert wait_of(store, "dock") <= 0.2


def test_the_count_per_model_of_earlier_versions_delays_nobody(store: Store) -> None:
    store.client.set(keys.model_key("vfi", "rejections"), 9)
    reject(store, "dock", 1)
    store.champions.note_waiting("vfi", "dock")
    assert wait_of(store, "dock") == pytest.approx(0.4, abs=0.15)
