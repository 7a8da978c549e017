"""The retrain worker on a real Redis: it works when the trigger has called, and for nobody else."""

from __future__ import annotations

import pytest
from celery.exceptions import Ignore

from common.baselines.binding import BaselineBinding
from common.contracts.dead_letters import DeadLetterKind, RawTask
from common.contracts.events import ChallengerRejected, RetrainStarted
from common.models.registry import promote_by_hand, release
from common.settings import Settings
from common.store import Store, keys
from tests.common.builders import verdict
from tests.common.store.test_models import wait_until_due
from workers import context, retraining


@pytest.fixture
def model(store: Store, with_baseline: Settings, monkeypatch: pytest.MonkeyPatch) -> str:
    """A model for which one FAIL waits. Its retraining ends at once: the footage is nowhere."""
    monkeypatch.setattr(context, "store", lambda: store)
    monkeypatch.setattr(context, "baselines", lambda: binding)
    binding = BaselineBinding(with_baseline, store)
    stored = binding.of_stream("dock")
    store.champions.note_fail(stored.baseline.name, "e", verdict(baseline_id=stored.id))
    return stored.baseline.name


def call(store: Store, model: str) -> None:
    """Call the model as the trigger does, when its cool-down is over."""
    assert wait_until_due(store) == [model]


def started(store: Store) -> int:
    return sum(isinstance(event, RetrainStarted) for event in store.event_log.events())


def test_a_model_that_was_called_is_retrained(model: str, store: Store) -> None:
    call(store, model)
    assert "no longer kept" in retraining.retrain(model)
    assert store.champions.waiting(model) == {}
    assert started(store) == 1


def test_a_forged_task_does_not_skip_the_cool_down(model: str, store: Store) -> None:
    due = store.champions.due_at(model)
    for _ in range(3):
        assert "not called" in retraining.retrain(model)
    assert started(store) == 0
    assert store.champions.due_at(model) == due
    assert len(store.champions.waiting(model)) == 1


def test_a_forged_task_beside_the_real_one_leads_to_no_second_retraining(model: str, store: Store) -> None:
    call(store, model)
    retraining.retrain(model)
    stored = context.baselines().of_stream("dock")
    store.champions.note_fail(model, "e2", verdict(baseline_id=stored.id, stop=60))
    assert "not called" in retraining.retrain(model)
    assert started(store) == 1


def test_a_worker_that_was_killed_is_called_again(model: str, store: Store) -> None:
    call(store, model)
    assert store.champions.accept_call(model)  # and the process was gone
    assert "not called" in retraining.retrain(model), "its task is delivered again, and the lease is free"
    store.client.zadd(keys.DUE, {model: 0.0})  # a minute later
    call(store, model)
    assert "rejected" in retraining.retrain(model)


NESTED: list[object] = []  # more deeply than JSON can be written
for _ in range(100_000):
    NESTED = [NESTED]


@pytest.mark.parametrize(
    "forged", ["nobody", "", "a}:champion{b\n\x1b[31m", "x" * 1_000_000, "\ud800", 7, None, ["test"], {"a": 1}, NESTED]
)
def test_a_task_that_names_no_model_is_a_dead_letter_and_leaves_no_keys(
    model: str, store: Store, forged: object
) -> None:
    known = set(store.client.keys())
    with pytest.raises(Ignore):
        retraining.retrain(forged)
    (letter,) = store.event_log.dead_letters()
    assert letter.kind is DeadLetterKind.TASK
    assert "is no model" in letter.reason
    assert len(letter.to_json()) < 30_000
    assert RawTask.from_json(letter.original).name == "sentinel.retrain"
    assert set(store.client.keys()) - known == {keys.DEAD.encode(), keys.DEAD_IDS.encode()}


def test_a_model_that_is_held_after_it_was_called_is_not_retrained(model: str, store: Store) -> None:
    call(store, model)
    promote_by_hand(store, model, 1)
    assert "held at version 2" in retraining.retrain(model)
    assert started(store) == 0
    assert len(store.champions.waiting(model)) == 1
    release(store, model)
    assert "rejected" in retraining.retrain(model), "the call still stands"


def test_a_retraining_that_breaks_is_a_rejection(model: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def out_of_memory(*_: object) -> str:
        raise MemoryError("no memory")

    monkeypatch.setattr(retraining, "heal", out_of_memory)
    call(store, model)
    assert "no memory" in retraining.retrain(model)
    assert store.champions.waiting(model) == {}
    assert isinstance(list(store.event_log.events())[-1], ChallengerRejected)


def test_a_retraining_that_kills_its_worker_is_rejected_in_the_end(
    model: str, store: Store, settings: Settings
) -> None:
    for _ in range(settings.max_deliveries):
        store.champions.begin(model)  # and the process was gone
    call(store, model)
    assert "again and again" in retraining.retrain(model)
    assert store.champions.waiting(model) == {}
