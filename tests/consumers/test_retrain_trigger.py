"""The retrain trigger on a real Redis: FAILs wake a retraining, whatever else waits."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from pathlib import Path

import pytest
import redis

from common import broker
from common.contracts.dead_letters import DeadLetterKind
from common.contracts.events import ChampionPromoted, EventType, WindowFailed, WindowPassed
from common.contracts.verdicts import Status, Verdict
from common.errors import Backlogged
from common.ingest.accept import Ingestor
from common.models.registry import release, roll_back
from common.settings import Settings
from common.store import Store, keys
from common.store.ingest import offer
from consumers import listener, retrain_trigger
from consumers.retrain_trigger import RetrainTrigger
from producers.camera_events import CameraEvents
from sentinel.stack.redis_server import RedisServer
from tests.common.baselines.small import small_baseline
from tests.common.builders import record, verdict
from tests.consumers.test_listener import PATIENCE_SECONDS, wait_until
from tests.producers.events import EVENT


@pytest.fixture
def trigger(
    store: Store, settings: Settings, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> RetrainTrigger:
    """A trigger whose tasks go to the queues of the test's own Redis, where nobody takes them."""
    monkeypatch.setattr(broker, "app", broker.make_app(settings.model_copy(update={"redis_url": redis_server.url})))
    store.champions.promote(record(1), over=0, announce=None)
    return RetrainTrigger(store)


def announce(store: Store, said: Verdict, *, model: str = "dock") -> str:
    kind = WindowFailed if said.status is Status.FAIL else WindowPassed
    event = kind.about(said, model=model, stream=said.stream, key=said.id)
    store.event_log.announce(event)
    return event.id


def sent(store: Store) -> list[str]:
    """Return the models whose retraining was asked for."""
    bodies = [json.loads(row) for row in store.client.lrange(broker.RETRAIN_QUEUE, 0, -1)]
    return [row["headers"]["kwargsrepr"] for row in bodies]


def test_a_fail_waits_for_its_models_retraining_and_a_pass_does_not(trigger: RetrainTrigger, store: Store) -> None:
    announce(store, verdict(status=Status.PASS, stop=48))
    failed = announce(store, verdict(stop=60))
    assert trigger.step() == 2
    assert list(store.champions.waiting("dock")) == [failed]


def test_one_task_is_sent_once_the_cool_down_is_over(trigger: RetrainTrigger, store: Store) -> None:
    for stop in (48, 60, 72):
        announce(store, verdict(stop=stop))
    trigger.step()
    assert sent(store) == []
    wait_until("the task", lambda: trigger.step() or sent(store))
    trigger.step()
    assert sent(store) == ["{'model': 'dock'}"]
    assert store.champions.accept_call("dock")


def test_a_fail_of_a_held_model_waits_for_its_release(trigger: RetrainTrigger, store: Store) -> None:
    store.champions.promote(record(2, parent=1, baseline_id="b2"), over=1, announce=None)
    roll_back(store, "dock")
    announce(store, verdict())
    for _ in range(3):
        trigger.step()
    assert sent(store) == []
    assert store.champions.waiting_count("dock") == 1
    release(store, "dock")
    wait_until("the task", lambda: trigger.step() or sent(store))


@pytest.mark.parametrize("model", ["unknown", "", "a}:x{b\n", "x" * 100_000])
def test_a_fail_of_a_model_that_there_is_not_is_a_dead_letter_and_leaves_no_keys(
    trigger: RetrainTrigger, store: Store, model: str
) -> None:
    announce(store, verdict(), model=model)
    known = set(store.client.keys())
    assert trigger.step() == 1
    (letter,) = store.event_log.dead_letters()
    assert letter.kind is DeadLetterKind.EVENT
    assert len(letter.reason) < 1000
    assert set(store.client.keys()) - known == {keys.DEAD.encode(), keys.DEAD_IDS.encode()}


def test_a_fail_that_is_no_verdict_is_a_dead_letter(trigger: RetrainTrigger, store: Store) -> None:
    fields = {**ChampionPromoted.about(record(1), model="dock").to_fields(), "type": EventType.VERDICT_FAIL}
    store.client.xadd(keys.EVENTS, fields)  # type: ignore[arg-type]
    failed = announce(store, verdict())
    assert trigger.step() == 2
    assert list(store.champions.waiting("dock")) == [failed]
    assert "not a Verdict" in next(store.event_log.dead_letters()).reason


def test_it_goes_on_where_the_version_before_had_read_to(trigger: RetrainTrigger, store: Store) -> None:
    announce(store, verdict(stop=48))
    store.client.xgroup_create(keys.EVENTS, "retrain", id="$")  # as the bridge of version 0.1 left it
    failed = announce(store, verdict(stop=60))
    trigger.step()
    assert list(store.champions.waiting("dock")) == [failed]


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
                self.store.client.rpush("ballast", b"x" * 50_000)


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
        store.champions.promote(record(1), over=0, announce=None)
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
        store.champions.promote(record(1), over=0, announce=None)
        announce(store, verdict())
        full.fill(1.1)
        process.start()
        assert not stop.wait(1.0)
        assert process.is_alive()
        store.client.delete("ballast")
        wait_until("the retraining to be asked for", lambda: sent(store))
        assert list(store.event_log.dead_letters()) == []
    finally:
        stop.set()
        if process.is_alive():
            process.join(PATIENCE_SECONDS)
        store.client.close()
        full.server.stop()
