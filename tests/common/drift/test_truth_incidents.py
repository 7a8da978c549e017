"""What windows of truth make of incidents: one of their own, or a word to the one about the footage; never a PASS."""

from __future__ import annotations

import pytest

from common.contracts.incidents import ActionKind, Incident, IncidentLog, IncidentState, NoteKind
from common.contracts.truth import TruthVerdict
from common.contracts.verdicts import Cause
from common.drift.incident_changes import ChangeKind
from common.drift.incident_notes import apply_note
from common.drift.incidents import advance
from common.drift.truth_incidents import CLOSE_WINDOWS, judge_by_truth
from tests.common.incidents import DAY, judged, note
from tests.truth import verdict


def after(log: IncidentLog, *verdicts: TruthVerdict, muted: bool = False) -> IncidentLog:
    for each in verdicts:
        log, _ = judge_by_truth(log, f"note {each.id}", each, position=77, muted=muted)
    return log


def footage(log: IncidentLog, *numbers: int, kind: str = "fail", at: float | None = None) -> IncidentLog:
    for number in numbers:
        log, _ = advance(
            log, f"e{number}", judged(number, kind, at=at), model="vfi", now=0.0, close_windows=2, muted=False
        )
    return log


FAILS = (verdict(0, fails=True), verdict(1, fails=True, confirmed=True, since=0))


def test_a_confirmed_run_is_one_incident_with_its_numbers() -> None:
    log, changed = judge_by_truth(after(IncidentLog(), FAILS[0]), "n", FAILS[1], position=77, muted=False)
    (incident,) = log.open
    assert [change.kind for change in changed] == [ChangeKind.OPENED]
    assert (incident.state, incident.cause, incident.by_truth) == (IncidentState.FAILING, Cause.MODEL_DECAY, True)
    assert (incident.failed_windows, incident.since_time, incident.latest_at, incident.since) == (2, 0.0, 20.0, 77)
    assert incident.model == "v3"
    assert incident.truth is not None
    assert incident.truth.sentence == "the model does worse: right on 50% of 10 frames, reference 92%, model v3"
    later = after(log, verdict(2, fails=True, confirmed=True, since=0))
    assert [row.failed_windows for row in later.open] == [3]
    assert later.open[0].worst_frames


def test_fails_that_are_not_confirmed_open_nothing() -> None:
    assert after(IncidentLog(), FAILS[0], verdict(3, fails=True)).open == ()


def test_a_note_that_comes_again_changes_nothing() -> None:
    log = after(IncidentLog(), *FAILS)
    assert after(log, FAILS[1]) == log


def test_windows_that_pass_in_a_row_close_it_and_one_fail_between_them_does_not_let_them() -> None:
    log = after(IncidentLog(), *FAILS)
    passes = [verdict(number, fails=False) for number in range(2, 2 + CLOSE_WINDOWS)]
    assert after(log, *passes[:-1]).open
    closed = after(log, *passes)
    assert not closed.open
    assert closed.closed[0].ended == "3 windows of truth in a row are as good as the reference"
    assert after(log, passes[0], verdict(9, fails=True), *passes[1:]).open


def test_it_is_opened_again_within_a_day_and_is_another_one_later() -> None:
    log = after(IncidentLog(), *FAILS, *(verdict(number, fails=False) for number in (2, 3, 4)))
    again = after(log, verdict(6, fails=True, confirmed=True, since=5))
    assert [row.times_this_week for row in again.open] == [2]
    assert [row.failed_windows for row in again.open] == [4]
    far = verdict(6, fails=True, confirmed=True, at=2 * DAY)
    assert {row.id for row in after(log, far).open}.isdisjoint(row.id for row in log.closed)


@pytest.mark.parametrize("fails", [True, False])
def test_frames_of_an_incident_of_the_footage_tell_it_whether_the_model_copes_and_open_none(fails: bool) -> None:
    log = footage(IncidentLog(), 1, 2)
    (before,) = log.open
    told = after(log, verdict(1, fails=fails, confirmed=fails, at=2.0))
    (incident,) = told.open
    assert incident.truth is not None and incident.truth.decayed is fails
    assert incident.truth.sentence.startswith("the model does worse" if fails else "the model copes")
    assert incident.model_copy(update={"truth": None}) == before, "nothing else changes, and nothing passes"


def test_frames_from_before_or_after_the_drift_are_the_models_own_matter() -> None:
    drifts = footage(IncidentLog(), *range(100, 103))
    assert len(after(drifts, verdict(1, fails=True, confirmed=True, at=50.0)).open) == 2
    over = footage(drifts, 103, 104, kind="pass")
    assert not over.open
    assert [row.by_truth for row in after(over, verdict(1, fails=True, confirmed=True, at=200.0)).open] == [True]
    (told,) = after(over, verdict(1, fails=True, confirmed=True, at=100.0, lasts=2.0)).closed
    assert told.truth is not None and told.truth.decayed


def test_drift_that_is_known_later_takes_the_place_of_the_incident_that_labels_began() -> None:
    log = after(IncidentLog(), *FAILS)
    early = footage(log, 0, 1)
    assert len(early.open) == 2
    log = after(early, verdict(2, fails=True, confirmed=True, at=12.0))
    (incident,) = log.open
    assert not incident.by_truth and incident.truth is not None
    assert "the footage drifts" in log.closed[0].ended


def test_windows_of_footage_neither_join_nor_close_it_and_neither_does_another_baseline() -> None:
    log = after(IncidentLog(), *FAILS)
    assert footage(log, *range(100, 110), kind="pass").open == log.open
    both = footage(log, 100, 101)
    assert {row.by_truth for row in both.open} == {True, False}
    other, _ = advance(
        both, "e", judged(200, "pass", baseline_id="b2"), model="vfi", now=0.0, close_windows=2, muted=False
    )
    assert [row.id for row in other.open] == [log.open[0].id]


def test_an_acceptance_of_the_footage_leaves_it_open_and_a_person_may_acknowledge_it() -> None:
    log = after(IncidentLog(), *FAILS)
    kept, _ = apply_note(log, note("ada", kind=NoteKind.CLOSE, action=ActionKind.ACCEPT, ended=True))
    assert kept.open == log.open
    seen, _ = apply_note(log, note("ada", incident=log.open[0].id, action=ActionKind.ACKNOWLEDGE, ended=True))
    assert seen.open[0].acknowledged_by == "ada"


def test_a_muted_stream_opens_it_muted() -> None:
    assert after(IncidentLog(), *FAILS, muted=True).open[0].muted


def test_a_window_that_was_known_to_be_drifted_opens_nothing_where_the_drift_is_not_in_the_log_any_more() -> None:
    assert after(IncidentLog(), FAILS[0], verdict(1, fails=True, drifted=True)).open == ()


def test_incidents_of_before_open_and_are_of_footage() -> None:
    (incident,) = footage(IncidentLog(), 1, 2).open
    old = incident.model_dump(mode="json", exclude={"by_truth", "truth"})
    assert Incident.model_validate(old).is_of_footage
