"""Decay of a model by what is true of its frames: windows of rows that come late, held against a reference of the same
stream and the same version of the model.

The way of a row:

1. A program that knows the label of a frame writes how right the prediction was to the Stream `sentinel:truth`.
2. `producers.truth` makes a row of it and keeps it, once however often it comes, among the rows of its stream, version
   of the model and measure that wait: a track. In which order labels arrive does not matter there.
3. The first rows of a track become its reference, in the order of the frames' times and without those that were taken
   while the stream failed (`advance`, here).
4. After that each window of rows, the earliest that wait, is judged by the statistics that live scores are judged by
   (`common.drift.scores`), and FAILs in a row are confirmed as those of footage are (`common.drift.confirmation`).
5. The verdict becomes an event, and a note from which the reducer moves the stream's incidents
   (`common.drift.truth_incidents`): `model_decay`, or whether the model copes with the drift that was found.

`advance` reads no clock and does no I/O. Each row is part of the reference, judged in one window, or refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from common.contracts.ids import content_id
from common.contracts.stored import Fields, StoredMessage
from common.contracts.truth import Measure, TruthProgress, TruthRow, TruthScore, TruthVerdict
from common.contracts.verdicts import Status, WorstFrame
from common.drift.confirmation import AlarmRule, Detector, Window, update
from common.drift.scores import ScoreReference, compare_scores

_WORST = 3  # frames named in a verdict
_MOMENTS = 11  # frames whose times are named: at each tenth of the window
_DRIFTED_SHARE = 0.5
_SHORTEST_SECONDS = 1.0  # that a reference covers, where all its frames are of one moment


@dataclass(frozen=True)
class TruthRule:
    """How truth is judged.

    Attributes
    ----------
    window : rows of a window
    reference : rows of a reference
    least_loss : the smallest loss that matters, as a share: of frames for classes, of the reference's mean for others
    threshold, p_value : a window fails with a drift score above `threshold` and a p-value below `p_value`
    false_alarms_per_day : bounds the confirmed false alarms per camera-day
    """

    window: int
    reference: int
    least_loss: float
    threshold: float
    p_value: float
    false_alarms_per_day: float


class TruthTrack(StoredMessage):
    """What the rows of one stream, version of a model and measure have come to."""

    model: str
    measure: Measure
    judged: int = 0
    refused: int = 0
    reference: tuple[float, ...] = ()
    reference_from: float = 0.0
    reference_to: float = 0.0
    detector: Detector = Detector()
    failing_from: float | None = None
    last: TruthVerdict | None = None

    def progress(self) -> TruthProgress:
        """Return what is shown of it; how many rows wait is for the store to say."""
        made = bool(self.reference)
        return TruthProgress(
            model=self.model,
            measure=self.measure,
            reference_rows=len(self.reference),
            reference_from=self.reference_from if made else None,
            reference_to=self.reference_to if made else None,
            judged_rows=self.judged,
            refused_rows=self.refused,
            last=self.last,
        )


@dataclass(frozen=True)
class Moved:
    """A track after rows: what was judged, and the ids of the rows that do not wait any more."""

    track: TruthTrack
    verdicts: tuple[TruthVerdict, ...]
    used: tuple[str, ...]


def advance(
    track: TruthTrack,
    rows: Sequence[TruthRow],
    rule: TruthRule,
    *,
    stream: str,
    healed_as: str,
    failed_at: Callable[[float], bool],
) -> Moved:
    """Make the reference of a track if it has none, and judge every window that is full.

    Parameters
    ----------
    rows : that wait, in any order
    healed_as : the kind of model that Sentinel retrains for the stream; empty: it cannot retrain this one
    failed_at : returns whether the stream failed, as far as known, at a time in seconds since the epoch
    """
    waiting = sorted(rows, key=lambda row: (row.taken_at, row.id))
    used: list[str] = []
    verdicts: list[TruthVerdict] = []
    while True:
        if not track.reference:
            track, taken, waiting = _with_reference(track, waiting, rule, failed_at)
            used += taken
        if not track.reference or len(waiting) < rule.window:
            return Moved(track, tuple(verdicts), tuple(used))
        window = waiting[: rule.window]
        prepared = _prepared(track.reference, track.measure, rule.least_loss, rule.window)
        if prepared is None:  # the setting asks for longer windows than when it was made
            track = track.model_copy(update={"reference": ()})
            continue
        track = _judged(track, window, prepared, rule, stream=stream, healed_as=healed_as, failed_at=failed_at)
        assert track.last is not None  # it was judged just now
        verdicts.append(track.last)
        used += [row.id for row in window]
        waiting = waiting[rule.window :]


def _with_reference(
    track: TruthTrack, waiting: list[TruthRow], rule: TruthRule, failed_at: Callable[[float], bool]
) -> tuple[TruthTrack, list[str], list[TruthRow]]:
    """Return the track with its reference once there are rows enough, the ids of rows that went, and the others."""
    if len(waiting) < rule.reference:
        return track, [], waiting
    first: list[TruthRow] = []
    refused: list[str] = []
    for row in waiting:
        if len(first) == rule.reference:
            break
        if failed_at(row.taken_at):
            refused.append(row.id)
        else:
            first.append(row)
    waiting = waiting[len(refused) + len(first) :]
    track = track.model_copy(update={"refused": track.refused + len(refused)})
    if len(first) < rule.reference:
        return track, refused, first
    made = {
        "reference": tuple(row.score for row in first),
        "reference_from": first[0].taken_at,
        "reference_to": first[-1].taken_at,
        "detector": Detector(),
        "failing_from": None,
    }
    return track.model_copy(update=made), [*refused, *(row.id for row in first)], waiting


@lru_cache(maxsize=64)
def _prepared(values: tuple[float, ...], measure: Measure, least_loss: float, rows: int) -> ScoreReference | None:
    scores = np.array(values, np.float32)[:, None]
    unit = 1.0 if measure is Measure.CORRECT else float(np.abs(scores).mean())
    least = least_loss * (unit or 1.0)  # a reference without any loss has no unit: else rounding would be a decay
    return ScoreReference.fit(scores, np.array([least], np.float64), rows)


def _judged(
    track: TruthTrack,
    window: Sequence[TruthRow],
    reference: ScoreReference,
    rule: TruthRule,
    *,
    stream: str,
    healed_as: str,
    failed_at: Callable[[float], bool],
) -> TruthTrack:
    """Return the track with the verdict on its next window."""
    now = np.array([row.score for row in window], np.float32)[:, None]
    found = compare_scores(reference, now, threshold=rule.threshold, p_value=rule.p_value)
    start, stop = track.judged, track.judged + len(window)
    if sum(failed_at(row.taken_at) for row in window) >= _DRIFTED_SHARE * len(window):
        after = track  # it is no evidence: something else is known to be wrong
        run: Fields = {"drifted": True}
    else:
        seen = Window(start, stop, float(found.p_values[0]), failed=found.worse)
        detector = update(track.detector, _alarms(track, rule), seen)
        began = (window[0].taken_at if track.failing_from is None else track.failing_from) if found.worse else None
        after = track.model_copy(update={"detector": detector, "failing_from": began})
        run = {
            "drifted": False,
            "failing_since": detector.since,
            "failing_from": began,
            "confirmed": found.worse and detector.confirmed,
        }
    mean = float(reference.values.mean())
    ranks = np.linspace(0, len(window) - 1, _MOMENTS).round().astype(int).tolist()
    verdict = TruthVerdict(
        id=content_id("truth", stream, track.model, track.measure, start, window[0].id, window[-1].id),
        stream=stream,
        status=Status.FAIL if found.worse else Status.PASS,
        score=TruthScore(
            model=track.model,
            measure=track.measure,
            now=float(now.mean()),
            reference=mean,
            rows=len(window),
            decayed=found.worse,
            healed_as=healed_as,
        ),
        drift_score=float(found.drift[0]),
        p_value=float(found.p_values[0]),
        distance=float(found.distances[0]),
        bound=float(reference.bound[0]),
        start=start,
        stop=stop,
        taken_from=window[0].taken_at,
        taken_to=window[-1].taken_at,
        moments=tuple(window[rank].taken_at for rank in ranks),
        worst_frames=_worst_frames(window, mean),
        **run,
    )
    return after.model_copy(update={"judged": stop, "last": verdict})


def _worst_frames(window: Sequence[TruthRow], mean: float) -> tuple[WorstFrame, ...]:
    """Return the frames of the lowest scores, with how far they lie below the mean of the reference."""
    lowest = sorted(window, key=lambda row: row.score)[:_WORST]
    return tuple(WorstFrame(source=row.frame, time=row.at, distance=max(mean - row.score, 0.0)) for row in lowest)


def _alarms(track: TruthTrack, rule: TruthRule) -> AlarmRule:
    """Return when FAILs are confirmed, where rows come as often as those of the reference did."""
    seconds = max(track.reference_to - track.reference_from, _SHORTEST_SECONDS)
    return AlarmRule.of(rule.false_alarms_per_day, rule.window, len(track.reference) / seconds)
