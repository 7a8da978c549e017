"""Silence among the incidents of a stream, as pure arithmetic."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from common.contracts.incidents import ActionKind, Incident, IncidentLog, IncidentState, NoteKind
from common.contracts.verdicts import Cause
from common.drift.incident_changes import Change, ChangeKind, end_mute
from common.drift.incident_notes import apply_note
from common.drift.incidents import advance
from common.drift.silence import end_silence, fall_silent
from tests.common.incidents import DAY, judged, note, silence_note

OPENED, CHANGED, CLOSED = ChangeKind.OPENED, ChangeKind.CHANGED, ChangeKind.CLOSED
OFFLINE = IncidentState.OFFLINE


class Story:
    """A stream's incidents while verdicts, notes, silence and frames come."""

    def __init__(self) -> None:
        self.log = IncidentLog()
        self.changes: list[Change] = []

    def _went(self, moved: tuple[IncidentLog, tuple[Change, ...]]) -> Story:
        self.log = IncidentLog.from_json(moved[0].to_json())
        self.changes += moved[1]
        return self

    def silent(self, since: float, noticed_at: float, *, muted: bool = False, name: str = "") -> Story:
        told = silence_note(since, noticed_at=noticed_at, name=name)
        assert told.silence is not None
        return self._went(fall_silent(self.log, told.id, told.silence, stream="dock", position=7, muted=muted))

    def frames(self, at: float) -> Story:
        return self._went(end_silence(self.log, at=at))

    def sees(self, number: int, kind: str, *, cause: Cause = Cause.NOISE, baseline_id: str = "b1") -> Story:
        verdict = judged(number, kind, cause=cause, baseline_id=baseline_id)
        event = f"event-{number}"
        return self._went(
            advance(self.log, event, verdict, model="vfi", now=0.0, close_windows=3, muted=False)
        )  # fmt: skip

    def told(self, name: str, *, kind: NoteKind = NoteKind.ACTION, incident: str | None = None,
             action: ActionKind = ActionKind.RETRAIN) -> Story:  # fmt: skip
        return self._went(apply_note(self.log, note(name, kind=kind, incident=incident, action=action, ended=True)))

    @property
    def kinds(self) -> list[ChangeKind]:
        return [change.kind for change in self.changes]

    @property
    def silences(self) -> list[Incident]:
        return [incident for incident in self.log.open if incident.state is OFFLINE]


def test_silence_is_an_incident_without_windows_that_frames_end() -> None:
    story = Story().silent(1000.0, 1180.0)
    (incident,) = story.log.open
    assert (incident.state, incident.cause, incident.windows, incident.worst_frames) == (OFFLINE, Cause.OFFLINE, (), ())
    assert (incident.since_time, incident.opened_at, incident.since, incident.model) == (1000.0, 1180.0, 7, "vfi")
    story.frames(1900.0)
    (closed,) = story.log.closed
    assert (closed.closed_at, closed.ended) == (1900.0, "frames come again, it was offline for 15 min")
    assert story.kinds == [OPENED, CLOSED]
    assert story.frames(1901.0).kinds == [OPENED, CLOSED]


def test_a_note_that_comes_again_changes_nothing_while_it_lasts_nor_once_it_is_over() -> None:
    story = Story().silent(1000.0, 1180.0).silent(1000.0, 1190.0).silent(1000.0, 1200.0, name="another")
    assert story.kinds == [OPENED]
    story.frames(1900.0).silent(1000.0, 1190.0)
    assert story.kinds == [OPENED, CLOSED]


def test_silence_within_a_day_opens_it_again_and_counts_and_later_it_is_a_new_one() -> None:
    story = Story()
    for day in range(3):
        at = day * DAY / 2
        story.silent(at, at + 180.0).frames(at + 1000.0)
    assert story.kinds == [OPENED, CLOSED, CHANGED, CLOSED, CHANGED, CLOSED]
    (incident,) = story.log.closed
    assert (incident.times_this_week, incident.since_time) == (3, DAY)
    assert incident.ended == "frames come again, it was offline for 17 min", "of the last time alone"
    story.silent(5 * DAY, 5 * DAY + 180.0)
    assert story.kinds[-1] is OPENED
    assert len({change.incident.id for change in story.changes}) == 2


