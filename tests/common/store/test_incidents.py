"""A stream's incidents on a real Redis: moved with its window, in one step, and every note exactly once."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.contracts.dead_letters import DeadLetterKind
from common.contracts.events import IncidentChanged, IncidentClosed, IncidentOpened, WindowFailed, WindowPassed
from common.contracts.incidents import ActionKind, Incident, IncidentLog, IncidentState, NoteKind
from common.contracts.verdicts import Status, Verdict
from common.drift.incident_notes import apply_note
from common.drift.incidents import advance
from common.drift.silence import end_silence, fall_silent
from common.incidents import move_incidents
from common.store import Store, keys
from common.store.incidents import NO_INCIDENTS
from common.store.streams import Committed, JudgedEvent, Window
from tests.common.builders import block
from tests.common.incidents import judged, note, silence_note

CLOSE_WINDOWS = 3
WINDOW = keys.stream_key("dock", "window")


def row(verdict: Verdict) -> JudgedEvent:
    kind = WindowFailed if verdict.status is Status.FAIL else WindowPassed
    return JudgedEvent(kind.about(verdict, model="vfi", stream=verdict.stream, key=verdict.id), block(48))


def commit_to(store: Store, stream: str, *verdicts: Verdict, read: Window | None = None, frames: int = 0) -> Committed:
    """Commit `verdicts` and the notes in the stream's inbox, as the reducer does."""
    read = read or store.streams.window(stream)
    rows, incidents = move_incidents(
        store, stream, read, [row(verdict) for verdict in verdicts], model="vfi", close_windows=CLOSE_WINDOWS,
        frames=frames,
    )  # fmt: skip
    return store.streams.commit(
        stream, read=read, state=b"state" if verdicts else None, frames=None, chunks=(), batch_events=(), judged=rows,
        incidents=incidents,
    )  # fmt: skip


def commit(store: Store, *verdicts: Verdict, read: Window | None = None, frames: int = 0) -> Committed:
    return commit_to(store, "dock", *verdicts, read=read, frames=frames)


def passes(first: int) -> list[Verdict]:
    return [judged(first + i, "pass") for i in range(CLOSE_WINDOWS)]


def announced(store: Store) -> list[tuple[str, Incident]]:
    """Return what was announced of incidents: the kind of event, and the incident."""
    kinds = (IncidentOpened, IncidentChanged, IncidentClosed)
    found = [event for event in store.event_log.events() if isinstance(event, kinds)]
    assert all(event.model == "vfi" and event.stream == "dock" for event in found)
    assert len({event.id for event in found}) == len(found)
    return [(event.type.value.split(".")[3], event.incident) for event in found]


@pytest.fixture(autouse=True)
def known(store: Store) -> None:
    store.client.zadd(keys.STREAMS, {"dock": time.time()})


def test_verdict_incident_and_both_events_are_written_in_one_step(store: Store) -> None:
    assert commit(store, judged(0, "fail")) is Committed.DONE
    types = [event.type.value.split(".")[2:4] for event in store.event_log.events()]
    assert types == [["verdict", "fail"], ["incident", "opened"]]
    (incident,) = store.streams.incidents("dock")
    assert announced(store) == [("opened", incident)]
    assert store.streams.incident(incident.id) == incident
    assert store.streams.incident("nobody") is None


def test_of_two_reducers_one_moves_the_incident(store: Store) -> None:
    read = store.streams.window("dock")
    assert commit(store, judged(0, "fail"), read=read) is Committed.DONE
    assert commit(store, judged(0, "fail"), read=read) is Committed.CONFLICT
    assert len(announced(store)) == 1


def test_evidence_of_fails_and_of_matches_is_kept_and_none_of_a_pass(store: Store) -> None:
    fail, match, passed = judged(0, "fail"), judged(1, "match"), judged(2, "pass")
    commit(store, fail, match, passed)
    kept = [store.streams.evidence("dock", row(verdict).event.id) is not None for verdict in (fail, match, passed)]
    assert kept == [True, True, False]
    (incident,) = store.streams.incidents("dock")
    assert all(store.streams.evidence("dock", window.event_id) is not None for window in incident.windows)


def test_a_closed_incident_is_in_the_archive_until_it_is_opened_again(store: Store) -> None:
    commit(store, judged(0, "fail"), *passes(1))
    archive = keys.stream_key("dock", "incidents")
    (closed,) = store.streams.incidents("dock")
    assert closed.state is IncidentState.CLOSED
    assert store.streams.open_incidents("dock") == ()
    assert store.client.hkeys(archive) == [closed.id.encode()]
    commit(store, judged(9, "fail"))
    (again,) = store.streams.incidents("dock")
    assert (again.id, len(again.occurrences)) == (closed.id, 2)
    assert store.client.hlen(archive) == 0
    assert [kind for kind, _ in announced(store)] == ["opened", "closed", "changed"]


