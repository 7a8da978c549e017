"""The retrain worker on a real Redis: it works when the trigger has called, and for nobody else."""

from __future__ import annotations

from importlib.metadata import EntryPoint, EntryPoints

import pytest
import redis
from celery.exceptions import Ignore

from common import broker
from common.contracts.dead_letters import DeadLetterKind, RawTask
from common.contracts.events import ChallengerRejected, EventType, RetrainProgressed, RetrainStarted
from common.contracts.incidents import ActionKind, Incident
from common.errors import NotPromoted
from common.ingest.accept import Ingestor
from common.models import healing, kinds
from common.models.cases import Outcome
from common.models.healing import Healer
from common.models.protocols import TrainingProgress
from common.models.registry import promote_by_hand, release
from common.store import Store, keys
from tests.common.builders import record
from tests.common.models.lines import on_all
from tests.common.store.test_models import wait_until_due
from tests.feeding import feed, noisy, reduce
from workers import retraining

MODEL = "vfi"


@pytest.fixture
def incident(ingestor: Ingestor, store: Store) -> Incident:
    """An incident for which its stream waits. Its retraining ends at once: the footage is nowhere."""
    feed(store, ingestor.baselines, "dock", noisy(200, seed=3))
    store.champions.note_waiting(MODEL, "dock")
    (found,) = store.streams.incidents("dock")
    return found


def call(store: Store) -> None:
    """Call the model as the trigger does, when its cool-down is over."""
    assert wait_until_due(store) == [MODEL]


def started(store: Store) -> list[RetrainStarted]:
    return [event for event in store.event_log.events() if isinstance(event, RetrainStarted)]


