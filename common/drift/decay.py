"""Decay: does a model do worse on live footage than on golden footage, although nothing else is wrong with it?

The champion's live scores of a window, a few rows beside its features, are compared with its scores on golden footage
that it was not fitted to (`common.drift.scores`: only worse is decay).

Decay never takes part in the judgement of the other groups. A window that FAILs by them stays a FAIL of the same cause,
and is told whether the model copes; one that passes them and is decayed FAILs as `model_decay`. Nothing ever passes
because of it. A window that matches a condition is not asked: its champion is proved there, and golden is no measure of
it. Nor does one decay that is of an hour not known, or of pictures of another size.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from common.contracts.model_scores import MODEL_GROUP, GoldenScores, ModelScore
from common.contracts.verdicts import Cause, FeatureShift, FrameTime, GroupScore, Judgement, Status, WorstFrame
from common.drift.scores import ScoreReference, compare_scores
from common.features import FeatureBlock

Array = npt.NDArray[np.float32]

FEWEST_ROWS = 2
"""Scores of a window; fewer say nothing."""
_WORST = 3  # frames named in a verdict


def with_model(
    judgement: Judgement, window: FeatureBlock, golden: GoldenScores | None, *, threshold: float, p_value: float
) -> Judgement:
    """Return a judgement with what the window's live scores say of the model.

    Parameters
    ----------
    judgement : of the window's features
    window : its features and scores
    golden : what the scores are held against; None: nothing is known yet
    threshold, p_value : a column is decayed with a score above `threshold` and a p-value below `p_value`

    Returns
    -------
    The judgement as it is if the window has too few scores, or they are of another model or version than `golden`.
    """
    scores = window.scores
    if scores is None or golden is None or scores.by != golden.by or judgement.condition is not None:
        return judgement
    if scores.columns != tuple(column.name for column in golden.columns) or len(scores.values) < FEWEST_ROWS:
        return judgement
    reference = _reference(golden, len(scores.values))
    if reference is None:
        return judgement
    judged = _judged(golden)
    now = scores.values[:, judged]
    comparison = compare_scores(reference, now, threshold=threshold, p_value=p_value)
    leading, decayed = comparison.leading, comparison.worse
    column = golden.columns[judged[0]]
    found = ModelScore(
        column=column.name,
        text=column.text,
        now=float(scores.values[:, judged[0]].mean()),
        golden=float(reference.values[:, 0].mean()),
        examples=len(now),
        decayed=decayed,
    )
    group = GroupScore(
        group=MODEL_GROUP,
        drift_score=float(comparison.drift[leading]),
        p_value=float(comparison.p_values[leading]),
        distance=float(comparison.distances[leading]),
        bound=float(reference.bound[leading]),
    )
    told = {"model": found, "feature_groups": (*judgement.feature_groups, group)}
    known = judgement.resolution is None and not judgement.provisional
    if not decayed or judgement.status is Status.FAIL or not known:
        return judgement.model_copy(update=told)
    fell = reference.values.mean(axis=0)[leading] - now[:, leading]
    first = int(scores.frames[0])
    return judgement.model_copy(
        update={
            **told,
            "status": Status.FAIL,
            "cause": Cause.MODEL_DECAY,
            "drift_score": group.drift_score,
            "p_value": group.p_value,
            "gross": False,
            "began": FrameTime(source=window.source_of(first), time=float(window.times[first])),
            "leading_features": _shifts(golden, reference, now, comparison.drift),
            "worst_frames": tuple(
                WorstFrame(source=window.source_of(frame), time=float(window.times[frame]), distance=float(fell[row]))
                for row in np.argsort(-fell, kind="stable")[:_WORST].tolist()
                for frame in (int(scores.frames[row]),)
            ),
        }
    )


def _judged(golden: GoldenScores) -> list[int]:
    """Return the places of the columns that are judged; the first of them is the one that a verdict states."""
    return [place for place, column in enumerate(golden.columns) if column.least_loss is not None]


@lru_cache(maxsize=64)
def _reference(golden: GoldenScores, rows: int) -> ScoreReference | None:
    """Return golden scores for windows of `rows` scores; None if they are too few to know their own variation."""
    judged = _judged(golden)
    if not judged:
        return None
    values = np.array(golden.values, np.float32).reshape(-1, len(golden.columns))[:, judged]
    least = np.array([golden.columns[place].least_loss for place in judged], np.float64)
    return ScoreReference.fit(values, least, rows)


def _shifts(
    golden: GoldenScores, reference: ScoreReference, now: Array, drift: npt.NDArray[np.float64]
) -> tuple[FeatureShift, ...]:
    before, after = reference.values.mean(axis=0), now.mean(axis=0)
    names = [golden.columns[place].name for place in _judged(golden)]
    return tuple(
        FeatureShift(
            feature=names[i],
            shift=float((after[i] - before[i]) / reference.spread[i]),
            baseline_value=float(before[i]),
            window_value=float(after[i]),
        )
        for i in np.argsort(-drift, kind="stable").tolist()
        if drift[i] > 0
    )
