"""Incidents as pure arithmetic: when they open, change, close and open again, and the laws that hold whatever comes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from common.contracts.incidents import ActionKind, Incident, IncidentLog, IncidentNote, IncidentState, NoteKind
from common.contracts.verdicts import Cause, Verdict
from common.drift.incident_changes import Change, ChangeKind
from common.drift.incident_notes import apply_note
from common.drift.incidents import advance
from tests.common.incidents import DAY, FRAMES, STRIDE, judged, note

OPENED, CHANGED, CLOSED = ChangeKind.OPENED, ChangeKind.CHANGED, ChangeKind.CLOSED
FAILING, HEALED = IncidentState.FAILING, IncidentState.HEALED
CLOSE_WINDOWS = 3


@dataclass
class Story:
    """A stream's incidents while verdicts and notes come."""

    log: IncidentLog = field(default_factory=IncidentLog)
    changes: list[Change] = field(default_factory=list)
    stored: bool = False
    """Whether the log is stored and read again between any two verdicts, as between two commits."""

    def see(self, *verdicts: Verdict, muted: bool = False) -> Story:
        for row in verdicts:
            self.log, changes = advance(
                self.log, f"event-{row.stop}", row, model="vfi", now=0.0, close_windows=CLOSE_WINDOWS, muted=muted
            )
            self.changes += changes
            if self.stored:
                self.log = IncidentLog.from_json(self.log.to_json())
        return self

    def told(self, *notes: IncidentNote) -> Story:
        for row in notes:
            self.log, changes = apply_note(self.log, row)
            self.changes += changes
        return self

    @property
    def kinds(self) -> list[ChangeKind]:
        return [change.kind for change in self.changes]

    @property
    def only(self) -> Incident:
        (incident,) = self.log.open
        return incident


def passes(first: int, *, at: float | None = None) -> list[Verdict]:
    """Return as many golden windows as close an incident."""
    return [judged(first + i, "pass", at=at) for i in range(CLOSE_WINDOWS)]


def test_a_run_that_is_confirmed_opens_an_incident_with_all_of_its_windows() -> None:
    story = Story().see(*(judged(n, "fail", confirmed=n >= 3, since=0) for n in range(5)))
    assert story.kinds == [OPENED]
    incident = story.only
    assert (incident.state, incident.cause, incident.failed_windows) == (FAILING, Cause.NOISE, 5)
    assert [window.start for window in incident.windows] == [0, STRIDE, 2 * STRIDE, 3 * STRIDE, 4 * STRIDE]
    assert (incident.since, incident.since_time) == (0, 0.0)
    assert (incident.opened_at, incident.latest_at) == (3.5, 4.5)


def test_a_run_that_ends_before_it_is_confirmed_leaves_nothing() -> None:
    story = Story().see(judged(0, "fail", confirmed=False), judged(1, "pass"))
    assert story.log == IncidentLog()
    assert story.changes == []


def test_an_incident_closes_after_enough_golden_windows_in_a_row() -> None:
    story = Story().see(judged(0, "fail"), judged(1, "pass"), judged(2, "pass"), judged(3, "match", confirmed=False))
    assert story.only.passes == 0, "a departure, confirmed or not, begins the count again"
    story.see(*passes(4))
    assert story.kinds == [OPENED, CLOSED]
    (closed,) = story.log.closed
    assert (closed.closed_at, closed.passes) == (6.5, CLOSE_WINDOWS)
    assert "passed the golden baseline" in closed.ended


def test_footage_that_matches_a_condition_from_the_start_is_healed_and_still_opens_an_incident() -> None:
    story = Story().see(judged(0, "match", cause=Cause.BLUR, matched=Cause.NOISE))
    assert story.kinds == [OPENED]
    assert (story.only.state, story.only.cause, story.only.causes) == (HEALED, Cause.NOISE, {Cause.BLUR: 1})
    assert (story.only.matched_windows, story.only.failed_windows) == (1, 0)


