"""The rhythm of a stream and the question about silence, on a real Redis."""

from __future__ import annotations

import math
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.contracts.incidents import IncidentState
from common.store import Store, batches, keys
from common.store.streams import Committed
from tests.common.builders import batch
from tests.common.incidents import judged, silence_note
from tests.common.store.test_incidents import announced, commit

NOW = 1.7e9
DAY = 86_400.0


def arrive(store: Store, monkeypatch: pytest.MonkeyPatch, *times: float, stream: str = "dock") -> None:
    """Let a batch be accepted at each of `times`."""
    for at in times:
        monkeypatch.setattr(batches.time, "time", lambda at=at: at)
        assert store.batches.register(batch(stream, name=repr(at)))


def test_gaps_are_counted_by_their_length_rounded_up_by_a_fifth_at_most(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrive(store, monkeypatch, NOW, NOW + 1, NOW + 2, NOW + 1002)
    quiet = store.silence.quiet("dock")
    assert sorted(quiet.gaps) == [(1.0, 2), (pytest.approx(1024.0), 1)]
    assert (quiet.accepted_at, quiet.pending, quiet.offline) == (NOW + 1002, 4 * 3, False)


def test_a_batch_that_comes_again_is_no_arrival(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    arrive(store, monkeypatch, NOW, NOW + 1)
    monkeypatch.setattr(batches.time, "time", lambda: NOW + 500)
    assert not store.batches.register(batch("dock", name=repr(NOW)))
    assert store.silence.quiet("dock").gaps == ((1.0, 1),)
    assert store.silence.quiet("dock").accepted_at == NOW + 1


def test_gaps_of_a_fortnight_are_kept_whatever_came_since_and_older_ones_are_not(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrive(store, monkeypatch, NOW, NOW + 50_000.0)
    arrive(store, monkeypatch, *(NOW + 50_001.0 + number for number in range(200)))
    for day in range(1, 15):
        arrive(store, monkeypatch, NOW + 50_000.0 + day * DAY)
        assert any(45_000 < length < 60_000 for length, _ in store.silence.quiet("dock").gaps)
    arrive(store, monkeypatch, NOW + 50_000.0 + 17 * DAY)
    assert not any(45_000 < length < 60_000 for length, _ in store.silence.quiet("dock").gaps)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.floats(0.001, 2 * DAY), min_size=1, max_size=6))
def test_no_gap_is_lost_and_none_is_taken_for_a_shorter_one(store: Store, gaps: list[float]) -> None:
    store.client.flushall()
    at, patch = NOW, pytest.MonkeyPatch()
    with patch.context() as clock:
        arrive(store, clock, at)
        really = []
        for gap in gaps:
            really.append(at + gap - at)
            at += gap
            arrive(store, clock, at)
    found = sorted(length for length, count in store.silence.quiet("dock").gaps for _ in range(count))
    assert len(found) == len(gaps)
    for length, gap in zip(found, sorted(really), strict=True):
        assert gap * (1 - 1e-9) <= length <= max(0.001, gap) * 2**0.25 * (1 + 1e-9)


def test_a_clock_that_is_set_back_is_no_gap(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    arrive(store, monkeypatch, NOW, NOW - 100.0)
    assert store.silence.quiet("dock").gaps == ()


def test_a_stream_that_was_forgotten_has_no_rhythm(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    arrive(store, monkeypatch, NOW, NOW + 1)
    store.forgetting.forget("dock")
    assert store.client.keys("*dock*") == []
    quiet = store.silence.quiet("dock")
    assert (quiet.accepted_at, quiet.gaps) == (None, ())


def test_it_is_known_since_when_sources_could_come_in(store: Store) -> None:
    def asks(at: float, *, hears: bool = True) -> float | None:
        return store.silence.listening_since(at, hears=hears, longest_pause=60.0)

    assert [asks(100.0), asks(110.0), asks(170.0)] == [100.0] * 3
    assert asks(231.0) == 231.0, "nobody asked for more than a minute"
    assert asks(240.0, hears=False) is None
    assert [asks(250.0), asks(260.0)] == [250.0] * 2
    assert asks(100.0) == 100.0, "the clock was set back"


# --- the one step


@pytest.fixture
def silent_since(store: Store) -> float:
    """When the last batch of stream dock was accepted."""
    at = time.time() - 1000.123456789
    store.client.zadd(keys.STREAMS, {"dock": at})
    return at


def test_silence_opens_once_and_frames_close_it_in_the_same_commit(store: Store, silent_since: float) -> None:
    for number in range(3):
        store.streams.note(silence_note(silent_since, noticed_at=time.time() + number))
        assert commit(store) is Committed.DONE
    assert store.silence.quiet("dock").offline
    assert not store.streams.waits_for_reducer("dock")
    store.client.zadd(keys.STREAMS, {"dock": time.time()})
    assert commit(store, judged(0, "pass"), frames=48) is Committed.DONE
    assert not store.silence.quiet("dock").offline
    assert [(kind, incident.state) for kind, incident in announced(store)] == [
        ("opened", IncidentState.OFFLINE), ("closed", IncidentState.CLOSED),
    ]  # fmt: skip
    assert commit(store, judged(1, "pass"), frames=12) is Committed.DONE
    assert len(announced(store)) == 2
    (closed,) = store.streams.incidents("dock")
    assert closed.ended == "frames come again, it was offline for 17 min"


def test_a_batch_that_comes_after_the_question_is_no_silence(store: Store, silent_since: float) -> None:
    store.streams.note(silence_note(silent_since, noticed_at=time.time()))
    store.client.zadd(keys.STREAMS, {"dock": silent_since + 1})
    assert commit(store) is Committed.DONE
    assert announced(store) == []
    assert store.streams.window("dock").notes == ()


def test_a_batch_that_comes_between_reading_and_committing_is_no_silence(store: Store, silent_since: float) -> None:
    store.streams.note(silence_note(silent_since, noticed_at=time.time()))
    read = store.streams.window("dock")
    store.client.zadd(keys.STREAMS, {"dock": math.nextafter(silent_since, math.inf)})
    assert commit(store, read=read) is Committed.CONFLICT
    assert commit(store) is Committed.DONE
    assert announced(store) == []


def test_a_stream_that_is_forgotten_between_reading_and_committing_stays_forgotten(
    store: Store, silent_since: float
) -> None:
    store.streams.note(silence_note(silent_since, noticed_at=time.time()))
    read = store.streams.window("dock")
    store.forgetting.forget("dock")
    assert commit(store, read=read) is Committed.CONFLICT
    assert store.client.keys("*dock*") == []


def test_frames_of_dead_chunks_alone_end_no_silence(store: Store, silent_since: float) -> None:
    store.streams.note(silence_note(silent_since, noticed_at=time.time()))
    commit(store)
    store.client.zadd(keys.STREAMS, {"dock": time.time()})
    commit(store, frames=0)
    assert store.silence.quiet("dock").offline