def broken(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Let each retraining end with `error`."""

    def heal(self: Healer, streams: list[str]) -> Outcome:
        raise error

    monkeypatch.setattr(Healer, "heal", heal)


def test_a_model_that_was_called_is_retrained_for_the_incidents_of_its_streams(
    incident: Incident, store: Store
) -> None:
    call(store)
    assert retraining.retrain(MODEL).startswith("rejected: ")
    assert store.champions.waiting(MODEL) == []
    assert [event.report.incidents for event in started(store)] == [(incident.id,)]
    assert isinstance(list(store.event_log.events())[-1], ChallengerRejected)


def test_what_it_did_is_written_into_the_incident_by_the_reducer(incident: Incident, store: Store) -> None:
    call(store)
    retraining.retrain(MODEL)
    assert store.streams.incidents("dock")[0].actions == (), "the worker writes no incident"
    assert store.client.llen(broker.REDUCE_QUEUE) >= 1
    reduce("dock")
    (action,) = store.streams.incidents("dock")[0].actions
    assert (action.kind, action.by) == (ActionKind.RETRAIN, "sentinel")
    assert action.ended_at is not None
    assert action.outcome.startswith("refused: ")


def test_a_second_retraining_with_the_same_footage_does_nothing(incident: Incident, store: Store) -> None:
    call(store)
    retraining.retrain(MODEL)
    reduce("dock")
    events = len(list(store.event_log.events()))
    store.champions.note_waiting(MODEL, "dock")
    call(store)
    assert retraining.retrain(MODEL) == "nothing waits"
    assert store.champions.waiting(MODEL) == []
    assert [event.type for event in list(store.event_log.events())[events:]] == [EventType.RETRAIN_STARTED]


def test_a_stream_without_an_incident_is_settled(ingestor: Ingestor, store: Store) -> None:
    store.champions.note_waiting(MODEL, "gone")
    call(store)
    assert retraining.retrain(MODEL) == "nothing waits"
    assert store.champions.waiting(MODEL) == []


def test_progress_is_announced_now_and_then_and_kept_within_bounds(incident: Incident, store: Store) -> None:
    progress = retraining.Progress(retraining.retrain, MODEL)
    progress.start((incident.id,))
    for share in (-1.0, 0.5, 7.0):
        progress("training", share, "step 1")
    reports = [event.report for event in store.event_log.events() if isinstance(event, RetrainProgressed)]
    assert [(row.stage, row.progress, row.incidents) for row in reports] == [("training", 0.0, (incident.id,))]
    assert progress.report("training", 7.0, "").progress == 1.0


def test_step_loss_and_psnr_are_in_the_event_and_in_the_state_of_the_task(
    incident: Incident, store: Store, ingestor: Ingestor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state is what Flower shows of the task, and any client of the result backend reads."""
    backend = broker.make_app(ingestor.settings).backend
    monkeypatch.setattr(retraining.retrain, "_backend", backend)
    retraining.retrain.push_request(id="this one", called_directly=False)
    try:
        progress = retraining.Progress(retraining.retrain, MODEL)
        progress.start((incident.id,))
        progress("training", 0.2, "noise, step 50", TrainingProgress(50, 3.0, -31.5, 30.25))
    finally:
        retraining.retrain.pop_request()
    told = {"stage": "training", "step": 50, "loss": -31.5, "check_db": 30.25}
    (report,) = [event.report for event in store.event_log.events() if isinstance(event, RetrainProgressed)]
    assert told.items() <= report.model_dump().items()
    state = backend.get_task_meta("this one")
    assert state["status"] == "PROGRESS"
    assert told.items() <= state["result"].items()


def test_a_forged_task_does_not_skip_the_cool_down(incident: Incident, store: Store) -> None:
    due = store.champions.due_at(MODEL)
    for _ in range(3):
        assert "not called" in retraining.retrain(MODEL)
    assert started(store) == []
    assert store.champions.due_at(MODEL) == due
    assert store.champions.waiting(MODEL) == ["dock"]


def test_a_forged_task_beside_the_real_one_leads_to_no_second_retraining(incident: Incident, store: Store) -> None:
    call(store)
    retraining.retrain(MODEL)
    store.champions.note_waiting(MODEL, "dock")
    assert "not called" in retraining.retrain(MODEL)
    assert len(started(store)) == 1


def test_a_model_whose_lease_is_held_is_retrained_by_nobody_else(incident: Incident, store: Store) -> None:
    call(store)
    with store.champions.lease(MODEL):
        assert "another worker" in retraining.retrain(MODEL)
    assert started(store) == []
    assert "rejected" in retraining.retrain(MODEL), "the call still stands"


def test_a_worker_that_was_killed_is_called_again(incident: Incident, store: Store) -> None:
    call(store)
    assert store.champions.accept_call(MODEL)  # and the process was gone
    assert "not called" in retraining.retrain(MODEL), "its task is delivered again, and the lease is free"
    store.client.zadd(keys.DUE, {MODEL: 0.0})  # a minute later
    call(store)
    assert "rejected" in retraining.retrain(MODEL)


def test_a_worker_that_was_killed_while_it_healed_goes_on_with_the_same_action(
    incident: Incident, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise SystemExit

    call(store)
    with monkeypatch.context() as patch:
        patch.setattr(healing, "end", lambda *_: None)
        patch.setattr(Healer, "_heal_cases", killed)
        with pytest.raises(SystemExit):
            retraining.retrain(MODEL)
    reduce("dock")
    (begun,) = store.streams.incidents("dock")[0].actions
    assert begun.ended_at is None
    store.client.zadd(keys.DUE, {MODEL: 0.0})  # a minute later
    call(store)
    retraining.retrain(MODEL)
    reduce("dock")
    (ended,) = store.streams.incidents("dock")[0].actions
    assert ended.id == begun.id
    assert ended.ended_at is not None


def test_a_retraining_that_kills_its_worker_is_rejected_in_the_end(
    incident: Incident, store: Store, ingestor: Ingestor
) -> None:
    for _ in range(ingestor.settings.max_deliveries):
        store.champions.begin(MODEL)  # and the process was gone
    call(store)
    assert "again and again" in retraining.retrain(MODEL)
    assert store.champions.waiting(MODEL) == []


NESTED: list[object] = []  # more deeply than JSON can be written
for _ in range(100_000):
    NESTED = [NESTED]


@pytest.mark.parametrize(
    "forged", ["nobody", "", "a}:champion{b\n\x1b[31m", "x" * 1_000_000, "\ud800", 7, None, ["test"], {"a": 1}, NESTED]
)
def test_a_task_that_names_no_model_is_a_dead_letter_and_leaves_no_keys(
    incident: Incident, store: Store, forged: object
) -> None:
    known = set(store.client.keys())
    with pytest.raises(Ignore):
        retraining.retrain(forged)
    (letter,) = store.event_log.dead_letters()
    assert letter.kind is DeadLetterKind.TASK
    assert "the retrain trigger alone sends this task" in letter.reason
    assert len(letter.to_json()) < 30_000
    assert RawTask.from_json(letter.original).name == "sentinel.retrain"
    assert set(store.client.keys()) - known == {keys.DEAD.encode(), keys.DEAD_IDS.encode()}


def test_a_model_whose_package_is_broken_is_a_dead_letter_that_says_so(
    incident: Incident, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered = EntryPoints([EntryPoint(MODEL, "nowhere.at.all:KIND", kinds.GROUP)])
    monkeypatch.setattr(kinds, "entry_points", lambda *, group: offered.select(group=group))
    with pytest.raises(Ignore):
        retraining.retrain(MODEL)
    (letter,) = store.event_log.dead_letters()
    assert "repair or reinstall its package" in letter.reason
    assert store.champions.waiting(MODEL) == ["dock"]
    reduce("dock")
    (action,) = store.streams.incidents("dock")[0].actions
    assert action.outcome.startswith("broke off: model 'vfi' is offered as 'nowhere.at.all:KIND', which cannot be im")
    with pytest.raises(Ignore):
        retraining.retrain(MODEL)
    reduce("dock")
    assert [row.id for row in store.streams.incidents("dock")[0].actions] == [action.id], "it is said once"
    assert store.champions.champion(MODEL) is None


def test_a_model_that_is_held_after_it_was_called_is_not_retrained(incident: Incident, store: Store) -> None:
    assert store.champions.promote(record(1), over=0)
    call(store)
    promote_by_hand(store, MODEL, 1, on_all, by="ada")
    assert "held at version 2" in retraining.retrain(MODEL)
    assert started(store) == []
    assert store.champions.waiting(MODEL) == ["dock"]
    release(store, MODEL)
    assert "rejected" in retraining.retrain(MODEL), "the call still stands"


def test_a_retraining_that_lost_its_compare_and_set_leaves_its_streams_waiting(
    incident: Incident, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(monkeypatch, NotPromoted("somebody was first"))
    call(store)
    assert retraining.retrain(MODEL) == "broke off: somebody was first"
    assert store.champions.waiting(MODEL) == ["dock"]
    assert store.champions.due_at(MODEL) is not None


def test_a_retraining_that_breaks_is_a_rejection(
    incident: Incident, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(monkeypatch, MemoryError("no memory"))
    call(store)
    assert retraining.retrain(MODEL) == "rejected: MemoryError: no memory"
    assert store.champions.waiting(MODEL) == []
    assert isinstance(list(store.event_log.events())[-1], ChallengerRejected)


def test_a_retraining_for_which_redis_was_away_is_due_again(
    incident: Incident, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(monkeypatch, redis.ConnectionError("away"))
    call(store)
    with pytest.raises(redis.ConnectionError):
        retraining.retrain(MODEL)
    assert store.champions.waiting(MODEL) == ["dock"]
