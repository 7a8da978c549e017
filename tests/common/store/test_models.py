"""Champions and waiting FAILs: compare-and-set, one burst one retraining, one holder of a lease."""

from __future__ import annotations

import threading
import time

import pytest

from common.contracts.events import EventType
from common.contracts.models import ChampionRecord
from common.errors import NotPromoted
from common.models.registry import promote, roll_back
from common.store import Store
from tests.common.builders import verdict


def record(version: int, *, parent: int | None = None, baseline_id: str = "b1") -> ChampionRecord:
    return ChampionRecord(
        model="dock",
        version=version,
        baseline_path="/b",
        baseline_id=baseline_id,
        model_path=None,
        origin_id="b1",
        parent=parent,
        reason="test",
        gain_db=None,
        loss_db=None,
        created_at=0.0,
    )


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
    threads = [
        threading.Thread(
            target=lambda: wins.append(store.champions.promote(record(2, parent=1), over=1, announce=None))
        )
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(wins) == [False] * 7 + [True]
    assert [row.version for row in store.champions.history("dock")] == [1, 2]


def test_a_rollback_is_a_new_entry_with_the_old_model_and_baseline(store: Store) -> None:
    store.champions.promote(record(1), over=0, announce=None)
    store.champions.promote(record(2, parent=1, baseline_id="b2"), over=1, announce=None)
    back = roll_back(store, "dock", 1, "rolled back")
    assert (back.version, back.baseline_id, back.parent) == (3, "b1", 2)
    assert [row.version for row in store.champions.history("dock")] == [1, 2, 3]
    assert [event.type for event in store.event_log.events()] == [EventType.CHAMPION_PROMOTED]


def test_an_unknown_version_is_refused_with_those_that_exist(store: Store) -> None:
    store.champions.promote(record(1), over=0, announce=None)
    with pytest.raises(NotPromoted, match=r"no version 7 \(there are: v1\)"):
        roll_back(store, "dock", 7, "x")


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


def test_promotion_over_a_champion_that_no_longer_reigns_is_refused(store: Store) -> None:
    store.champions.promote(record(1), over=0, announce=None)
    store.champions.promote(record(2, parent=1), over=1, announce=None)

    class Stored:
        folder = "/b"
        id = "b3"

    with pytest.raises(NotPromoted, match="somebody else"):
        promote(store, record(1), baseline=Stored(), model_path="/m", reason="", gain_db=1, loss_db=0)  # type: ignore[arg-type]