def test_a_fail_is_never_absorbed_by_a_silence_and_a_silence_by_no_fail() -> None:
    story = Story().silent(0.0, 180.0).sees(0, "fail").sees(1, "fail", cause=Cause.BLACK)
    silence, failing = sorted(story.log.open, key=lambda incident: incident.state is IncidentState.FAILING)
    assert (silence.state, silence.failed_windows, silence.passes) == (OFFLINE, 0, 0)
    assert (failing.failed_windows, failing.causes) == (2, {Cause.NOISE: 1, Cause.BLACK: 1})


def test_neither_good_windows_nor_another_golden_baseline_close_it() -> None:
    story = Story().silent(0.0, 180.0)
    for number in range(10):
        story.sees(number, "pass", baseline_id="b2" if number > 5 else "b1")
    assert [incident.state for incident in story.log.open] == [OFFLINE]
    assert story.kinds == [OPENED]


def test_acceptance_leaves_it_open_and_a_note_that_names_it_closes_it() -> None:
    story = Story().sees(0, "fail").silent(0.0, 180.0).told("ida", kind=NoteKind.CLOSE, action=ActionKind.ACCEPT)
    (silence,) = story.log.open
    assert silence.state is OFFLINE
    assert silence.actions == ()
    story.sees(1, "fail", cause=Cause.BLUR)
    story.told("sentinel", kind=NoteKind.CLOSE, incident=silence.id)
    assert silence.id in {incident.id for incident in story.log.closed}


def test_it_is_acknowledged_and_muted_like_any_other() -> None:
    story = Story().silent(0.0, 180.0, muted=True)
    story.told("ida", action=ActionKind.ACKNOWLEDGE, incident=story.log.open[0].id)
    assert (story.log.open[0].acknowledged_by, story.log.open[0].muted) == ("ida", True)
    log, changes = end_mute(story.log, muted=False)
    assert [(change.kind, change.incident.muted) for change in changes] == [(OPENED, False)]
    assert log.open[0].state is OFFLINE


def test_a_silence_that_comes_again_was_seen_by_nobody_yet() -> None:
    story = Story().silent(0.0, 180.0)
    story.told("ida", action=ActionKind.ACKNOWLEDGE, incident=story.log.open[0].id)
    story.frames(200.0).silent(300.0, 480.0, name="again")
    (silence,) = story.silences
    assert (silence.acknowledged_by, len(silence.occurrences)) == (None, 2)


steps = st.lists(
    st.tuples(
        st.sampled_from(["pass", "fail", "match", "silent", "silent", "frames", "close", "golden"]),
        st.sampled_from([Cause.NOISE, Cause.BLACK]),
    ),
    max_size=50,
)


@given(steps)
def test_whatever_comes_silence_and_departures_live_beside_each_other(rows: list[tuple[str, Cause]]) -> None:
    """The law: without its silences a story is that of a stream that never fell silent, and vice versa."""
    both, departures, silences = Story(), Story(), Story()
    golden = 0
    for number, (kind, cause) in enumerate(rows):
        at = float(number) * DAY / 4
        golden += kind == "golden"
        for story in (both, departures, silences):
            if kind in {"pass", "fail", "match", "golden"} and story is not silences:
                seen = "pass" if kind == "golden" else kind
                story.sees(number, seen, cause=cause, baseline_id=f"b{golden}")
            if kind == "close" and story is not silences:
                story.told(f"person-{number}", kind=NoteKind.CLOSE)
            if kind == "silent" and story is not departures:
                story.silent(at, at + 180.0)
            if kind == "frames" and story is not departures:
                story.frames(at)
    assert len(both.silences) <= 1
    of_silence = [change for change in both.changes if change.incident.cause is Cause.OFFLINE]
    assert [change for change in both.changes if change not in of_silence] == departures.changes
    assert of_silence == silences.changes
    assert {incident.id for incident in both.silences} == {incident.id for incident in silences.log.open}
    for change in of_silence:
        assert change.incident.windows == ()
        assert change.incident.failed_windows == change.incident.matched_windows == 0
