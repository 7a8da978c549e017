"""The reducer and incidents, on real Redis and real windows: one step, whatever is killed, repeated or reordered."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from common.contracts.events import IncidentChanged, IncidentClosed, IncidentOpened
from common.contracts.incidents import Incident, IncidentState
from common.features import TimeSource, time_source_code
from common.ingest.accept import Ingestor
from common.store import Store, keys
from common.store.streams import Committed, StreamStore
from tests.common.builders import batch
from tests.common.drift.footage import footage
from tests.common.incidents import note
from workers import maintenance, reducer

FRAMES, WINDOWS = 48, 5  # of one feed: windows of 24 frames, one each 6
FIRST = datetime(2024, 11, 1, tzinfo=UTC).timestamp()


@pytest.fixture(autouse=True)
def closes_soon(ingestor: Ingestor, monkeypatch: pytest.MonkeyPatch) -> None:
    own = ingestor.settings.model_copy(update={"close_windows": 2})
    monkeypatch.setattr(reducer, "get_settings", lambda: own)
    monkeypatch.setattr(maintenance, "get_settings", lambda: own)


def feed(ingestor: Ingestor, store: Store, stream: str, hour: int, *, noisy: bool) -> None:
    """Let footage that was taken at `hour` enter `stream`, as an embedding worker leaves it, and be reduced."""
    work = batch(stream, name=f"{stream}-{hour}", frames=FRAMES, chunk_frames=FRAMES)
    work = work.model_copy(update={"feature_spec": ingestor.baselines.of_stream(stream).baseline.feature_spec})
    store.batches.register(work)
    store.batches.release(stream, 8)
    features = replace(
        footage(FRAMES, seed=2 + hour, noise=2.0 if noisy else 0.0, name=f"/{stream}-{hour}.mp4"),
        taken_at=FIRST + 3600.0 * hour + np.arange(FRAMES) / 10,
        time_source=np.full(FRAMES, time_source_code(TimeSource.NAME), np.uint8),
    )
    store.chunks.finish(work.chunks()[0], features)
    reducer.reduce(stream)


def told(store: Store) -> list[tuple[str, Incident]]:
    kinds = (IncidentOpened, IncidentChanged, IncidentClosed)
    found = [event for event in store.event_log.events() if isinstance(event, kinds)]
    return [(event.type.value.split(".")[3], event.incident) for event in found]


def test_a_fault_opens_an_incident_clean_footage_closes_it_and_the_next_night_opens_it_again(
    ingestor: Ingestor, store: Store
) -> None:
    feed(ingestor, store, "dock", 0, noisy=True)
    feed(ingestor, store, "dock", 2, noisy=False)
    feed(ingestor, store, "dock", 20, noisy=True)
    assert [kind for kind, _ in told(store)] == ["opened", "closed", "changed"]
    (incident,) = store.streams.incidents("dock")
    assert (incident.state, incident.failed_windows, len(incident.occurrences)) == (
        IncidentState.FAILING,
        2 * WINDOWS,
        2,
    )
    assert incident.since_time == FIRST
    assert incident.golden_id == ingestor.baselines.of_stream("dock").id
    assert all(store.streams.evidence("dock", window.event_id) is not None for window in incident.windows)


def test_incidents_are_those_of_one_stream(ingestor: Ingestor, store: Store) -> None:
    feed(ingestor, store, "dock", 0, noisy=True)
    feed(ingestor, store, "gate", 0, noisy=True)
    ids = {name: [incident.id for incident in store.streams.incidents(name)] for name in ("dock", "gate")}
    assert len(ids["dock"]) == len(ids["gate"]) == 1
    assert ids["dock"] != ids["gate"]


def test_a_note_is_applied_by_a_reduction_without_frames(ingestor: Ingestor, store: Store) -> None:
    feed(ingestor, store, "dock", 0, noisy=True)
    store.streams.note(note("sentinel", outcome="promoted", ended=True))
    reducer.reduce("dock")
    assert [action.outcome for action in store.streams.open_incidents("dock")[0].actions] == ["promoted"]


def test_many_notes_are_all_applied_by_one_reduction(ingestor: Ingestor, store: Store) -> None:
    feed(ingestor, store, "dock", 0, noisy=True)
    for number in range(150):
        store.streams.note(note("sentinel", action_id="r", ended=True, outcome=str(number)))
    reducer.reduce("dock")
    assert store.streams.window("dock").notes == ()
    assert store.streams.open_incidents("dock")[0].actions[0].outcome == "149"


def test_notes_are_applied_while_the_stream_waits_for_its_baseline(
    ingestor: Ingestor, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed(ingestor, store, "dock", 0, noisy=True)
    with monkeypatch.context() as patch:
        patch.setattr(reducer, "golden_of", lambda stream: None)
        feed(ingestor, store, "dock", 1, noisy=True)
        store.streams.note(note("sentinel"))
        reducer.reduce("dock")
        assert len(store.streams.open_incidents("dock")[0].actions) == 1
        assert store.streams.pending("dock") == 1
    reducer.reduce("dock")
    assert store.streams.open_incidents("dock")[0].failed_windows == 2 * WINDOWS


def test_the_sweep_sends_a_reduction_for_a_note_whose_task_was_lost(ingestor: Ingestor, store: Store) -> None:
    feed(ingestor, store, "dock", 0, noisy=True)
    assert maintenance.sweep() == 0
    store.streams.note(note("sentinel"))
    assert maintenance.sweep() == 1
    assert store.client.llen("reduce") == 1


def test_a_reducer_that_loses_its_commit_does_it_again_and_nothing_counts_twice(
    ingestor: Ingestor, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = StreamStore.commit
    beaten = []

    def beaten_once(self: StreamStore, stream: str, **plan: object) -> Committed:
        if not beaten:
            beaten.append(stream)
            assert commits(self, stream, **plan) is not Committed.CONFLICT  # type: ignore[arg-type]
        return commits(self, stream, **plan)  # type: ignore[arg-type]

    feed(ingestor, store, "dock", 0, noisy=False)
    store.streams.note(note("sentinel"))
    monkeypatch.setattr(StreamStore, "commit", beaten_once)
    feed(ingestor, store, "dock", 1, noisy=True)
    assert beaten == ["dock"]
    assert [kind for kind, _ in told(store)] == ["opened"]
    assert store.streams.open_incidents("dock")[0].failed_windows == WINDOWS


def test_an_error_between_judging_and_committing_leaves_window_and_incidents_as_they_were(
    ingestor: Ingestor, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed(ingestor, store, "dock", 0, noisy=True)
    before = store.client.hgetall(keys.stream_key("dock", "window"))
    with monkeypatch.context() as patch:
        patch.setattr(StreamStore, "commit", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            feed(ingestor, store, "dock", 1, noisy=True)
    assert store.client.hgetall(keys.stream_key("dock", "window")) == before
    reducer.reduce("dock")
    assert store.streams.open_incidents("dock")[0].failed_windows == 2 * WINDOWS
