"""Champions and waiting FAILs: compare-and-set, one burst one retraining, one holder of a lease."""

from __future__ import annotations

import threading
import time

import pytest

from common.contracts.events import ChampionPromoted
from common.contracts.models import Hold
from common.store import Store, keys, models
from tests.common.builders import record, verdict


def wait_until_due(store: Store) -> list[str]:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if due := store.champions.take_due(again_after=60):
            return due
        time.sleep(0.02)
    return []


def test_of_many_that_promote_over_one_version_one_wins(store: Store) -> None:
    assert store.champions.promote(record(1), over=0, announce=None)
    wins: list[bool] = []
    challengers = [record(2, parent=1, model_path=f"/m{number}") for number in range(8)]
    threads = [
        threading.Thread(target=lambda mine=mine: wins.append(store.champions.promote(mine, over=1, announce=None)))
        for mine in challengers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(wins) == [False] * 7 + [True]
    assert [row.version for row in store.champions.history("dock")] == [1, 2]


def test_a_burst_of_fails_is_due_once_and_after_its_cool_down(store: Store) -> None:
    for stop in (48, 60, 72):
        assert store.champions.note_fail("dock", f"e{stop}", verdict(stop=stop))
    assert not store.champions.note_fail("dock", "e48", verdict(stop=48)), "the same FAIL joins once"
    assert store.champions.take_due(again_after=60) == [], "the cool-down has just begun"
    assert wait_until_due(store) == ["dock"]
    assert store.champions.take_due(again_after=60) == [], "and it is named once"
    assert len(store.champions.waiting("dock")) == 3


def test_fails_wait_aside_until_their_run_is_confirmed(store: Store) -> None:
    def note(stop: int, *, confirmed: bool, since: int) -> bool:
        return store.champions.note_fail("dock", f"e{stop}", verdict(stop=stop, confirmed=confirmed, since=since))

    assert note(48, confirmed=False, since=0)
    assert note(500, confirmed=False, since=452), "another run: the first was an accident"
    assert note(512, confirmed=False, since=452)
    assert not note(512, confirmed=False, since=452), "the same FAIL waits once"
    assert store.champions.due_at("dock") is None
    assert store.champions.waiting("dock") == {}
    assert note(524, confirmed=True, since=452)
    assert sorted(store.champions.waiting("dock")) == ["e500", "e512", "e524"], "the whole run, not the accident"
    assert wait_until_due(store) == ["dock"]
    assert store.client.keys("*run:*") == []


def test_a_retraining_whose_task_was_lost_becomes_due_again(store: Store) -> None:
    store.champions.note_fail("dock", "e1", verdict())
    assert wait_until_due(store) == ["dock"]
    store.champions.take_due(again_after=0.0)
    deadline = time.monotonic() + 10
    store.client.zadd("sentinel:retrain:due", {"dock": time.time()})
    assert wait_until_due(store) == ["dock"]
    assert time.monotonic() < deadline


def test_a_settled_burst_is_no_longer_due(store: Store) -> None:
    store.champions.note_fail("dock", "e1", verdict())
    store.champions.note_fail("dock", "e2", verdict(stop=60))
    assert store.champions.settle("dock", ["e1"], "promoted") == 1
    assert store.champions.due_at("dock") is not None
    assert store.champions.settle("dock", ["e2"], "promoted") == 0
    assert store.champions.due_at("dock") is None


def test_each_rejection_in_a_row_doubles_the_wait(store: Store) -> None:
    waits = []
    for attempt in range(4):
        store.champions.note_fail("dock", f"e{attempt}", verdict())
        due = store.champions.due_at("dock")
        assert due is not None
        waits.append(due - time.time())
        store.champions.settle("dock", [f"e{attempt}"], "rejected")
    assert waits == pytest.approx([0.2, 0.4, 0.8, 1.6], abs=0.15)
    store.champions.settle("dock", [], "promoted")
    store.champions.note_fail("dock", "last", verdict())
    assert (store.champions.due_at("dock") or 0) - time.time() <= 0.2


def test_one_holder_at_a_time_may_retrain_a_model(store: Store) -> None:
    with (
        store.champions.lease("dock") as first,
        store.champions.lease("dock") as second,
        store.champions.lease("x") as other,
    ):
        assert (first, second, other) == (True, False, True)
    with store.champions.lease("dock") as again:
        assert again


def test_a_promotion_whose_answer_was_lost_and_that_is_asked_for_again_happens_once(store: Store) -> None:
    event = ChampionPromoted.about(record(1), model="dock")
    assert store.champions.promote(record(1), over=0, announce=event)
    assert store.champions.promote(record(1), over=0, announce=event)
    assert [row.version for row in store.champions.history("dock")] == [1]
    assert len(list(store.event_log.events())) == 1


def test_a_call_can_be_accepted_once_and_only_after_the_cool_down(store: Store) -> None:
    store.champions.note_fail("dock", "e1", verdict())
    assert not store.champions.accept_call("dock"), "the cool-down has just begun"
    assert wait_until_due(store) == ["dock"]
    assert store.champions.accept_call("dock")
    assert not store.champions.accept_call("dock")
    assert not store.champions.accept_call("another")


def test_a_call_that_came_while_its_retraining_ran_does_not_outlive_it(store: Store) -> None:
    store.champions.note_fail("dock", "e1", verdict())
    assert wait_until_due(store) == ["dock"]
    assert store.champions.accept_call("dock")
    store.client.zadd(keys.DUE, {"dock": 0.0})
    assert store.champions.take_due(again_after=60) == ["dock"], "it takes longer than a lost task would"
    store.champions.note_fail("dock", "e2", verdict(stop=60))
    store.champions.settle("dock", ["e1"], "rejected")
    assert not store.champions.accept_call("dock"), "e2 waits for a cool-down of its own"


def test_of_more_fails_than_may_wait_the_latest_do(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "_MOST_WAITING_FAILS", 5)
    for number in range(12):
        assert store.champions.note_fail("dock", f"e{number:02d}", verdict(stop=48 + number))
    assert sorted(store.champions.waiting("dock")) == [f"e{number:02d}" for number in range(7, 12)]
    store.champions.settle("dock", list(store.champions.waiting("dock")), "promoted")
    assert store.client.keys("sentinel:model:*") == []


def test_fails_of_a_held_model_wait_and_are_due_once_it_is_released(store: Store) -> None:
    hold = Hold(model="dock", version=1, reason="rolled back", since=0.0)
    store.champions.promote(record(1), over=0, announce=None, hold=hold)
    store.champions.note_fail("dock", "e1", verdict())
    store.champions.note_fail("gate", "e1", verdict())
    assert wait_until_due(store) == ["gate"]
    assert store.champions.take_due(again_after=60) == []
    assert store.champions.held("dock") == hold
    assert store.champions.release("dock")
    assert wait_until_due(store) == ["dock"]
    assert list(store.champions.waiting("dock")) == ["e1"]
    assert not store.champions.release("dock")


def test_the_lease_of_a_killed_holder_runs_out_and_that_of_a_live_one_does_not(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "_LEASE_SECONDS", 0.5)
    monkeypatch.setattr(models, "_RENEW_SECONDS", 0.1)
    with store.champions.lease("dock") as held:
        assert held
        time.sleep(1.5)
        with store.champions.lease("dock") as second:
            assert not second, "it is renewed while it is held"
        assert store.champions.is_leased("dock")
    assert not store.champions.is_leased("dock")
    store.client.lock(keys.model_key("dock", "lease"), timeout=0.3).acquire()  # and the process was gone
    with store.champions.lease("dock") as early:
        assert not early
    time.sleep(0.4)
    with store.champions.lease("dock") as late:
        assert late


def test_a_lease_that_ran_out_takes_nothing_from_the_next_holder(store: Store) -> None:
    with store.champions.lease("dock"):
        store.client.delete(keys.model_key("dock", "lease"))  # Redis was away for longer than the lease lasts
        other = store.client.lock(keys.model_key("dock", "lease"), timeout=20)
        assert other.acquire(blocking=False)
    assert other.owned()
