"""The process `truth` on a real Redis: what it takes in counts once, and what it judges reaches the incidents."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
import redis
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from common import broker
from common.contracts.events import TruthJudged
from common.contracts.truth import Measure, TruthProgress
from common.contracts.verdicts import Cause, Status
from common.drift.truth import TruthTrack
from common.queries import stream_status
from common.settings import Settings
from common.store import Store, keys
from common.store.ingest import GroupReader, RawEntry
from common.store.truth import MOST_TRACKS, TruthCommitted
from common.truth import move_truth
from producers.truth import Truth
from sentinel.forget import forget
from sentinel.stack.redis_server import RedisServer
from tests.common.builders import batch
from tests.feeding import feed, normal, re_aimed
from tests.truth import message
from workers import context, reducer

WINDOW, REFERENCE = 10, 40


@pytest.fixture
def own(with_baseline: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    own = with_baseline.model_copy(update={"truth_window": WINDOW, "truth_reference": REFERENCE})
    for module in (context, reducer):
        monkeypatch.setattr(module, "get_settings", lambda: own)
    return own


@pytest.fixture
def truth(store: Store, own: Settings, monkeypatch: pytest.MonkeyPatch) -> Truth:
    monkeypatch.setattr(context, "store", lambda: store)
    assert store.batches.register(batch("dock"))
    return Truth(store, own)


def hand_in(store: Store, messages: Iterable[Mapping[str, str]]) -> None:
    pipe = store.client.pipeline(transaction=False)
    for fields in messages:
        pipe.xadd(keys.TRUTH, dict(fields))  # type: ignore[arg-type]
    pipe.execute()


def drain(truth: Truth) -> None:
    while truth.step():
        pass


def right(*numbers: int, **fields: str) -> list[dict[str, str]]:
    return [message(number, **fields) for number in numbers]


def wrong(*numbers: int, **fields: str) -> list[dict[str, str]]:
    return right(*numbers, label="bus", **fields)


def verdicts(store: Store) -> list[tuple[Status, int, int]]:
    judged = [event.verdict for event in store.event_log.events() if isinstance(event, TruthJudged)]
    return [(verdict.status, verdict.start, verdict.stop) for verdict in judged]


def progress(store: Store, stream: str = "dock") -> TruthProgress:
    (found,) = store.truth.progress(stream)
    return found


def reasons(store: Store) -> list[str]:
    return [letter.reason for letter in store.event_log.dead_letters()]


def test_rows_become_a_reference_and_then_windows(truth: Truth, store: Store) -> None:
    hand_in(store, right(*range(39)))
    drain(truth)
    assert progress(store).sentence == "correct: 39 rows towards a reference"
    hand_in(store, [*right(*range(39, 55)), *wrong(*range(55, 63))])
    drain(truth)
    found = progress(store)
    assert (found.reference_rows, found.judged_rows, found.waiting_rows) == (40, 20, 3)
    assert found.last is not None and found.last.score.now == 0.5
    assert verdicts(store) == [(Status.PASS, 0, 10), (Status.FAIL, 10, 20)]
    assert store.client.xlen(keys.TRUTH) == 0, "what was handled is gone"
    assert store.client.llen(broker.REDUCE_QUEUE) == 1
    assert reasons(store) == []


def test_a_confirmed_drop_is_one_incident_and_its_end_closes_it(truth: Truth, store: Store) -> None:
    hand_in(store, [*right(*range(50)), *wrong(*range(50, 90))])
    drain(truth)
    reducer.reduce("dock")
    (incident,) = store.streams.incidents("dock")
    assert (incident.cause, incident.by_truth) == (Cause.MODEL_DECAY, True)
    assert incident.truth is not None and incident.truth.now == 0.0 and incident.truth.healed_as == ""
    hand_in(store, right(*range(90, 120)))
    drain(truth)
    reducer.reduce("dock")
    (incident,) = store.streams.incidents("dock")
    assert incident.ended == "3 windows of truth in a row are as good as the reference"


@hypothesis_settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32 - 1))
def test_a_row_counts_once_whatever_is_delivered_again_and_in_whatever_order(
    truth: Truth, store: Store, seed: int
) -> None:
    rng = random.Random(seed)
    store.client.flushall()
    store.batches.register(batch("dock"))
    first, second = [*right(*range(40))], [*right(*range(40, 45)), *wrong(*range(45, 50))]
    for part in (first, second):
        again = [*part, *rng.choices(part, k=10)]
        hand_in(store, rng.sample(again, k=len(again)))
        drain(truth)
    hand_in(store, rng.choices([*first, *second], k=20))
    drain(truth)
    found = progress(store)
    assert (found.reference_rows, found.judged_rows, found.waiting_rows) == (40, 10, 0)
    assert verdicts(store) == [(Status.FAIL, 0, 10)]
    assert found.last is not None and found.last.score.now == 0.5


def test_what_a_process_that_died_had_read_is_taken_over_and_counts_once(truth: Truth, store: Store) -> None:
    hand_in(store, right(*range(30)))
    doomed = GroupReader(store.client, keys.TRUTH, "bridge", "doomed", claim_after=0.0)
    read = list(doomed.read(count=100, block_ms=10))
    assert len(read) == 30
    for entry_id, fields in read[:20]:  # taken in, and not acknowledged
        truth.take(keys.TRUTH, entry_id, fields)
    heir = GroupReader(store.client, keys.TRUTH, "bridge", "heir", claim_after=0.0, consume=True)
    for entry_id, fields in heir.read(count=100, block_ms=10):
        truth.take(keys.TRUTH, entry_id, fields)
        heir.acknowledge(entry_id)
    assert progress(store).waiting_rows == 30
    assert store.client.xlen(keys.TRUTH) == 0


def test_rows_whose_process_died_before_it_judged_them_are_judged_by_the_next_step_of_any(
    truth: Truth, store: Store
) -> None:
    for fields in right(*range(50)):
        truth.accept({name.encode(): value.encode() for name, value in fields.items()})
    assert verdicts(store) == []
    truth.step()
    assert verdicts(store) == [(Status.PASS, 0, 10)]
    assert store.truth.due() == []


def test_of_two_processes_that_judge_the_same_rows_one_commits(truth: Truth, store: Store, own: Settings) -> None:
    for fields in right(*range(50)):
        truth.accept({name.encode(): value.encode() for name, value in fields.items()})
    read = store.truth.read("dock")
    assert move_truth(store, own, "dock") == (TruthCommitted.DONE, 1)
    assert store.truth.commit("dock", read, []) is TruthCommitted.CONFLICT
    assert verdicts(store) == [(Status.PASS, 0, 10)]


def test_rows_that_come_while_a_window_is_judged_keep_the_stream_due(truth: Truth, store: Store) -> None:
    accept = [{name.encode(): value.encode() for name, value in fields.items()} for fields in right(*range(50))]
    for fields in accept[:49]:
        truth.accept(fields)
    read = store.truth.read("dock")
    truth.accept(accept[49])
    assert store.truth.commit("dock", read, []) is TruthCommitted.MORE
    assert store.truth.due() == ["dock"]


def test_another_version_of_the_model_and_another_measure_have_a_reference_of_their_own(
    truth: Truth, store: Store
) -> None:
    hand_in(store, [*right(*range(50), model="v1"), *wrong(*range(100, 150), model="v2")])
    hand_in(store, [{**fields, "id": f"loss {n}"} for n, fields in enumerate(right(*range(5), loss="0.5"))])
    drain(truth)
    found = {(row.model, row.measure): row for row in store.truth.progress("dock")}
    assert {name: row.reference_rows for name, row in found.items()} == {
        ("v1", Measure.CORRECT): 40, ("v2", Measure.CORRECT): 40, ("", Measure.LOSS): 0,
    }  # fmt: skip
    assert {row.last.status for row in found.values() if row.last} == {Status.PASS}, "v2 is as bad as its reference"


def test_what_is_kept_of_a_stream_is_bounded(truth: Truth, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.store.truth.MOST_IDS", 100)
    hand_in(store, right(*range(1000)))
    for version in range(2 * MOST_TRACKS):
        hand_in(store, right(*range(2000 + 10 * version, 2005 + 10 * version), model=f"v{version}"))
    drain(truth)
    assert store.client.zcard(keys.stream_key("dock", "truth-ids")) == 100
    found = store.truth.progress("dock")
    assert [row.model for row in found] == [f"v{2 * MOST_TRACKS - 1 - n}" for n in range(MOST_TRACKS)]
    assert len(store.client.keys("*truth-rows*")) == MOST_TRACKS
    assert len(store.client.hkeys(keys.stream_key("dock", "truth"))) == 2 + MOST_TRACKS


def test_footage_that_fails_makes_no_reference_and_is_told_whether_the_model_copes(
    truth: Truth, store: Store, own: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from common.baselines.binding import BaselineBinding

    binding = BaselineBinding(own, store)
    monkeypatch.setattr(context, "baselines", lambda: binding)
    store.forgetting.forget("dock")
    feed(store, binding, "dock", normal(72, seed=2))  # taken within seconds of frame 0
    hand_in(store, right(*range(40)))
    drain(truth)
    assert progress(store).reference_rows == 40
    feed(store, binding, "dock", re_aimed(160, seed=3))
    (drift,) = store.streams.open_incidents("dock")
    assert not drift.by_truth
    hand_in(store, [*wrong(*range(40, 60)), *right(*range(60, 100), model="v2")])
    drain(truth)
    reducer.reduce("dock")
    (told,) = store.streams.open_incidents("dock")
    assert told.id == drift.id
    assert told.truth is not None and told.truth.sentence.startswith("the model does worse: right on 0%")
    (v2,) = [row for row in store.truth.progress("dock") if row.model == "v2"]
    assert (v2.reference_rows, v2.refused_rows) == (0, 40)
    hand_in(store, right(*range(100, 110)))
    drain(truth)
    reducer.reduce("dock")
    (told,) = store.streams.open_incidents("dock")
    assert told.truth is not None and told.truth.sentence.startswith("the model copes")


def test_truth_of_a_stream_that_there_is_not_is_a_dead_letter_that_can_be_retried(truth: Truth, store: Store) -> None:
    hand_in(store, right(0, stream="yard"))
    drain(truth)
    (letter,) = store.event_log.dead_letters()
    assert "there is no stream 'yard'" in letter.reason and letter.stream == "yard"
    assert not store.client.keys("*{yard}*")
    store.batches.register(batch("yard"))
    RawEntry.from_json(letter.original).send(store.client)
    drain(truth)
    assert progress(store, "yard").waiting_rows == 1


NAMES = st.sampled_from([name.encode() for name in (*message(0), "loss")]) | st.binary(max_size=30)


@hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(NAMES, st.binary(max_size=30), min_size=1))
def test_no_entry_whatever_ends_the_process(truth: Truth, store: Store, fields: dict[bytes, bytes]) -> None:
    before = len(reasons(store))
    store.client.xadd(keys.TRUTH, fields)  # type: ignore[arg-type]
    truth.step()
    assert len(reasons(store)) == before + 1
    assert store.client.xlen(keys.TRUTH) == 0


def test_messages_wait_in_their_order_while_redis_holds_too_much(
    truth: Truth, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("producers.entry_reader._PAUSE_SECONDS", 0.05)
    store.settings = store.settings.model_copy(update={"backlog_mb": 1})
    store.client.set("ballast", b"x" * 3_000_000)
    hand_in(store, right(*range(3)))
    stop = threading.Event()
    thread = threading.Thread(target=truth.run, args=[stop])
    thread.start()
    try:
        time.sleep(0.5)
        assert store.client.xlen(keys.TRUTH) == 3 and store.truth.progress("dock") == ()
        store.client.delete("ballast")
        store.settings = store.settings.model_copy(update={"backlog_mb": 200})
        deadline = time.monotonic() + 60
        while store.client.xlen(keys.TRUTH) and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        stop.set()
        thread.join(60)
    assert progress(store).waiting_rows == 3


def test_a_stream_of_messages_that_its_writer_ended_is_begun_anew(truth: Truth, store: Store) -> None:
    truth.step()
    store.client.xadd(keys.TRUTH, message(0), id="18446744073709551615-18446744073709551615")  # type: ignore[arg-type]
    with pytest.raises(redis.ResponseError):
        hand_in(store, right(1))
    truth._streams._next_look = 0.0
    drain(truth)
    hand_in(store, right(1))
    truth._streams._next_look = 0.0
    drain(truth)
    assert progress(store).waiting_rows == 2


@pytest.mark.parametrize(("stored", "field"), [(b'{"format": 99}', "state"), (b"\xff", "state"), (b"{", "row")])
def test_what_cannot_be_read_is_a_dead_letter_and_the_rest_goes_on(
    truth: Truth, store: Store, stored: bytes, field: str
) -> None:
    hand_in(store, right(*range(45)))
    drain(truth)
    (track,) = store.truth.read("dock").tracks
    assert track.state is not None and TruthTrack.from_json(track.state).reference
    if field == "state":
        store.client.hset(keys.stream_key("dock", "truth"), f"state:{track.id}", stored)
    else:
        store.client.hset(keys.stream_key("dock", "truth-rows", track.id), "bad", stored)
    hand_in(store, right(*range(45, 100)))
    drain(truth)
    assert len(reasons(store)) == 1
    assert progress(store).reference_rows == 40
    assert progress(store).judged_rows == (60 if field == "row" else 20)


def test_of_a_stream_that_is_forgotten_no_truth_is_left_and_none_comes_back(
    truth: Truth, store: Store, own: Settings
) -> None:
    store.batches.register(batch("yard"))
    hand_in(store, [*right(*range(55)), *({**fields, "stream": "yard"} for fields in right(*range(3)))])
    drain(truth)
    hand_in(store, [*right(55), *right(56, stream="yard")])
    read = store.truth.read("dock")
    gone = forget(store, own, "dock")
    assert gone.truth == 1
    assert not store.client.keys("*{dock}*") and "dock" not in store.truth.due()
    assert store.truth.commit("dock", read, []) is TruthCommitted.CONFLICT
    drain(truth)
    assert not store.client.keys("*{dock}*")
    assert progress(store, "yard").waiting_rows == 4


def test_a_configuration_file_that_is_broken_lets_rows_wait_and_loses_none(
    truth: Truth, store: Store, own: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "broken.toml"
    path.write_text("[streams", encoding="utf-8")
    truth.settings = own.model_copy(update={"config": path})
    hand_in(store, right(*range(50)))
    drain(truth)
    truth.step()
    assert caplog.text.count("its truth waits") == 1
    truth.settings = own
    truth.step()
    assert verdicts(store) == [(Status.PASS, 0, 10)]


@pytest.mark.parametrize(("table", "kind"), [('model = "vfi"', "vfi"), ("", ""), ('baseline = "x"', "")])
def test_only_a_stream_that_is_bound_to_a_model_has_one_that_can_be_retrained(
    truth: Truth, store: Store, own: Settings, tmp_path: Path, table: str, kind: str
) -> None:
    path = tmp_path / "bound.toml"
    path.write_text(f"[streams.dock]\n{table}\n", encoding="utf-8")
    truth.settings = own.model_copy(update={"config": path})
    hand_in(store, [*right(*range(40)), *wrong(*range(40, 50))])
    drain(truth)
    last = progress(store).last
    assert last is not None and last.score.healed_as == kind


def test_status_says_how_far_truth_is(truth: Truth, store: Store) -> None:
    hand_in(store, [*right(*range(40), model="v3"), *wrong(*range(40, 52), model="v3")])
    drain(truth)
    (said,) = [row.sentence for row in stream_status(store, "dock", time.time()).truth]
    assert said == (
        "model v3, correct: reference of 40 rows, 10 judged, 2 wait; FAIL, the model does worse: right on 0% of 10 "
        "frames, reference 100%, model v3"
    )


def test_a_process_goes_on_when_redis_comes_back(tmp_path: Path, own: Settings) -> None:
    server = RedisServer(tmp_path / "redis", max_mb=64)
    server.start()
    store = Store(server.url, own)
    store.batches.register(batch("dock"))
    hand_in(store, right(*range(10)))
    truth, stop = Truth(store, own), threading.Event()
    thread = threading.Thread(target=truth.run, args=[stop])
    thread.start()
    try:
        time.sleep(0.3)
        server.stop()
        time.sleep(0.5)
        server.start()
        hand_in(store, right(*range(10, 20)))
        deadline = time.monotonic() + 60
        while store.client.xlen(keys.TRUTH) and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        stop.set()
        thread.join(60)
    assert progress(store).waiting_rows == 20
    server.stop()
