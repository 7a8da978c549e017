"""The retrain trigger on a real Redis: FAILs and ageing conditions wake a retraining, whatever else waits."""

from __future__ import annotations

import json
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
import redis

from common import broker
from common.contracts.events import ChampionPromoted, EventType, TruthJudged, WindowFailed, WindowPassed
from common.contracts.policy import Policy
from common.contracts.verdicts import Cause, Status, Verdict
from common.errors import Backlogged
from common.ingest.accept import Ingestor
from common.models.condition_records import add_conditions
from common.models.registry import release, roll_back
from common.settings import Settings
from common.store import Store, keys
from common.store.ingest import offer
from consumers import listener, retrain_trigger
from consumers.retrain_trigger import RetrainTrigger
from producers.camera_events import CameraEvents
from sentinel.stack.redis_server import RedisServer
from tests.common.baselines.small import small_baseline
from tests.common.builders import batch, condition_record, record, verdict
from tests.consumers.test_listener import PATIENCE_SECONDS, wait_until
from tests.producers.events import EVENT
from tests.truth import verdict as truth_verdict


@pytest.fixture
def trigger(
    store: Store, settings: Settings, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> RetrainTrigger:
    """A trigger whose tasks go to the queues of the test's own Redis, where nobody takes them."""
    monkeypatch.setattr(broker, "app", broker.make_app(settings.model_copy(update={"redis_url": redis_server.url})))
    know(store)
    return RetrainTrigger(store)


def know(store: Store, *streams: str) -> None:
    """Make streams known, as their first batch does; by default `dock`."""
    for stream in streams or ("dock",):
        store.batches.register(batch(stream))


def announce(store: Store, said: Verdict, *, model: str = "vfi") -> str:
    kind = WindowFailed if said.status is Status.FAIL else WindowPassed
    event = kind.about(said, model=model, stream=said.stream, key=said.id)
    store.event_log.announce(event)
    return event.id


def sent(store: Store) -> list[str]:
    """Return the models whose retraining was asked for."""
    bodies = [json.loads(row) for row in store.client.lrange(broker.RETRAIN_QUEUE, 0, -1)]
    return [row["headers"]["kwargsrepr"] for row in bodies]


@pytest.mark.parametrize(
    ("fails", "confirmed", "healed_as", "policy", "waits"),
    [
        (True, True, "vfi", "", ["dock"]),
        (True, True, "", "", []),
        (True, False, "vfi", "", []),
        (False, False, "vfi", "", []),
        (True, True, "vfi", "model_decay=call", []),
    ],
    ids=["one that can be retrained", "a user's own", "not confirmed", "a pass", "by the policy"],
)
def test_truth_asks_for_a_retraining_where_there_is_a_model_to_retrain(
    trigger: RetrainTrigger, store: Store, fails: bool, confirmed: bool, healed_as: str, policy: str, waits: list[str]
) -> None:
    store.settings = store.settings.model_copy(update={"policy": policy})
    said = truth_verdict(1, fails=fails, confirmed=confirmed, healed_as=healed_as)
    store.event_log.announce(TruthJudged.about(said, model=healed_as, stream="dock", key=said.id))
    assert RetrainTrigger(store).step() == 1
    assert store.champions.waiting("vfi") == waits


def test_the_stream_of_a_confirmed_fail_waits_and_those_of_other_verdicts_do_not(
    trigger: RetrainTrigger, store: Store
) -> None:
    know(store, "passes", "unsure", "dock")
    announce(store, verdict(stream="passes", status=Status.PASS))
    announce(store, verdict(stream="unsure", confirmed=False))
    assert trigger.step() == 2
    assert store.champions.waiting("vfi") == []
    for stop in (48, 60):
        announce(store, verdict(stop=stop))
    assert trigger.step() == 2
    assert store.champions.waiting("vfi") == ["dock"]


@pytest.mark.parametrize("cause", list(Cause))
@pytest.mark.parametrize("policy", ["", "unknown=train, noise=call"])
def test_a_stream_waits_if_the_policy_trains_on_the_cause(
    trigger: RetrainTrigger, store: Store, cause: Cause, policy: str
) -> None:
    store.settings = store.settings.model_copy(update={"policy": policy})
    own = RetrainTrigger(store)
    announce(store, verdict(cause=cause))
    own.step()
    assert (store.champions.waiting("vfi") == ["dock"]) == Policy.parse(policy).of(cause).trains


def test_a_stream_waits_for_the_model_that_serves_it_whatever_the_event_says(
    trigger: RetrainTrigger, store: Store
) -> None:
    announce(store, verdict(), model="another")
    trigger.step()
    assert store.champions.models() == []
    assert store.champions.waiting("vfi") == ["dock"]
    assert store.champions.waiting("another") == []


def test_one_task_is_sent_for_all_streams_once_the_cool_down_is_over(trigger: RetrainTrigger, store: Store) -> None:
    know(store, "dock", "gate")
    for stream, stop in (("dock", 48), ("gate", 48), ("dock", 60)):
        announce(store, verdict(stream=stream, stop=stop))
    trigger.step()
    assert sent(store) == []
    wait_until("the task", lambda: trigger.step() or sent(store))
    trigger.step()
    assert sent(store) == ["{'model': 'vfi'}"]
    assert store.champions.waiting("vfi") == ["dock", "gate"]
    assert store.champions.accept_call("vfi")


def test_a_fail_of_a_held_model_waits_for_its_release(trigger: RetrainTrigger, store: Store) -> None:
    for version in (1, 2):
        new = record(version, parent=version - 1 or None, model_digest=f"w{version}")
        store.champions.promote(new, over=version - 1)
    roll_back(store, "vfi", lambda _, conditions: conditions, by="ada")
    announce(store, verdict())
    for _ in range(3):
        trigger.step()
    assert sent(store) == []
    assert store.champions.waiting("vfi") == ["dock"]
    release(store, "vfi")
    wait_until("the task", lambda: trigger.step() or sent(store))


@pytest.mark.parametrize(("taken_to", "waits"), [(1000.0, False), (1500.0, False), (1501.0, True), (1999.0, True)])
def test_a_stream_waits_for_a_proof_in_the_second_half_of_a_conditions_life(
    trigger: RetrainTrigger, store: Store, taken_to: float, waits: bool
) -> None:
    """By capture time: the condition is proved at 1000 and expires at 2000, long before the test runs."""
    condition = condition_record(proved=1000.0, expires=2000.0)
    store.champions.promote(record(1, conditions=(condition, condition_record("b"))), over=0)
    announce(store, verdict(condition=condition).model_copy(update={"taken_to": taken_to}))
    trigger.step()
    assert store.champions.waiting("vfi") == (["dock"] if waits else [])


def test_without_capture_times_the_time_of_the_verdict_counts(trigger: RetrainTrigger, store: Store) -> None:
    young = condition_record("young", proved=time.time(), expires=time.time() + 1000)
    old = condition_record("old", proved=time.time() - 1000, expires=time.time() + 500)
    store.champions.promote(record(1, conditions=(young, old)), over=0)
    announce(store, verdict(condition=young))
    trigger.step()
    assert store.champions.waiting("vfi") == []
    announce(store, verdict(condition=old, stop=60))
    trigger.step()
    assert store.champions.waiting("vfi") == ["dock"]


def test_a_condition_that_was_let_go_or_proved_afresh_meanwhile_is_not_proved(
    trigger: RetrainTrigger, store: Store
) -> None:
    condition = condition_record(proved=1000.0, expires=2000.0)
    aged = verdict(condition=condition).model_copy(update={"taken_to": 1900.0})
    announce(store, aged)
    trigger.step()
    assert store.champions.waiting("vfi") == [], "there is no champion"
    store.champions.promote(record(1), over=0)
    announce(store, aged)
    trigger.step()
    assert store.champions.waiting("vfi") == [], "it was let go"
    fresh = condition.model_copy(update={"proved": 1900.0, "expires": 2900.0})
    add_conditions(store, record(1), [fresh])
    announce(store, aged)
    trigger.step()
    assert store.champions.waiting("vfi") == [], "it was proved meanwhile"


def test_a_stream_that_was_forgotten_does_not_wait(trigger: RetrainTrigger, store: Store) -> None:
    """Its events are still read after it is gone."""
    announce(store, verdict(stream="gone"))
    announce(store, verdict(stream="gone", stop=60))
    assert trigger.step() == 2
    assert store.champions.waiting("vfi") == []
    assert list(store.event_log.dead_letters()) == []
    assert store.client.keys("*gone*") == []


def test_a_line_of_the_version_before_that_is_due_calls_nobody(trigger: RetrainTrigger, store: Store) -> None:
    """Its FAILs waited under keys of their own, and its model is now another one."""
    store.client.zadd(keys.DUE, {"dock": 1.0})
    trigger.step()
    assert sent(store) == []
    assert store.champions.due_at("dock") is None
    trigger.step()
    assert sent(store) == []


def test_a_fail_that_is_no_verdict_is_a_dead_letter(trigger: RetrainTrigger, store: Store) -> None:
    fields = {**ChampionPromoted.about(record(1), model="vfi").to_fields(), "type": EventType.VERDICT_FAIL}
    store.client.xadd(keys.EVENTS, fields)  # type: ignore[arg-type]
    announce(store, verdict())
    assert trigger.step() == 2
    assert store.champions.waiting("vfi") == ["dock"], "those that follow are read"
    assert "not a Verdict" in next(store.event_log.dead_letters()).reason


def test_it_goes_on_where_the_version_before_had_read_to(trigger: RetrainTrigger, store: Store) -> None:
    know(store, "dock", "gate")
    announce(store, verdict(stream="gate"))
    store.client.xgroup_create(keys.EVENTS, "retrain", id="$")  # as the bridge of version 0.1 left it
    announce(store, verdict())
    trigger.step()
    assert store.champions.waiting("vfi") == ["dock"]


class Full:
    """A small Redis of its own that can be filled."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.server = RedisServer(folder, max_mb=32)
        self.server.start()
        self.settings = settings.model_copy(update={"baseline": "test", "redis_url": self.server.url})
        self.store = Store(self.server.url, self.settings)

    def fill(self, share: float) -> None:
        """Fill it to a share of its bound, in small pieces: a large one takes its memory twice on the way in."""
        most = int(self.store.client.info("memory")["maxmemory"] * share)
        with suppress(redis.OutOfMemoryError):
            while int(self.store.client.info("memory")["used_memory"]) < most:
                self.store.client.rpush("sentinel:ballast", b"x" * 50_000)


def test_fails_wake_a_retraining_while_redis_is_full_and_camera_events_wait(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = Full(tmp_path / "redis", settings)
    store = full.store
    small_baseline(settings.baselines_dir / "test")
    monkeypatch.setattr(broker, "app", broker.make_app(full.settings))
    ingestor = Ingestor(full.settings, store)
    stop = threading.Event()
    processes = [
        threading.Thread(target=CameraEvents(store, ingestor).run, args=(stop,)),
        threading.Thread(target=RetrainTrigger(store).run, args=(stop,)),
    ]
    try:
        know(store)
        full.fill(0.9)
        with pytest.raises(Backlogged):
            store.require_room()
        store.client.xgroup_create(keys.INGEST, "bridge", id="0", mkstream=True)
        for process in processes:
            process.start()
        offer(store.client, {**EVENT, "dataref": "/a.png"})
        wait_until("the camera event to be read", lambda: store.client.xpending(keys.INGEST, "bridge")["pending"])
        announce(store, verdict())
        wait_until("the retraining to be asked for", lambda: sent(store))
        assert store.client.xlen(keys.INGEST) == 1, "the camera event still waits"
    finally:
        stop.set()
        for process in processes:
            if process.is_alive():
                process.join(PATIENCE_SECONDS)
        ingestor.close()
        store.client.close()
        full.server.stop()


def test_a_redis_without_any_memory_left_loses_no_fail(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(listener, "_CLAIM_AFTER_SECONDS", 0.0)
    monkeypatch.setattr(retrain_trigger, "_LOST_TASK_SECONDS", 1.0)  # a task may not have found room
    full = Full(tmp_path / "redis", settings)
    store = full.store
    monkeypatch.setattr(broker, "app", broker.make_app(full.settings))
    stop = threading.Event()
    process = threading.Thread(target=RetrainTrigger(store).run, args=(stop,))
    try:
        know(store)
        announce(store, verdict())
        full.fill(1.1)
        process.start()
        assert not stop.wait(1.0)
        assert process.is_alive()
        store.client.delete("sentinel:ballast")
        wait_until("the retraining to be asked for", lambda: sent(store))
        assert list(store.event_log.dead_letters()) == []
    finally:
        stop.set()
        if process.is_alive():
            process.join(PATIENCE_SECONDS)
        store.client.close()
        full.server.stop()