def test_a_failing_incident_is_healed_once_a_match_shares_no_frame_with_a_fail() -> None:
    story = Story().see(judged(0, "fail"))
    apart = FRAMES // STRIDE
    story.see(*(judged(n, "match", since=0) for n in range(1, apart)))
    assert story.only.state is FAILING, "their frames are in part those that failed"
    story.see(judged(apart, "match", since=0))
    assert story.only.state is HEALED
    assert story.only.matched_windows == apart
    assert story.kinds == [OPENED, CHANGED]


def test_a_healed_incident_that_fails_of_the_same_cause_fails_again_and_is_no_new_one() -> None:
    story = Story().see(judged(0, "match"), judged(10, "fail"))
    assert story.kinds == [OPENED, CHANGED]
    assert story.only.state is FAILING


def test_a_healed_camera_that_is_covered_has_two_incidents() -> None:
    story = Story().see(judged(0, "match"), judged(10, "fail", cause=Cause.COVERED))
    assert [(i.state, i.cause) for i in story.log.open] == [(HEALED, Cause.NOISE), (FAILING, Cause.COVERED)]
    assert story.kinds == [OPENED, OPENED]
    story.see(*passes(20))
    assert story.kinds == [OPENED, OPENED, CLOSED, CLOSED]


def test_a_fail_of_another_cause_joins_the_incident_that_fails_and_renames_it_once_it_prevails() -> None:
    story = Story().see(judged(0, "fail"), judged(1, "fail"), judged(2, "fail", cause=Cause.BLUR))
    assert (story.only.cause, story.kinds) == (Cause.NOISE, [OPENED])
    story.see(judged(3, "fail", cause=Cause.BLUR))
    assert story.only.cause is Cause.NOISE, "among equals the earlier stays"
    story.see(judged(4, "fail", cause=Cause.BLUR))
    assert (story.only.cause, story.kinds) == (Cause.BLUR, [OPENED, CHANGED])
    assert story.only.causes == {Cause.NOISE: 2, Cause.BLUR: 3}


def test_the_same_cause_within_a_day_reopens_the_incident_and_counts() -> None:
    story = Story()
    for night in range(3):
        story.see(judged(100 * night, "match", at=night * DAY), *passes(100 * night + 1, at=night * DAY + DAY / 2))
    assert story.kinds == [OPENED, CLOSED, CHANGED, CLOSED, CHANGED, CLOSED]
    (incident,) = story.log.closed
    assert (len(incident.occurrences), incident.times_this_week) == (3, 3)
    assert story.changes[2].incident.state is HEALED
    assert (story.changes[2].incident.closed_at, story.changes[2].incident.ended) == (None, "")


def test_later_than_a_day_or_of_another_cause_or_golden_baseline_it_is_a_new_incident() -> None:
    for again in (
        judged(50, "fail", at=2 * DAY + 10),
        judged(50, "fail", cause=Cause.BLACK),
        judged(50, "fail", baseline_id="b2"),
    ):
        story = Story().see(judged(0, "fail"), *passes(1), again)
        assert story.kinds == [OPENED, CLOSED, OPENED]
        assert len({change.incident.id for change in story.changes}) == 2


def test_only_occurrences_of_the_last_seven_days_count_as_this_week() -> None:
    incident = Story().see(judged(0, "fail")).only.model_copy(update={"occurrences": (0.0, 2 * DAY, 8 * DAY)})
    assert incident.times_this_week == 2


def test_an_incident_that_opens_under_a_mute_is_announced_again_once_it_is_over() -> None:
    story = Story().see(judged(0, "fail"), judged(1, "fail"), muted=True)
    assert [(change.kind, change.incident.muted) for change in story.changes] == [(OPENED, True)]
    story.see(judged(2, "fail"), judged(3, "fail"))
    assert [(change.kind, change.incident.muted) for change in story.changes[1:]] == [(OPENED, False)]


def test_an_incident_that_is_over_before_its_mute_is_never_announced_as_new() -> None:
    story = Story().see(judged(0, "fail"), *passes(1), muted=True).see(judged(9, "pass"))
    assert [(change.kind, change.incident.muted) for change in story.changes] == [(OPENED, True), (CLOSED, True)]