def test_the_archive_is_bounded_and_keeps_the_latest(store: Store) -> None:
    for number in range(205):
        far = number * 10 * 86_400.0  # later than a day: a new incident each
        first = 10 * number
        verdicts = [judged(first, "fail", at=far), *(judged(first + i, "pass", at=far) for i in (1, 2, 3))]
        commit(store, *verdicts)
    found = store.streams.incidents("dock")
    assert len(found) == 200
    assert min(incident.occurrences[0] for incident in found) == 5 * 10 * 86_400.0 + 0.5


def test_a_stream_that_is_well_stores_nothing_about_incidents(store: Store) -> None:
    commit(store, judged(0, "pass"), judged(1, "pass"))
    assert not store.client.hexists(WINDOW, "incidents")


# --- notes


def test_a_note_is_applied_without_frames_and_taken_out_of_the_inbox(store: Store) -> None:
    commit(store, judged(0, "fail"))
    at = store.client.hget(WINDOW, "at")
    store.streams.note(note("sentinel", ended=True, outcome="v2 promoted"))
    assert store.streams.waits_for_reducer("dock")
    assert commit(store) is Committed.DONE
    assert not store.streams.waits_for_reducer("dock")
    (incident,) = store.streams.incidents("dock")
    assert [action.outcome for action in incident.actions] == ["v2 promoted"]
    assert [kind for kind, _ in announced(store)] == ["opened", "changed"]
    assert store.client.hget(WINDOW, "at") == at, "a note is no frame"
    assert store.client.hget(WINDOW, "state") == b"state"


def test_a_note_that_comes_while_others_are_applied_stays_for_the_next_commit(store: Store) -> None:
    commit(store, judged(0, "fail"))
    store.streams.note(note("first"))
    read = store.streams.window("dock")
    store.streams.note(note("second"))
    assert commit(store, read=read) is Committed.MORE
    assert commit(store) is Committed.DONE
    assert [action.by for action in store.streams.open_incidents("dock")[0].actions] == ["first", "second"]


def test_a_note_about_a_stream_that_was_forgotten_leaves_nothing_behind(store: Store) -> None:
    assert store.streams.note(note("sentinel"))
    store.forgetting.forget("dock")
    assert not store.streams.note(note("sentinel"))
    assert store.client.keys("*dock*") == []


def test_a_note_that_was_delivered_twice_counts_once(store: Store) -> None:
    commit(store, judged(0, "fail"))
    for _ in range(2):
        store.streams.note(note("sentinel"))
        commit(store)
    assert [kind for kind, _ in announced(store)] == ["opened", "changed"]


def test_a_reducer_that_is_killed_before_its_commit_leaves_the_note_for_the_next_one(store: Store) -> None:
    commit(store, judged(0, "fail"))
    store.streams.note(note("sentinel"))
    move_incidents(store, "dock", store.streams.window("dock"), [], model="vfi", close_windows=CLOSE_WINDOWS)
    assert store.streams.open_incidents("dock")[0].actions == ()
    commit(store)
    assert len(store.streams.open_incidents("dock")[0].actions) == 1


def test_a_commit_over_a_stream_that_was_forgotten_meanwhile_takes_no_note_of_the_new_one(store: Store) -> None:
    store.streams.note(note("old"))
    read = store.streams.window("dock")
    store.client.delete(keys.stream_key("dock", "inbox"))
    store.streams.note(note("new"))
    assert commit(store, read=read) is Committed.CONFLICT
    assert [row.note for row in store.streams.window("dock").notes] == [note("new")]


