"""Champions, their conditions and the streams that wait: compare-and-set, one burst one retraining, one lease."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence

import pytest

from common.contracts.events import ChampionPromoted, ConditionDropped, Event
from common.contracts.models import ChampionRecord, Hold
from common.store import Store, keys, lease
from tests.common.builders import condition_record, record


def wait_until_due(store: Store) -> list[str]:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if due := store.champions.take_due(again_after=60):
            return due
        time.sleep(0.02)
    return []


def test_of_many_that_promote_over_one_version_one_wins(store: Store) -> None:
    assert store.champions.promote(record(1), over=0)
    wins: list[bool] = []
    challengers = [record(2, parent=1, model_path=f"/m{number}") for number in range(8)]
    threads = [
        threading.Thread(target=lambda mine=mine: wins.append(store.champions.promote(mine, over=1)))
        for mine in challengers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(wins) == [False] * 7 + [True]
    assert [row.version for row in store.champions.history("vfi")] == [1, 2]


def test_a_promotion_whose_answer_was_lost_and_that_is_asked_for_again_happens_once(store: Store) -> None:
    event = ChampionPromoted.about(record(1), model="vfi")
    assert store.champions.promote(record(1), over=0, announce=[event])
    assert store.champions.promote(record(1), over=0, announce=[event])
    second = record(2, parent=1)
    for _ in range(2):
        assert store.champions.promote(second, over=record(1))
    assert store.champions.history("vfi") == [record(1), second]
    assert len(list(store.event_log.events())) == 1


def test_a_promotion_over_a_record_fails_if_its_conditions_are_no_longer_those(store: Store) -> None:
    over = record(1, conditions=(condition_record("a"),))
    store.champions.promote(over, over=0)
    store.champions.amend("vfi", lambda champion: (champion.model_copy(update={"conditions": ()}), []))
    assert not store.champions.promote(record(2, parent=1), over=over)
    assert not store.champions.promote(record(2, model="x"), over=record(1, model="x")), "there is none"
    assert store.champions.promote(record(2, parent=1), over=record(1))
    assert store.champions.models() == ["vfi"]


# --- amend


def test_an_amendment_replaces_the_champions_record_and_the_last_of_its_history(store: Store) -> None:
    row = condition_record("a")
    store.champions.promote(record(1), over=0)
    store.champions.promote(record(2, parent=1), over=1)
    amended = record(2, parent=1, conditions=(row,))
    dropped = ConditionDropped.about(row, model="vfi", stream="dock", key="k")
    store.champions.amend("vfi", lambda _: (amended, [dropped]))
    assert store.champions.champion("vfi") == amended
    assert store.champions.history("vfi") == [record(1), amended]
    (event,) = store.event_log.events()
    assert event.model_copy(update={"entry_id": ""}) == dropped


def test_of_many_that_amend_at_once_no_change_is_lost(store: Store) -> None:
    """The law: each reads the record, adds its own condition, and starts anew if another one was quicker."""
    store.champions.promote(record(1), over=0)
    rows = [condition_record(f"c{number}") for number in range(8)]

    def add(row_number: int) -> None:
        def change(champion: ChampionRecord) -> tuple[ChampionRecord, Sequence[Event]]:
            row = rows[row_number]
            event = ConditionDropped.about(row, model="vfi", stream="dock", key=row.id)
            return champion.model_copy(update={"conditions": (*champion.conditions, row)}), [event]

        store.champions.amend("vfi", change)

    threads = [threading.Thread(target=add, args=(number,)) for number in range(len(rows))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    champion = store.champions.champion("vfi")
    assert champion is not None
    assert sorted(row.id for row in champion.conditions) == sorted(row.id for row in rows)
    assert store.champions.history("vfi") == [champion]
    assert len(list(store.event_log.events())) == len(rows), "each change is announced once"


def test_an_amendment_that_changes_nothing_or_has_no_champion_writes_nothing(store: Store) -> None:
    asked: list[ChampionRecord] = []

    def same(champion: ChampionRecord) -> tuple[ChampionRecord, Sequence[Event]]:
        asked.append(champion)
        return champion, [ChampionPromoted.about(champion, model="vfi")]

    store.champions.amend("vfi", same)
    assert (asked, store.client.keys("sentinel:*")) == ([], [])
    store.champions.promote(record(1), over=0)
    store.champions.amend("vfi", same)
    assert asked == [record(1)]
    assert list(store.event_log.events()) == []


def test_a_champion_of_the_version_before_is_amended_as_todays(store: Store) -> None:
    """What is compared is the record as it is stored, in whatever format."""
    fields = {
        "format": 2, "model": "vfi", "version": 1, "baseline_path": "/b", "baseline_id": "b", "model_path": None,
        "origin_id": "b", "parent": None, "reason": "old", "gain_db": None, "loss_db": None, "created_at": 0.0,
    }  # fmt: skip
    old = json.dumps(fields)
    store.client.set(keys.model_key("vfi", "champion"), old)
    store.client.rpush(keys.model_key("vfi", "history"), old)
    row = condition_record("a")
    store.champions.amend("vfi", lambda champion: (champion.model_copy(update={"conditions": (row,)}), []))
    champion = store.champions.champion("vfi")
    assert champion is not None
    assert (champion.reason, champion.conditions, champion.model_digest) == ("old", (row,), None)
    assert store.champions.promote(record(2), over=champion)


# --- streams that wait


def test_a_burst_of_streams_is_due_once_and_after_its_cool_down(store: Store) -> None:
    for stream in ("dock", "gate", "yard"):
        assert store.champions.note_waiting("vfi", stream)
    assert not store.champions.note_waiting("vfi", "dock"), "the same stream waits once"
    assert store.champions.take_due(again_after=60) == [], "the cool-down has just begun"
    assert wait_until_due(store) == ["vfi"]
    assert store.champions.take_due(again_after=60) == [], "and it is named once"
    assert store.champions.waiting("vfi") == ["dock", "gate", "yard"], "in the order in which they came"
    assert store.champions.waiting_count("vfi") == 3
    assert (store.champions.waiting("x"), store.champions.waiting_count("x")) == ([], 0)


def test_streams_that_join_do_not_put_the_retraining_off(store: Store) -> None:
    store.champions.note_waiting("vfi", "dock")
    due = store.champions.due_at("vfi")
    time.sleep(0.05)
    store.champions.note_waiting("vfi", "gate")
    assert store.champions.due_at("vfi") == due


def test_a_retraining_whose_task_was_lost_becomes_due_again(store: Store) -> None:
    store.champions.note_waiting("vfi", "dock")
    assert wait_until_due(store) == ["vfi"]
    store.champions.take_due(again_after=0.0)
    store.client.zadd(keys.DUE, {"vfi": time.time()})
    assert wait_until_due(store) == ["vfi"]


def test_a_settled_burst_is_no_longer_due(store: Store) -> None:
    store.champions.note_waiting("vfi", "dock")
    store.champions.note_waiting("vfi", "gate")
    assert store.champions.settle("vfi", {"dock": "promoted"}) == 1
    assert store.champions.waiting("vfi") == ["gate"]
    assert store.champions.due_at("vfi") is not None
    assert store.champions.settle("vfi", {"gate": "promoted", "never noted": "promoted"}) == 0
    assert store.champions.due_at("vfi") is None
    assert store.client.keys("sentinel:model:*") == []


def test_a_stream_that_was_settled_may_wait_again(store: Store) -> None:
    store.champions.note_waiting("vfi", "dock")
    store.champions.settle("vfi", {"dock": "promoted"})
    assert store.champions.note_waiting("vfi", "dock")
    assert wait_until_due(store) == ["vfi"]


def test_a_call_can_be_accepted_once_and_only_after_the_cool_down(store: Store) -> None:
    store.champions.note_waiting("vfi", "dock")
    assert not store.champions.accept_call("vfi"), "the cool-down has just begun"
    assert wait_until_due(store) == ["vfi"]
    called_at = store.champions.accept_call("vfi")
    assert called_at == pytest.approx(time.time(), abs=5)
    assert store.champions.noted("vfi", due_by=called_at).keys() == {"dock"}, "what was due then is due"
    assert not store.champions.accept_call("vfi")
    assert not store.champions.accept_call("another")


def test_a_call_that_came_while_its_retraining_ran_does_not_outlive_it(store: Store) -> None:
    store.champions.note_waiting("vfi", "dock")
    assert wait_until_due(store) == ["vfi"]
    assert store.champions.accept_call("vfi")
    store.client.zadd(keys.DUE, {"vfi": 0.0})
    assert store.champions.take_due(again_after=60) == ["vfi"], "it takes longer than a lost task would"
    store.champions.note_waiting("vfi", "gate")
    store.champions.settle("vfi", {"dock": "rejected"})
    assert not store.champions.accept_call("vfi"), "gate waits for a cool-down of its own"


def test_streams_of_a_held_model_wait_and_are_due_once_it_is_released(store: Store) -> None:
    hold = Hold(model="vfi", version=1, reason="rolled back", since=0.0)
    store.champions.promote(record(1), over=0, hold=hold)
    store.champions.note_waiting("vfi", "dock")
    store.champions.note_waiting("other", "gate")
    assert wait_until_due(store) == ["other"]
    assert store.champions.take_due(again_after=60) == []
    assert store.champions.held("vfi") == hold
    assert store.champions.release("vfi")
    assert wait_until_due(store) == ["vfi"]
    assert store.champions.waiting("vfi") == ["dock"]
    assert not store.champions.release("vfi")


# --- one retraining per model


def test_one_holder_at_a_time_may_retrain_a_model(store: Store) -> None:
    with (
        store.champions.lease("vfi") as first,
        store.champions.lease("vfi") as second,
        store.champions.lease("x") as other,
    ):
        assert (first, second, other) == (True, False, True)
    with store.champions.lease("vfi") as again:
        assert again


def test_the_lease_of_a_killed_holder_runs_out_and_that_of_a_live_one_does_not(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "_LEASE_SECONDS", 0.5)
    monkeypatch.setattr(lease, "_RENEW_SECONDS", 0.1)
    with store.champions.lease("vfi") as held:
        assert held
        time.sleep(1.5)
        with store.champions.lease("vfi") as second:
            assert not second, "it is renewed while it is held"
        assert store.champions.is_leased("vfi")
    assert not store.champions.is_leased("vfi")
    store.client.lock(keys.model_key("vfi", "lease"), timeout=0.3).acquire()  # and the process was gone
    with store.champions.lease("vfi") as early:
        assert not early
    time.sleep(0.4)
    with store.champions.lease("vfi") as late:
        assert late


def test_a_lease_that_ran_out_takes_nothing_from_the_next_holder(store: Store) -> None:
    with store.champions.lease("vfi"):
        store.client.delete(keys.model_key("vfi", "lease"))  # Redis was away for longer than the lease lasts
        other = store.client.lock(keys.model_key("vfi", "lease"), timeout=20)
        assert other.acquire(blocking=False)
    assert other.owned()