# --- notes


def test_actions_are_noted_and_end_under_their_own_id() -> None:
    story = Story().see(judged(0, "fail"))
    incident = story.only.id
    begin = note("sentinel", incident=incident, action_id="r1")
    end = note("sentinel", incident=incident, action_id="r1", ended=True, outcome="v2 promoted")
    story.told(begin, end, begin)
    assert [(action.id, action.outcome) for action in story.only.actions] == [("r1", "v2 promoted")]
    assert story.kinds == [OPENED, CHANGED, CHANGED]


def test_a_beginning_that_comes_after_its_end_does_not_take_the_end_back() -> None:
    story = Story().see(judged(0, "fail"))
    story.told(note("sentinel", action_id="r1", ended=True, outcome="rejected"), note("sentinel", action_id="r1"))
    assert story.only.actions[0].outcome == "rejected"


def test_acknowledging_names_the_person() -> None:
    story = Story().see(judged(0, "fail")).told(note("ida", action=ActionKind.ACKNOWLEDGE, ended=True))
    assert story.only.acknowledged_by == "ida"
    assert story.kinds == [OPENED, CHANGED]


def test_what_comes_again_was_seen_by_nobody_yet() -> None:
    story = Story().see(judged(0, "fail")).told(note("ida", action=ActionKind.ACKNOWLEDGE, ended=True))
    story.see(judged(1, "fail"))
    assert story.only.acknowledged_by == "ida", "while it lasts"
    story.see(*passes(2))
    assert story.log.closed[-1].acknowledged_by == "ida"
    story.see(judged(50, "fail"))
    assert (story.only.acknowledged_by, len(story.only.occurrences)) == (None, 2)
    assert [action.by for action in story.only.actions] == ["ida"], "the time line remembers"


def test_a_persons_word_closes_every_open_incident_or_the_one_it_names() -> None:
    story = Story().see(judged(0, "match"), judged(10, "fail", cause=Cause.COVERED))
    covered = story.log.open[1].id
    story.told(note("ida", kind=NoteKind.CLOSE, incident=covered, outcome="accepted as normal"))
    assert [incident.ended for incident in story.log.closed] == ["accepted as normal"]
    assert story.only.state is HEALED
    story.told(note("ida", kind=NoteKind.CLOSE))
    assert story.log.open == ()
    assert story.kinds == [OPENED, OPENED, CLOSED, CLOSED]


def test_after_an_acceptance_the_run_before_it_is_part_of_no_incident() -> None:
    story = Story().see(judged(0, "fail"), judged(1, "match", confirmed=False)).told(note("ida", kind=NoteKind.CLOSE))
    story.see(judged(50, "fail", baseline_id="b2"))
    assert [window.start for window in story.only.windows] == [50 * STRIDE]


def test_a_note_about_a_closed_incident_is_added_to_it_and_one_about_an_unknown_one_is_dropped() -> None:
    story = Story().see(judged(0, "fail"), *passes(1))
    closed = story.log.closed[0].id
    story.told(note("sentinel", incident=closed, ended=True), note("sentinel", incident="nobody"))
    assert len(story.log.closed[0].actions) == 1
    assert story.kinds == [OPENED, CLOSED, CHANGED]


def test_actions_are_bounded_and_the_oldest_that_ended_go_first() -> None:
    story = Story().see(judged(0, "fail")).told(note("sentinel", action_id="runs on"))
    story.told(*(note("sentinel", action_id=f"r{n}", ended=True) for n in range(40)))
    kept = [action.id for action in story.only.actions]
    assert (len(kept), kept[0], kept[-1]) == (32, "runs on", "r39")


# --- laws

