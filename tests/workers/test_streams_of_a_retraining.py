"""What a retraining does for one stream, and what comes of it, says nothing about the model's other streams."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import NoReturn

import pytest

from common.contracts.events import ChallengerRejected
from common.contracts.incidents import Incident
from common.errors import NothingToLearnFrom
from common.ingest.accept import Ingestor
from common.models import healing
from common.store import Store, keys
from tests.feeding import feed, noisy
from tests.workers.test_retraining import MODEL, call, started
from workers import retraining


@pytest.fixture
def incident(ingestor: Ingestor, store: Store) -> Incident:
    """An incident for which stream `dock` waits. Its frames are nowhere."""
    return fail(store, ingestor, "dock")


def fail(store: Store, ingestor: Ingestor, stream: str) -> Incident:
    """Let `stream` fail, and wait for a retraining."""
    feed(store, ingestor.baselines, stream, noisy(200, seed=3))
    store.champions.note_waiting(MODEL, stream)
    (found,) = store.streams.incidents(stream)
    return found


def rejections(store: Store) -> dict[bytes, bytes]:
    return store.client.hgetall(keys.model_key(MODEL, "rejected"))


def waits(store: Store, stream: str, seconds: float) -> bool:
    """Return whether `stream` still waits after `seconds`, whatever the model does."""
    return stream in store.champions.waiting(MODEL) and stream not in store.champions.noted(
        MODEL, due_by=time.time() + seconds
    )


def test_a_stream_that_backs_off_is_left_alone_by_a_retraining_for_another(
    incident: Incident, ingestor: Ingestor, store: Store
) -> None:
    for _ in range(8):
        store.champions.note_waiting(MODEL, "dock")
        store.champions.settle(MODEL, {"dock": "rejected"})
    store.champions.note_waiting(MODEL, "dock")
    other = fail(store, ingestor, "gate")
    call(store)
    assert retraining.retrain(MODEL).startswith("rejected: ")
    assert [event.report.incidents for event in started(store)] == [(other.id,)]
    assert rejections(store) == {b"dock": b"8", b"gate": b"1"}
    assert store.champions.waiting(MODEL) == ["dock"]
    assert waits(store, "dock", 10)


def test_footage_that_was_read_and_refused_doubles_the_wait(incident: Incident, store: Store) -> None:
    call(store)
    retraining.retrain(MODEL)
    assert rejections(store) == {b"dock": b"1"}


def test_what_the_policy_refuses_is_announced_and_leaves_the_wait_as_it_was(
    incident: Incident, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> NoReturn:
        raise NothingToLearnFrom("its windows name different causes")

    monkeypatch.setattr(healing, "cause_to_train", refuse)
    call(store)
    assert "different causes" in retraining.retrain(MODEL)
    assert isinstance(list(store.event_log.events())[-1], ChallengerRejected)
    assert rejections(store) == {}
    assert store.champions.waiting(MODEL) == []
    store.champions.note_waiting(MODEL, "dock")
    assert not waits(store, "dock", 0.2), "one cool-down"


def test_a_retraining_that_breaks_on_one_streams_footage_is_a_rejection_of_that_stream_alone(
    incident: Incident, ingestor: Ingestor, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(*_: object) -> NoReturn:
        raise MemoryError("no memory")

    fail(store, ingestor, "gate")
    call(store)
    with monkeypatch.context() as patch:
        patch.setattr(healing, "gather", no_memory)
        assert retraining.retrain(MODEL) == "rejected: MemoryError: no memory"
    assert rejections(store) == {b"dock": b"1"}
    assert store.champions.waiting(MODEL) == ["gate"], "it was not its turn yet"
    call(store)
    assert retraining.retrain(MODEL).startswith("rejected: gate: ")


def test_a_worker_whose_clock_is_behind_takes_what_the_trigger_found_due(
    incident: Incident, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    call(store)
    monkeypatch.setattr(retraining, "time", SimpleNamespace(time=lambda: 0.0, monotonic=time.monotonic))
    assert retraining.retrain(MODEL).startswith("rejected: ")
    assert [event.report.incidents for event in started(store)] == [(incident.id,)]
