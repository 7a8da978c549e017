"""Which of the windows that nothing is wrong with are learned: one per half hour of capture time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from common.baselines.golden import Golden, Learning
from common.drift.bursts import Burst
from common.errors import BadBaseline
from common.features import FeatureBlock
from common.settings import Settings
from common.store import Store
from common.store.incidents import IncidentCommit, open_incidents
from common.store.learning import MOST_WAITING, TakenBurst
from common.store.streams import Window

_SECONDS_PER_MINUTE = 60.0
_REMEMBERED = 10_000  # slots, of all streams of this process

_TAKEN: OrderedDict[str, None] = OrderedDict()
"""Ids of bursts that this process has taken, so that it does not offer them to Redis, which knows them all, again."""


def slot_seconds(settings: Settings) -> float:
    """Return how many seconds of capture time one burst stands for."""
    return settings.learn_minutes * _SECONDS_PER_MINUTE


def chosen_bursts(
    store: Store,
    settings: Settings,
    golden: Golden,
    clear: Sequence[FeatureBlock],
    read: Window,
    incidents: IncidentCommit,
) -> list[TakenBurst]:
    """Return the bursts to be committed with the windows that they are, at most one per slot of capture time.

    None are taken while an incident is open, whatever passes then: the camera is not known to be well yet. Before there
    is a baseline that could say so, it is enough that nothing is wrong with the window.

    Parameters
    ----------
    clear : features of windows with which nothing is wrong, oldest first
    read : the stream's window before them
    incidents : what becomes of the stream's incidents with them
    """
    learning = golden.learning
    if learning is None or not clear or (golden.stored is not None and _is_failing(read, incidents)):
        return []
    found: dict[str, TakenBurst] = {}
    for block in clear:
        if not np.isfinite(block.taken_at).all():
            continue  # footage of version 0.1
        slot = slot_of(block, slot_seconds(settings))
        burst = TakenBurst(burst_id(learning, slot), slot, block)
        if burst.id not in _TAKEN and burst.id not in found and _shows_a_moment(block, golden):
            found[burst.id] = burst
    if not found:
        return []
    return list(found.values()) if store.learning.waiting(learning.plan.stream) < MOST_WAITING else []


def remember(bursts: Sequence[TakenBurst]) -> None:
    """Note that these bursts were committed."""
    for burst in bursts:
        _TAKEN[burst.id] = None
    while len(_TAKEN) > _REMEMBERED:
        _TAKEN.popitem(last=False)


def burst_id(learning: Learning, slot: int) -> str:
    """Return the id of the burst of a slot; it names what is learned, so that a stream that begins anew has others."""
    return f"{learning.id}:{learning.epoch}:{slot}"


def slot_of(block: FeatureBlock, seconds: float) -> int:
    """Return the number of the interval of capture time in which a block of known times was taken."""
    return int(np.floor(np.median(block.taken_at) / seconds))


def _shows_a_moment(block: FeatureBlock, golden: Golden) -> bool:
    """Return whether the times of a window tell when it was taken: they neither jump nor go backwards."""
    try:
        Burst.of(block, golden.groups)
    except BadBaseline:
        return False
    return True


def _is_failing(read: Window, incidents: IncidentCommit) -> bool:
    """Return whether an incident about what the camera shows is open before or after this commit."""
    before = open_incidents(read.incidents)
    after = incidents.log.open if incidents.log is not None else ()
    return any(incident.is_of_footage for incident in (*before, *after))