CAUSES = st.sampled_from([Cause.NOISE, Cause.BLUR, Cause.BLACK])
windows = st.lists(
    st.tuples(st.sampled_from(["pass", "pass", "fail", "match"]), CAUSES, CAUSES, st.booleans(), st.booleans()),
    max_size=60,
)
notes = st.lists(
    st.tuples(
        st.integers(0, 60), st.sampled_from([NoteKind.ACTION, NoteKind.CLOSE]), st.sampled_from(list(ActionKind)),
        st.integers(0, 3), st.booleans(),
    ),
    max_size=6,
)  # fmt: skip


def replay(rows: list[tuple[str, Cause, Cause, bool, bool]], told: list[IncidentNote], *, again: bool = False) -> Story:
    """Return the story of `rows`, with the notes in its middle.

    With `again` each note is delivered twice, and each verdict is a commit of its own.
    """
    story, since, departed = Story(stored=again), 0, 0
    for number, (kind, cause, matched, sure, muted) in enumerate(rows):
        before = rows[number - 1][0] if number else "pass"
        since = since if kind == before == "fail" else number
        departed = departed if before != "pass" else number
        began = since if kind == "fail" else departed
        row = judged(number, kind, cause=cause, matched=matched, confirmed=sure, since=began, at=number * DAY / 8)
        story.see(row, muted=muted)
        if number == len(rows) // 2:
            for one in told:
                story.told(*([one, one] if again else [one]))
    return story


def notes_of(rows: list[tuple[int, NoteKind, ActionKind, int, bool]]) -> list[IncidentNote]:
    return [
        note(f"person-{number}", kind=kind, action=action, action_id=f"a{action_id}", ended=ended)
        for number, kind, action, action_id, ended in rows
    ]


@given(windows, notes)
def test_neither_commits_between_verdicts_nor_notes_that_come_twice_change_anything(
    rows: list[tuple[str, Cause, Cause, bool, bool]], told: list[tuple[int, NoteKind, ActionKind, int, bool]]
) -> None:
    once, twice = replay(rows, notes_of(told)), replay(rows, notes_of(told), again=True)
    assert once.log == twice.log
    assert once.changes == twice.changes


@given(windows, notes)
def test_whatever_comes_the_laws_of_incidents_hold(
    rows: list[tuple[str, Cause, Cause, bool, bool]], told: list[tuple[int, NoteKind, ActionKind, int, bool]]
) -> None:
    story = replay(rows, notes_of(told))
    log = story.log
    assert sum(incident.state is FAILING for incident in log.open) <= 1
    assert len({incident.id for incident in (*log.open, *log.closed)}) == len((*log.open, *log.closed))
    for incident in (*log.open, *log.closed, *(change.incident for change in story.changes)):
        assert incident.failed_windows + incident.matched_windows == sum(incident.causes.values())
        assert incident.failed_windows + incident.matched_windows >= len(incident.windows) > 0
        assert incident.windows == tuple(sorted(incident.windows, key=lambda window: window.start))
        assert len(incident.worst_frames) <= 3
    departed = sum(kind != "pass" for kind, *_ in rows)
    assert sum(i.failed_windows + i.matched_windows for i in (*log.open, *log.closed)) <= departed
    if rows and rows[-1][0] != "pass":
        assert all(incident.passes == 0 for incident in log.open)
    # Each time that it is opened or reopened, an incident is closed at most once.
    closed = Counter(change.incident.id for change in story.changes if change.kind is CLOSED)
    times = {change.incident.id: len(change.incident.occurrences) for change in story.changes}
    for incident_id, count in closed.items():
        assert count <= times[incident_id]
    for change in story.changes:
        if change.kind is CLOSED and not told:
            assert change.incident.passes == CLOSE_WINDOWS
        if change.kind is OPENED:
            assert change.incident.state is not IncidentState.CLOSED


@given(windows)
def test_every_window_of_a_confirmed_departure_is_in_an_incident(
    rows: list[tuple[str, Cause, Cause, bool, bool]],
) -> None:
    story = replay(rows, [])
    if rows and rows[-1][0] != "pass" and rows[-1][3]:
        last = STRIDE * (len(rows) - 1)
        assert any(incident.windows[-1].start == last for incident in story.log.open)
        assert story.log.run == ()