def test_a_note_about_an_incident_that_is_long_gone_is_dropped_and_logged(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    commit(store, judged(0, "fail"))
    store.streams.note(note("sentinel", incident="0123456789abcdef"))
    commit(store)
    assert store.streams.window("dock").notes == ()
    assert [kind for kind, _ in announced(store)] == ["opened"]
    assert "01234567 is dropped" in caplog.text


def test_acceptance_closes_the_incident_with_its_reason(store: Store) -> None:
    commit(store, judged(0, "fail"))
    store.streams.note(note("ida", kind=NoteKind.CLOSE, action=ActionKind.ACCEPT, ended=True, outcome="accepted"))
    commit(store)
    (incident,) = store.streams.incidents("dock")
    assert (incident.state, incident.ended) == (IncidentState.CLOSED, "accepted")
    assert [kind for kind, _ in announced(store)] == ["opened", "closed"]


def test_a_note_of_a_newer_version_is_a_dead_letter_and_blocks_none(store: Store) -> None:
    commit(store, judged(0, "fail"))
    store.client.rpush(keys.stream_key("dock", "inbox"), '{"format": 99}', b"\xff")
    store.streams.note(note("sentinel"))
    assert commit(store) is Committed.DONE
    assert len(store.streams.open_incidents("dock")[0].actions) == 1
    letters = list(store.event_log.dead_letters())
    assert [letter.kind for letter in letters] == [DeadLetterKind.STATE] * 2
    assert "format 99" in letters[0].reason


def test_incidents_of_a_newer_version_are_a_dead_letter_and_the_stream_starts_without_any(store: Store) -> None:
    store.client.hset(WINDOW, "incidents", '{"format": 99}')
    assert store.streams.open_incidents("dock") == ()
    commit(store, judged(0, "fail"))
    (letter,) = store.event_log.dead_letters()
    assert letter.kind is DeadLetterKind.STATE
    assert "upgrade this process" in letter.reason
    assert len(store.streams.open_incidents("dock")) == 1


# --- mute


def mute(store: Store, seconds: float) -> None:
    until = json.dumps({"until": time.time() + seconds, "by": "ida", "at": time.time()})
    store.client.set(keys.stream_key("dock", "mute"), until)


def test_an_incident_under_a_mute_is_announced_once_it_is_over_though_no_frame_comes(store: Store) -> None:
    mute(store, 60)
    commit(store, judged(0, "fail"))
    assert [incident.muted for _, incident in announced(store)] == [True]
    assert not store.streams.waits_for_reducer("dock")
    mute(store, -1)
    assert store.streams.waits_for_reducer("dock"), "so that the sweep sees to it"
    commit(store)
    assert [(kind, incident.muted) for kind, incident in announced(store)] == [("opened", True), ("opened", False)]
    assert not store.streams.waits_for_reducer("dock")


@pytest.mark.parametrize("stored", ["", "{}", "[1]", "null", '{"until": "x"}', "[" * 100_000, b"\xff"])
def test_a_mute_that_cannot_be_read_mutes_nothing(store: Store, stored: str | bytes) -> None:
    store.client.set(keys.stream_key("dock", "mute"), stored)
    commit(store, judged(0, "fail"))
    assert [incident.muted for _, incident in announced(store)] == [False]


def test_without_verdicts_notes_or_mutes_nothing_is_read_or_written(store: Store) -> None:
    commit(store, judged(0, "fail"))
    read = store.streams.window("dock")
    assert move_incidents(store, "dock", read, [], model="", close_windows=3) == ([], NO_INCIDENTS)


# --- kills and races

turns = st.lists(
    st.tuples(
        st.sampled_from(["pass", "fail", "match", "note", "accept", "silence", "stale", "frames"]),
        st.sampled_from(["", "kill", "race", "twice"]),
    ),
    max_size=25,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(turns)
def test_whatever_is_killed_raced_or_delivered_twice_the_incidents_are_those_of_a_clean_run(
    store: Store, turns: list[tuple[str, str]]
) -> None:
    store.client.flushall()
    store.client.zadd(keys.STREAMS, {"dock": 1.5})
    clean, expected = IncidentLog(), list[Incident]()
    for number, (kind, trouble) in enumerate(turns):
        read = store.streams.window("dock")
        if kind in {"note", "accept"}:
            told = note(f"by-{number}", kind=NoteKind.CLOSE if kind == "accept" else NoteKind.ACTION)
            for _ in range(2 if trouble == "twice" else 1):
                store.streams.note(told)
            read = store.streams.window("dock")
            verdicts = []
            clean, changes = apply_note(clean, told)
        elif kind in {"silence", "stale"}:  # of a batch that is the last one, and of one that is not
            told = silence_note(1.5 if kind == "silence" else 1.0, noticed_at=float(number), name=str(number))
            for _ in range(2 if trouble == "twice" else 1):
                store.streams.note(told)
            read, verdicts, changes = store.streams.window("dock"), [], ()
            position = read.verdict.stop if read.verdict else 0
            if kind == "silence" and told.silence is not None:
                clean, changes = fall_silent(
                    clean, told.id, told.silence, stream="dock", position=position, muted=False
                )  # fmt: skip
        elif kind == "frames":
            verdicts = []
            clean, changes = end_silence(clean, at=1.5)
        else:
            verdicts = [judged(number, kind)]
            clean, changes = advance(
                clean, row(verdicts[0]).event.id, verdicts[0], model="vfi", now=0.0, close_windows=CLOSE_WINDOWS,
                muted=False,
            )  # fmt: skip
        expected += [change.incident for change in changes]
        frames = int(kind == "frames")
        if trouble == "kill":  # between computing and committing
            events = [row(verdict) for verdict in verdicts]
            move_incidents(store, "dock", read, events, model="vfi", close_windows=CLOSE_WINDOWS, frames=frames)
        assert commit(store, *verdicts, read=read, frames=frames) is Committed.DONE
        if trouble == "race":
            assert commit(store, *verdicts, read=read, frames=frames) is Committed.CONFLICT
    stored = store.client.hget(WINDOW, "incidents")
    assert IncidentLog.from_json(stored or IncidentLog().to_json()) == clean
    assert [incident for _, incident in announced(store)] == expected
