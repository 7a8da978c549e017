"""Verdicts and notes as the tests of incidents need them."""

from __future__ import annotations

from common.contracts.ids import content_id
from common.contracts.incidents import Action, ActionKind, IncidentNote, NoteKind, Silence
from common.contracts.verdicts import Cause, ConditionMatch, Status, Verdict, WorstFrame
from tests.common.builders import verdict

FRAMES, STRIDE = 48, 12
DAY = 86_400.0


def judged(
    number: int,
    kind: str,
    *,
    cause: Cause = Cause.NOISE,
    matched: Cause | None = None,
    confirmed: bool = True,
    since: int | None = None,
    at: float | None = None,
    stream: str = "dock",
    baseline_id: str = "b1",
) -> Verdict:
    """Return the verdict on window `number` of a stream, a window a stride, taken at `at` or `number` seconds.

    Parameters
    ----------
    kind : "pass", "fail" or "match"
    cause : of the departure from golden
    matched : cause of the condition that a "match" matches; None: as `cause`
    since : number of the window with which its run began; None: this one
    """
    departs = kind != "pass"
    match = ConditionMatch(
        id=f"condition-{matched or cause}", cause=matched or cause, golden_score=0.6, golden_p_value=0.01,
        golden_cause=cause,
    )  # fmt: skip
    taken = float(number if at is None else at)
    made = verdict(
        stream=stream,
        stop=FRAMES + STRIDE * number,
        status=Status.FAIL if kind == "fail" else Status.PASS,
        baseline_id=baseline_id,
    )
    return made.model_copy(
        update={
            "cause": cause if kind == "fail" else None,
            "condition": match if kind == "match" else None,
            "confirmed": confirmed and departs,
            "failing_since": STRIDE * (number if since is None else since) if departs else None,
            "taken_from": taken,
            "taken_to": taken + 0.5,
            "worst_frames": (WorstFrame(source="/a.mp4", time=float(number), distance=float(number % 7)),),
        }
    )


def note(
    name: str,
    *,
    incident: str | None = None,
    kind: NoteKind = NoteKind.ACTION,
    action: ActionKind = ActionKind.RETRAIN,
    action_id: str = "",
    ended: bool = False,
    outcome: str = "",
    stream: str = "dock",
) -> IncidentNote:
    """Return a note by the person or process `name`."""
    done = Action(
        id=action_id or name, kind=action, by=name, at=5.0, ended_at=9.0 if ended else None, outcome=outcome
    )  # fmt: skip
    note_id = content_id(name, kind, incident, done.to_json())
    return IncidentNote(id=note_id, stream=stream, kind=kind, incident=incident, action=done)


def silence_note(since: float, *, noticed_at: float, stream: str = "dock", name: str = "") -> IncidentNote:
    """Return the note that `stream`, whose last batch came at `since`, is silent."""
    return IncidentNote(
        id=content_id("silence", stream, since, name),
        stream=stream,
        kind=NoteKind.SILENCE,
        incident=None,
        silence=Silence(since=since, noticed_at=noticed_at, model="vfi"),
    )
