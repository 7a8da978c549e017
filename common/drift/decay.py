"""Decay: does a model do worse on live footage than on golden footage, although nothing else is wrong with it?

The champion's live scores of a window, a few rows beside its features, are compared with its scores on golden footage
that it was not fitted to, by the same statistics as features: the Wasserstein distance in units of a bound, which is
the golden scores' own variation from block to block, and a KS test with a margin. Two things differ:

- Only worse is decay. Each window value is replaced by the smaller one of the golden value of the same rank and itself
  (the comonotone minimum), so that both statistics see nothing but what fell.
- A few scores show little, so no p-value is smaller than `SMALLEST_P`: it takes several windows to confirm.

Decay never takes part in the judgement of the other groups. A window that FAILs by them stays a FAIL of the same cause,
and is told whether the model copes; one that passes them and is decayed FAILs as `model_decay`. Nothing ever passes
because of it. A window that matches a condition is not asked: its champion is proved there, and golden is no measure of
it. Nor does one decay that is of an hour not known, or of pictures of another size.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from common.contracts.model_scores import MODEL_GROUP, GoldenScores, ModelScore
from common.contracts.verdicts import Cause, FeatureShift, FrameTime, GroupScore, Judgement, Status, WorstFrame
from common.drift.calibration import FRAMES_PER_INDEPENDENT, fit_null, ks_p_value, margin
from common.drift.segment import MAD_TO_SIGMA
from common.drift.statistics import kolmogorov_smirnov, sort_reference, wasserstein
from common.features import FeatureBlock

Array = npt.NDArray[np.float32]

FEWEST_ROWS = 2
"""Scores of a window; fewer say nothing."""
SMALLEST_P = 0.01
_WORST = 3  # frames named in a verdict


@dataclass(frozen=True, eq=False)
class _Reference:
    """Golden scores, prepared for windows of one number of rows.

    Attributes
    ----------
    values : (m, f) judged columns, each sorted
    bound : (f,) the distance that their own variation explains
    size : (f,) effective number of rows of a window
    spread : (f,) typical deviation, the unit of the shifts in a verdict
    """

    values: Array
    bound: npt.NDArray[np.float64]
    size: npt.NDArray[np.float64]
    spread: npt.NDArray[np.float64]


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
    lower = _comonotone_minimum(reference.values, now)
    distances = wasserstein(reference.values, lower)
    statistic = kolmogorov_smirnov(reference.values, lower, margin(reference.bound))
    p_values = np.maximum(ks_p_value(statistic, reference.size), SMALLEST_P)
    drift = np.clip(1.0 - reference.bound / np.maximum(distances, 1e-12), 0.0, 1.0)
    failing = (drift > threshold) & (p_values < p_value)
    leading = int(np.lexsort((-p_values, drift, failing))[-1])
    decayed = bool(failing.any())
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
        drift_score=float(drift[leading]),
        p_value=float(p_values[leading]),
        distance=float(distances[leading]),
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
            "leading_features": _shifts(golden, reference, now, drift),
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
def _reference(golden: GoldenScores, rows: int) -> _Reference | None:
    """Return golden scores for windows of `rows` scores; None if they are too few to know their own variation."""
    judged = _judged(golden)
    values = np.array(golden.values, np.float32).reshape(-1, len(golden.columns))[:, judged]
    least = np.array([golden.columns[place].least_loss for place in judged], np.float64)

    def comparison(rest: npt.NDArray[np.bool_], inside: slice) -> tuple[Array, Array]:
        return values[rest], _comonotone_minimum(sort_reference(values[rest]), values[inside])

    null = fit_null(len(values), rows, comparison, minimum_effect=least, pooled=False) if judged else None
    if null is None:
        return None
    # Live examples are taken apart from each other, so each counts as far as golden's own blocks let it.
    apart = replace(null, window=rows * FRAMES_PER_INDEPENDENT, rows=rows)
    size = apart.effective_sizes(np.zeros(len(judged), np.bool_))
    middle = np.median(values, axis=0)
    spread = np.maximum(MAD_TO_SIGMA * np.median(np.abs(values - middle), axis=0), least / 2)
    return _Reference(sort_reference(values), null.bound, size, spread)


def _comonotone_minimum(reference: Array, now: Array) -> Array:
    """Return (m n, f) the smaller one of both samples at each rank.

    Parameters
    ----------
    reference : (m, f), each column sorted
    now : (n, f)

    Examples
    --------
    >>> _comonotone_minimum(np.array([[0.0], [1.0]]), np.array([[5.0], [-1.0]])).ravel().tolist()
    [-1.0, -1.0, 1.0, 1.0]
    """
    ordered = np.sort(now, axis=0)
    return np.asarray(
        np.minimum(np.repeat(ordered, len(reference), axis=0), np.repeat(reference, len(ordered), axis=0)), np.float32
    )


def _shifts(
    golden: GoldenScores, reference: _Reference, now: Array, drift: npt.NDArray[np.float64]
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
