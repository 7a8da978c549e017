"""Spacing: whether a window's samples lie as close together as golden's, and what cannot be judged if they do not.

A live camera is sampled at its key frames while all is quiet, so a window may hold samples that lie a second or more
apart, alone or beside others at golden's rate. What each sample shows is compared as ever. How one differs from the
next is not: more moves in a second than in a fifth of one. Only a picture that stands still does so at any interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from common.contracts.feature_groups import MOTION, REPEATED, FeatureGroup
from common.contracts.verdicts import Spacing
from common.drift.feature_groups import compared_names
from common.features import FeatureBlock

FARTHER = 2.2
"""Times golden's interval, beyond which samples lie farther apart. Those that prefer key frames do so up to twice at
one and the same rate."""
# Of a window's samples. A recording that breaks off now and then is compared as ever; its vitals say what is missing.
_MOST_SHARE = 0.125

Columns = npt.NDArray[np.bool_]


def spacing_of(golden: float | None, window: FeatureBlock) -> Spacing | None:
    """Return how a window's samples lie apart; None: as golden's do, or it is not known.

    Parameters
    ----------
    golden : median time between consecutive golden samples, s; None: unknown
    """
    between = np.diff(window.times)[np.diff(window.source_index) == 0]
    between = between[between > 0]
    if golden is None or not len(between):
        return None
    farther = between[between > FARTHER * golden]
    share = len(farther) / len(window)
    if share <= _MOST_SHARE:
        return None
    return Spacing(golden=golden, window=float(np.median(farther)), share=share, score=0.0)


def not_judged(
    group: FeatureGroup, golden: npt.NDArray[np.float32], now: npt.NDArray[np.float32], *, provisional: bool = False
) -> Columns:
    """Return (f,) which compared columns of a group cannot be judged in a window whose samples lie farther apart.

    Parameters
    ----------
    golden, now : (m, f) and (n, f) compared columns
    provisional : whether the hour is not known; then steps are judged, which at longer intervals are no faults
    """
    names = compared_names(group)
    found = np.array([name in group.sequences for name in names] or [False], np.bool_)
    if provisional and group.ambient is not None:
        found |= np.array([name in group.ambient.steps for name in names], np.bool_)
    if len(golden) and len(now):
        for name, stands_still in ((MOTION, -1.0), (REPEATED, 1.0)):
            if name in names:
                at = names.index(name)
                moved = float(now[:, at].mean(dtype=np.float64) - golden[:, at].mean(dtype=np.float64))
                found[at] = moved * stands_still <= 0
    return found


def left_out(
    spacing: Spacing, scores: Mapping[str, npt.NDArray[np.float64]], groups: Sequence[FeatureGroup]
) -> Spacing:
    """Return `spacing` with the largest score of the columns made from sequences, which are not judged.

    Light that drifts changes in proportion to the time, so their bounds are widened by the ratio of the intervals.
    What jumps farther than that, such as light that flickers, is a reason to look closer.

    Parameters
    ----------
    scores : of each group, by its name, what its columns would have if they were judged
    """
    found = [
        float(score)
        for group in groups
        for name, score in zip(compared_names(group), scores[group.name], strict=False)
        if name in group.sequences
    ]
    widened = 1.0 - (1.0 - max(found, default=0.0)) * spacing.window / spacing.golden
    return spacing.model_copy(update={"score": max(widened, 0.0)})
