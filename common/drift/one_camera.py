"""Detects bursts of two cameras among those of one: they have no common normal state."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from common.contracts.feature_groups import FeatureGroup, GroupKind
from common.drift.bursts import Array, Burst
from common.drift.learned import hours_apart
from common.drift.scene_change import split_in_two
from common.errors import BadBaseline

_FEWEST = 8  # bursts by the same kind of light; fewer cannot be told apart from weather
_SAME_HOUR = 1.5  # hours of the day within which a camera shows much the same
_IN_TURN = 0.25  # mean share of bursts of about the same hour that are of the other scene; by night and day few are
_SHORTEST = 3  # bursts of a stretch of one camera
# Share of the variance that two scenes explain: along its largest direction, and of all of it. Weather explains less.
_APART, _APART_IN_ALL = 0.93, 0.6


def check_one_camera(bursts: Sequence[Burst], groups: Sequence[FeatureGroup]) -> None:
    """Raise `BadBaseline` if bursts show two scenes in turn, or one after the other.

    Bursts in colour and by infra-red light are looked at apart, and only bursts of about the same hour of the day are
    compared: night and day are no two cameras. Only joint groups are looked at.
    """
    for infrared in (False, True):
        alike = sorted((b for b in bursts if b.moment.infrared is infrared), key=lambda burst: burst.moment.taken_at)
        if len(alike) < _FEWEST:
            continue
        for group in groups:
            if group.kind is GroupKind.JOINT:
                _check(alike, np.array([b.groups[group.name].readings.mean(axis=0) for b in alike], np.float32))


def _check(bursts: Sequence[Burst], vectors: Array) -> None:
    other, explained = split_in_two(vectors)
    changes = np.flatnonzero(other[1:] != other[:-1]) + 1
    if explained <= _APART or not len(changes) or _mixed(bursts, other) <= _IN_TURN:
        return
    first = int(changes[0])
    since = f"{datetime.fromtimestamp(bursts[first].moment.taken_at, UTC):%Y-%m-%d %H:%M} UTC ({bursts[first].source})"
    if len(changes) > 1:
        raise BadBaseline(
            f"the footage shows two scenes in turn, the second first at {since}: build a baseline for each camera"
        )
    if _SHORTEST <= first <= len(bursts) - _SHORTEST and _explained(vectors, first) > _APART_IN_ALL:
        raise BadBaseline(
            f"the footage shows another scene since {since}: of two cameras, build a baseline each; if the camera was "
            "moved, give the days since then"
        )


def _mixed(bursts: Sequence[Burst], other: npt.NDArray[np.bool_]) -> float:
    """Return the mean share, among the bursts of about the same hour of the day, of those in the other group."""
    hours = np.array([burst.moment.hour for burst in bursts])
    near = np.array([hours_apart(hours, hour) <= _SAME_HOUR for hour in hours])
    differ = near & (other[:, None] != other[None, :])
    return float((differ.sum(axis=1) / near.sum(axis=1)).mean())


def _explained(vectors: Array, first: int) -> float:
    """Return the share of the variance of vectors (n, f) that a change of their mean at `first` explains."""
    within = sum(float(np.square(part - part.mean(axis=0)).sum()) for part in (vectors[:first], vectors[first:]))
    return 1.0 - within / max(float(np.square(vectors - vectors.mean(axis=0)).sum()), 1e-12)
