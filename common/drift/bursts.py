"""Bursts: consecutive frames of one moment of a camera's days, from which a baseline is learned.

A burst keeps of each group what windows are compared with. The columns that are
judged by themselves keep every frame; a joint group, such as an embedding, is wide
and hardly changes within a burst, so `JOINT_FRAMES` frames of it are kept, in half
precision. Of views, one picture of what stands still is. A week of a burst every half
hour takes 20 MB with windows of 48 frames.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.contracts.feature_groups import MOTION, REPEATED, FeatureGroup, GroupKind
from common.drift.ambient import ambient_group, light_of, mean_of
from common.drift.cadence import interval_of
from common.drift.feature_groups import between_samples, check_finite, compared_names, smallest_bounds
from common.drift.views import still_view
from common.errors import BadBaseline
from common.features import FeatureBlock, TimeSource

Array = npt.NDArray[np.float32]

DAY_SECONDS = 86_400.0
HOUR_SECONDS = 3600.0
HOURS = 24.0
JOINT_FRAMES = 12
"""Frames of a joint group that a burst keeps."""
_MIN_FRAMES = 2
_LONGEST_SECONDS = 2 * HOUR_SECONDS  # from first to last frame; what lasts longer is no moment


@dataclass(frozen=True, eq=False)
class BurstGroup:
    """One group of a burst.

    Attributes
    ----------
    readings : (n, q) stored columns; of a joint group `JOINT_FRAMES` frames at most, evenly spread; of a group of kind
        VIEW its one view, none if the burst has no steady one
    steps : (n, k) columns that compare each frame with others, see `between_samples`
    """

    readings: Array
    steps: Array


@dataclass(frozen=True)
class Moment:
    """When a burst or a window was taken, and in what light.

    Attributes
    ----------
    taken_at : capture time of its middle, seconds since the epoch; NaN: unknown
    light : level of light, natural log; 0 if the modality declares none
    infrared : whether it was taken by infra-red light
    """

    taken_at: float
    light: float
    infrared: bool

    @property
    def hour(self) -> float:
        """Hour of the day in UTC, 0 to 24; NaN: unknown."""
        return self.taken_at % DAY_SECONDS / HOUR_SECONDS

    @property
    def day(self) -> int:
        """Days since the epoch, in UTC."""
        return math.floor(self.taken_at / DAY_SECONDS)

    @classmethod
    def of(cls, block: FeatureBlock, groups: Sequence[FeatureGroup]) -> Moment:
        """Return the moment of some frames."""
        known = block.taken_at[np.isfinite(block.taken_at)]
        return cls(float(np.median(known)) if len(known) else math.nan, *light_of(groups, block.groups))


@dataclass(frozen=True, eq=False)
class Burst:
    """Consecutive frames of one moment.

    Attributes
    ----------
    moment : when, and in what light
    frames : number of sampled frames
    seconds : capture time from the first to the last of them
    time_source : how the capture times are known
    source : URI of the source of its first frame, for messages
    interval : median time between consecutive samples, s; None: unknown
    groups : by name
    """

    moment: Moment
    frames: int
    seconds: float
    interval: float | None
    time_source: TimeSource
    source: str
    groups: Mapping[str, BurstGroup]

    @classmethod
    def of(cls, block: FeatureBlock, groups: Sequence[FeatureGroup]) -> Burst:
        """Return the burst of consecutive sampled frames.

        Raises
        ------
        BadBaseline
            If there are fewer than two frames, their capture times are unknown, go backwards or jump, or a joint group
            was computed of none of them.
        BadMessage
            If features are not finite.
        """
        _check_times(block)
        check_finite(block)
        return cls(
            Moment.of(block, groups),
            len(block),
            float(block.taken_at[-1] - block.taken_at[0]),
            interval_of(block),
            block.least_reliable_time_source,
            block.source_of(0),
            {group.name: _burst_group(group, block) for group in groups},
        )

    def defect(self, groups: Sequence[FeatureGroup]) -> str | None:
        """Return the column that fails without any history, such as a black picture; None if there is none.

        Such a burst is never learned, and a stream that begins with it asks a person.
        """
        found = ambient_group(groups)
        if found is None:
            return None
        group, ambient = found
        return next(
            (name for name, limit in ambient.without_history.items() if self.mean_of(group, name) >= limit), None
        )

    def mean_of(self, group: FeatureGroup, name: str) -> float:
        """Return the mean over the burst of a compared column."""
        own = self.groups[group.name]
        return mean_of(group, own.readings, own.steps, name)


def _check_times(block: FeatureBlock) -> None:
    name = block.source_of(0) if len(block) else "a burst"
    if len(block) < _MIN_FRAMES:
        raise BadBaseline(f"{name}: a burst of {len(block)} frames shows no variation: give {_MIN_FRAMES} or more")
    if not np.isfinite(block.taken_at).all():
        raise BadBaseline(
            f"{name}: its capture times are unknown, and what is learned over days needs them: "
            "put date and time into the files' names, or give the footage as single clips"
        )
    steps = np.diff(block.taken_at)
    if (steps < 0).any():
        raise BadBaseline(f"{name}: its capture times go backwards: sort the files, or set the camera's clock")
    if (seconds := float(block.taken_at[-1] - block.taken_at[0])) > _LONGEST_SECONDS:
        raise BadBaseline(
            f"{name}: its {len(block)} frames cover {seconds / HOUR_SECONDS:.1f} hours: "
            "a burst shows one moment; take its frames closer together"
        )


def _burst_group(group: FeatureGroup, block: FeatureBlock) -> BurstGroup:
    readings = block.groups[group.name]
    if group.kind is GroupKind.VIEW:
        view = still_view(readings)
        return BurstGroup(view.astype(np.float32), np.zeros((len(view), 0), np.float32))
    if group.kind is GroupKind.JOINT:
        if not len(readings):
            raise BadBaseline(f"{block.source_of(0)}: features {group.name!r} were computed of none of its frames")
        kept = evenly(len(readings), JOINT_FRAMES)
        # Rounded here, so that a burst equals itself after storage.
        thin = np.asarray(readings[kept], np.float16).astype(np.float32)
        return BurstGroup(thin, np.zeros((len(kept), 0), np.float32))
    return BurstGroup(np.asarray(readings, np.float32), between_samples(group, block))


def smallest_effects(group: FeatureGroup, window: int) -> npt.NDArray[np.float64]:
    """Return (f,) smallest bounds of the compared columns in windows of `window` frames.

    In a window of a few pictures one that is repeated counts for much, and cameras that take a picture every few
    minutes do send one twice: that alone is no frozen camera.
    """
    smallest = smallest_bounds(group).copy()
    for number, name in enumerate(compared_names(group)):
        if name in _OF_ONE_REPEATED:
            smallest[number] = max(smallest[number], _OF_ONE_REPEATED[name] / window)
    return smallest


# What one repeated picture adds to a column's sum over a window, with a margin; the second one counts twice.
_OF_ONE_REPEATED = {REPEATED: 2.5, MOTION: 12.5}


def evenly(count: int, most: int) -> npt.NDArray[np.intp]:
    """Return the indices of at most `most` of `count` frames, evenly spread."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(np.intp)
