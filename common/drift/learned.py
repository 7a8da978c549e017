"""What was learned of a camera over days: golden bursts, and the reference that a window is held against.

Between two lights there is a continuum. A window is compared with the bursts that are
most like it in what may vary: the hour of the day, whether the camera sees by
infra-red light, and a little the level of light (`distance`). They are pooled to one
segment. All hours share one set of bounds, from the bursts' own distances to pools that
leave out their own day (`common.drift.learning`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from common.contracts.feature_groups import FeatureGroup
from common.drift.bursts import DAY_SECONDS, HOURS, Burst, Moment
from common.drift.pooling import VIEWED, pool
from common.drift.segment import Bounds, Segment
from common.drift.steps import ambient_steps

Numbers = npt.NDArray[np.float64]

NEAR_HOURS = 1.0
"""A burst this close in the hour of the day makes an hour known."""
NEEDED_NULL = 20
"""Bursts that must have been compared with others before any hour is known: fewer support no p-value below 0.05."""
AT_BOUND = 0.7
"""Share of the distance at which a window fails that is called the bound: at the default threshold of the score, 0.30,
a window fails exactly where its distance exceeds the widened largest distance of the null."""
_HOURS_UNIT = 1.5  # hours that count as much as one unit of distance
_INFRARED_STEP = 5.0  # distance between infra-red and colour: as much as 7.5 hours
# Light breaks ties and no more: a fault that changes the light must not choose what it is compared with.
_LIGHT_SHARE, _LIGHT_UNIT, _LIGHT_MOST = 0.2, 0.15, 2.0
_FEWEST, _MOST = 3, 12  # bursts of a pool
_CACHED_POOLS = 8  # a stream moves from pool to pool as the day goes on


@dataclass(frozen=True, eq=False)
class Reference:
    """What a window is compared with.

    Attributes
    ----------
    segment : the bursts that are most like it, pooled
    bursts : those bursts
    known : whether the hour of the window is known; if not, only what light hardly moves may be judged
    light : median level of light of the pooled bursts, natural log
    steps : column -> its largest step within one of those bursts, of columns that light never moves in a step; empty in
        a known hour, where steps are not looked at
    """

    segment: Segment
    bursts: tuple[Burst, ...]
    known: bool
    light: float
    steps: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Learned:
    """Golden bursts with their bounds.

    Attributes
    ----------
    bursts : in order of their capture times
    bounds : of each group, one for all hours
    null : (r,) for each burst that could be compared with bursts of other days, the largest of its distances in units
        of the bounds, over all columns of all groups
    window : frames per window
    groups : what the bursts consist of
    """

    bursts: tuple[Burst, ...]
    bounds: Mapping[str, Bounds]
    null: Numbers
    window: int
    groups: tuple[FeatureGroup, ...]

    @cached_property
    def moments(self) -> tuple[Moment, ...]:
        """Of the bursts."""
        return tuple(burst.moment for burst in self.bursts)

    @cached_property
    def days(self) -> float:
        """On how many days a known hour was seen, on average."""
        return days_of(self.moments)

    def reference(self, moment: Moment) -> Reference:
        """Return what a window of this moment is compared with."""
        nearest = nearest_bursts(self.moments, moment, pool_size(self.days))
        # Those whose views count come first. Within both parts they are in order, so that a pool is found again.
        nearest = [*sorted(nearest[:VIEWED]), *sorted(nearest[VIEWED:])]
        known = len(self.null) >= NEEDED_NULL and is_known(self.moments, moment)
        return Reference(
            self._pooled(tuple(nearest)),
            tuple(self.bursts[number] for number in nearest),
            known,
            float(np.median([self.moments[number].light for number in nearest])),
            {} if known else self._steps(tuple(nearest)),
        )

    def p_value(self, ratio: float) -> float:
        """Return the p-value of the largest distance of a window in units of the bounds: its rank among the golden
        bursts, own day left out.

        It is (1 + number of bursts whose largest ratio is no smaller) / (1 + number of bursts). That corrects for
        the number of columns and groups, and is never below what this many bursts support.
        """
        return (1.0 + int((self.null >= ratio).sum())) / (1.0 + len(self.null))

    @cached_property
    def _pooled(self) -> Callable[[tuple[int, ...]], Segment]:
        """Returns the segment of the bursts of these numbers; the latest ones are kept."""
        return lru_cache(maxsize=_CACHED_POOLS)(
            lambda numbers: pool([self.bursts[number] for number in numbers], self.groups, self.bounds)
        )

    @cached_property
    def _steps(self) -> Callable[[tuple[int, ...]], Mapping[str, float]]:
        """Returns the largest steps within the bursts of these numbers; the latest ones are kept."""
        return lru_cache(maxsize=_CACHED_POOLS)(
            lambda numbers: _largest_steps([self.bursts[number] for number in numbers], self.groups)
        )


def _largest_steps(bursts: Sequence[Burst], groups: Sequence[FeatureGroup]) -> dict[str, float]:
    largest: dict[str, float] = {}
    for group in groups:
        for own in (burst.groups[group.name] for burst in bursts):
            for name, step in ambient_steps(group, own.readings, own.steps).items():
                largest[name] = max(largest.get(name, 0.0), abs(step))
    return largest


def pool_size(days: float) -> int:
    """Return how many bursts are pooled for a window, for a camera known for so many days."""
    return round(min(max(2 * days, _FEWEST), _MOST))


def widening(days: float) -> float:
    """Return 1 + 1 / sqrt(days), by which the largest distance of the null is widened."""
    return 1.0 + 1.0 / math.sqrt(max(days, 1.0))


def days_of(moments: Sequence[Moment]) -> float:
    """Return on how many days a known hour was seen, on average; 0 without any."""
    seen = {(moment.day, int(moment.hour)) for moment in moments}
    return len(seen) / max(len({hour for _, hour in seen}), 1)


def hours_apart(hours: Numbers, hour: float) -> Numbers:
    """Return how many hours of the day lie between each of `hours` and `hour`, 0 to 12."""
    apart = np.abs(hours - hour) % HOURS
    return np.asarray(np.minimum(apart, HOURS - apart), np.float64)


def distances(moments: Sequence[Moment], moment: Moment) -> Numbers:
    """Return how unlike `moment` each of `moments` is in what may vary; without a known hour, hours do not count."""
    light = np.abs(np.array([other.light for other in moments]) - moment.light) / _LIGHT_UNIT
    apart = np.array([other.infrared != moment.infrared for other in moments]) * _INFRARED_STEP
    apart = apart + _LIGHT_SHARE * np.minimum(light, _LIGHT_MOST)
    if not math.isfinite(moment.taken_at):
        return np.asarray(apart, np.float64)
    return apart + hours_apart(np.array([other.hour for other in moments]), moment.hour) / _HOURS_UNIT


def nearest_bursts(moments: Sequence[Moment], moment: Moment, count: int) -> list[int]:
    """Return the indices of the `count` moments most like `moment`, the most alike first."""
    return [int(number) for number in np.argsort(distances(moments, moment), kind="stable")[:count]]


def is_known(moments: Sequence[Moment], moment: Moment) -> bool:
    """Return whether one of `moments` is within an hour of the day of `moment`."""
    if not math.isfinite(moment.taken_at):
        return False
    hours = np.array([other.hour for other in moments])
    return bool((hours_apart(hours, moment.hour) <= NEAR_HOURS).any())


def other_days(moments: Sequence[Moment], moment: Moment) -> npt.NDArray[np.bool_]:
    """Return which of `moments` are half a day or more away from `moment`."""
    return np.array([abs(other.taken_at - moment.taken_at) >= DAY_SECONDS / 2 for other in moments], np.bool_)
