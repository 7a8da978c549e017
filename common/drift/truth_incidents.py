"""What windows of truth make of a stream's incidents.

A confirmed run of FAILs becomes an incident of its own, `model_decay`, unless an incident about the footage covers the
frames: then that one is told whether the model copes, and none is opened beside it. Windows of footage neither join an
incident of truth nor close it, nor does a change of the golden baseline; windows of truth that pass do.
"""

from __future__ import annotations

from common.contracts.ids import content_id
from common.contracts.incidents import Incident, IncidentLog, IncidentState
from common.contracts.truth import TruthVerdict
from common.contracts.verdicts import Cause, Status
from common.drift.incident_changes import Change, changes, reopened, with_applied, with_incidents
from common.drift.incidents import REOPEN_SECONDS, worst_of

CLOSE_WINDOWS = 3
"""Windows of truth in a row that must pass before an incident closes: as many as share no frame among the twelve, a
quarter of a window apart, that `SENTINEL_CLOSE_WINDOWS` asks of footage."""
_COVERED_SHARE = 0.5  # of a window's frames
_REPLACED_SECONDS = 86_400.0  # without a window of the version that failed: the newer one has taken its place
_UNNAMED = "own"  # the model of a stream, where its user says no version


def judge_by_truth(
    log: IncidentLog, note_id: str, verdict: TruthVerdict, *, position: int, muted: bool
) -> tuple[IncidentLog, tuple[Change, ...]]:
    """Return the log after a window of truth, and the incidents to announce; applied before, it changes nothing.

    Parameters
    ----------
    position : of the stream's next frame, as far as it was judged, in sampled frames
    muted : whether the stream is muted now
    """
    if note_id in log.applied:
        return log, ()
    rows = [*log.closed, *log.open]
    about = [row for row in rows if row.is_of_footage and _covers(row, verdict)]
    own = next((row for row in log.open if row.by_truth), None)
    if about:
        told = {row.id: row.model_copy(update={"truth": verdict.score}) for row in about}
        if own is not None and any(row.covers(own.since_time) for row in about):
            told[own.id] = _closed(own, verdict, f"the footage drifts, which incident {about[-1].id[:8]} is about")
        after = with_incidents(log, [told.get(row.id, row) for row in rows])
    elif own is not None and _is_of_another(own, verdict):
        after = log  # another version on the same stream neither closes the incident of this one nor takes it over
    elif verdict.status is Status.PASS:
        after = with_incidents(log, [_passed(row, verdict) if row is own else row for row in rows])
    elif own is not None or verdict.confirmed:
        taker = own or _reopenable(log, verdict, muted=muted) or _opened(verdict, position, muted=muted)
        others = [row for row in rows if row.id != taker.id]
        after = with_incidents(log, [*others, _failed(taker, verdict)])
    else:
        after = log
    after = with_applied(after, note_id)
    return after, changes(log, after)


def _is_of_another(incident: Incident, verdict: TruthVerdict) -> bool:
    """Return whether a window is of another version or measure than an incident, which still reports."""
    of = incident.truth
    same = of is None or (of.model, of.measure) == (verdict.score.model, verdict.score.measure)
    return not same and verdict.taken_to - incident.latest_at < _REPLACED_SECONDS


def _covers(incident: Incident, verdict: TruthVerdict) -> bool:
    """Return whether the footage of an incident holds at least half of a window's frames."""
    return sum(incident.covers(at) for at in verdict.moments) >= _COVERED_SHARE * len(verdict.moments)


def _reopenable(log: IncidentLog, verdict: TruthVerdict, *, muted: bool) -> Incident | None:
    for row in reversed(log.closed):
        if row.by_truth and abs(verdict.taken_to - (row.closed_at or row.latest_at)) <= REOPEN_SECONDS:
            return reopened(row, at=verdict.taken_to, muted=muted)
    return None


def _opened(verdict: TruthVerdict, position: int, *, muted: bool) -> Incident:
    """Return a new incident that has taken no window yet."""
    since = verdict.failing_from if verdict.failing_from is not None else verdict.taken_from
    return Incident(
        id=content_id("incident", verdict.stream, verdict.id),
        stream=verdict.stream,
        model=verdict.score.healed_as or verdict.score.model or _UNNAMED,
        golden_id="",
        state=IncidentState.FAILING,
        cause=Cause.MODEL_DECAY,
        causes={},
        since=position,
        since_time=since,
        opened_at=verdict.taken_to,
        latest_at=verdict.taken_to,
        occurrences=(verdict.taken_to,),
        by_truth=True,
        muted=muted,
    )


def _failed(incident: Incident, verdict: TruthVerdict) -> Incident:
    """Return an incident of truth with a FAIL, or where it is new with the run of them that confirmed it."""
    begins = incident.failed_windows == 0 or incident.state is IncidentState.CLOSED
    since = verdict.failing_since if begins and verdict.failing_since is not None else verdict.start
    windows = incident.failed_windows + max((verdict.stop - since) // verdict.score.rows, 1)
    return incident.model_copy(
        update={
            "state": IncidentState.FAILING,
            "model": verdict.score.healed_as or verdict.score.model or _UNNAMED,
            "causes": {Cause.MODEL_DECAY: windows},
            "latest_at": verdict.taken_to,
            "failed_windows": windows,
            "passes": 0,
            "worst_frames": worst_of((*incident.worst_frames, *verdict.worst_frames)),
            "truth": verdict.score,
        }
    )


def _passed(incident: Incident, verdict: TruthVerdict) -> Incident:
    passes = incident.passes + 1
    told = incident.model_copy(update={"passes": passes, "truth": verdict.score})
    if passes < CLOSE_WINDOWS:
        return told
    return _closed(told, verdict, f"{passes} windows of truth in a row are as good as the reference")


def _closed(incident: Incident, verdict: TruthVerdict, why: str) -> Incident:
    ended = {"state": IncidentState.CLOSED, "closed_at": max(verdict.taken_to, incident.latest_at), "ended": why}
    return incident.model_copy(update=ended)
