"""Golden footage of days: which parts of recordings and folders of stills become bursts.

Where the capture times of the sources span more than a few hours, footage is learned
over days: from each half hour one burst of a window's length. A camera that takes a
picture every few minutes has no such thing; there a burst is what an hour holds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np

from common.contracts.batches import SourceKind
from common.drift.bursts import HOUR_SECONDS
from common.drift.coverage import BURST_SECONDS
from common.drift.learned import NEEDED_NULL
from common.drift.windows import WindowRule
from common.errors import BadBaseline
from common.features import TimeSource
from common.modalities.modality import SourceFacts
from common.sources.capture_time import CaptureTimes

SHORTEST_SPAN_SECONDS = 3 * HOUR_SECONDS
"""Footage that spans less shows one light: it is fitted to as clips."""
_TRUSTED = frozenset({TimeSource.EVENT, TimeSource.CONTAINER, TimeSource.EXIF, TimeSource.NAME, TimeSource.FILE})
_LARGEST_GAP_SECONDS = 31 * 24 * HOUR_SECONDS  # a longer one is rather that of a clock that was set
_OVERLAP_SECONDS, _OVERLAP_SHARE = 5.0, 0.02  # of two recordings: clocks and durations are rounded
_FEWEST_STILLS, _MOST_STILLS = 2, 4  # pictures of a burst of a camera that takes one every few minutes
_SPARSE_GAP_SECONDS = 1.5 * HOUR_SECONDS  # between two pictures of a burst


@dataclass(frozen=True)
class DaySource:
    """A golden source with its kind and what it declares."""

    path: Path
    kind: SourceKind
    facts: SourceFacts

    @property
    def taken(self) -> tuple[float, float]:
        """Capture times of its first and last frame; NaN where unknown."""
        times = self.facts.times
        if times.first is None or times.known_by not in _TRUSTED:
            return math.nan, math.nan
        return (
            (min(times.stills), max(times.stills)) if times.stills else (times.first, times.first + self.facts.duration)
        )


@dataclass(frozen=True)
class Piece:
    """A part of a source that becomes a burst: sampled frames `start` to `stop`, and their capture times."""

    source: DaySource
    start: int
    stop: int
    times: CaptureTimes


@dataclass(frozen=True)
class DayPlan:
    """How days of footage become bursts.

    Attributes
    ----------
    pieces : in the order of their capture times
    rule : windows to judge by
    """

    pieces: tuple[Piece, ...]
    rule: WindowRule


def spans_days(sources: Sequence[DaySource]) -> bool:
    """Return whether the capture times of all sources are known, and span more than a few hours."""
    taken = np.array([source.taken for source in sources])
    return bool(np.isfinite(taken).all() and taken.max() - taken.min() > SHORTEST_SPAN_SECONDS)


def plan_days(
    sources: Sequence[DaySource], fps: float | None, rule: WindowRule, *, rule_is_set: bool
) -> DayPlan | None:
    """Return the parts of days of footage that become bursts; None if they are too few to be learned from.

    Parameters
    ----------
    sources : whose capture times span days
    fps : sampled frames per second; None: every frame
    rule : windows that continuous footage is judged by
    rule_is_set : whether the user has set their length

    Raises
    ------
    BadBaseline
        If times go backwards or jump, or two sources show the same time; it says which, and what to do.
    """
    ordered = sorted(sources, key=lambda source: source.taken)
    _check_order(ordered)
    gaps = [_gap(source) for source in ordered if source.facts.times.stills]
    if gaps and not rule_is_set:
        rule = rule_of_stills(max(gaps), rule)
    pieces: list[Piece] = []
    for source in ordered:
        found = _still_pieces(source, rule.frames) if source.facts.times.stills else _parts(source, fps, rule.frames)
        pieces += found
    return DayPlan(tuple(pieces), rule) if len(pieces) >= NEEDED_NULL else None


def rule_of_stills(gap: float, rule: WindowRule) -> WindowRule:
    """Return the windows to judge stills by, which are `gap` seconds apart: `rule`, unless it would cover hours."""
    if gap * rule.frames <= 2 * BURST_SECONDS:
        return rule
    return WindowRule(frames=int(np.clip(round(HOUR_SECONDS / gap), _FEWEST_STILLS, _MOST_STILLS)), stride=1)


def _check_order(ordered: Sequence[DaySource]) -> None:
    for source in ordered:
        _check_stills(source)
    for before, after in pairwise(ordered):
        end, begin = before.taken[1], after.taken[0]
        margin = _OVERLAP_SECONDS + _OVERLAP_SHARE * before.facts.duration
        if begin < end - margin:
            raise BadBaseline(
                f"{after.path} begins at {_clock(begin)}, before {before.path} ends at {_clock(end)}: of two cameras "
                "build a baseline each; of one camera, its clock was set back: leave one of them out"
            )
        _check_gap(f"{before.path} and {after.path}", end, begin)


def _check_stills(source: DaySource) -> None:
    times = source.facts.times.stills
    for number, (before, after) in enumerate(pairwise(times)):
        if after < before:
            raise BadBaseline(
                f"{source.path}: times go backwards at image {number + 2}, from {_clock(before)} to {_clock(after)}: "
                "name the images in the order in which they were taken, or leave out what was taken before the clock "
                "was set"
            )
        _check_gap(f"images {number + 1} and {number + 2} of {source.path}", before, after)


def _check_gap(between: str, before: float, after: float) -> None:
    if after - before > _LARGEST_GAP_SECONDS:
        raise BadBaseline(
            f"the clock jumps between {between}, from {_clock(before)} to {_clock(after)}: "
            "give footage of one stretch of days, or correct the times"
        )


def _gap(source: DaySource) -> float:
    """Return the typical seconds between two stills."""
    return float(np.median(np.diff(source.facts.times.stills))) if len(source.facts.times.stills) > 1 else 0.0


def _still_pieces(source: DaySource, frames: int) -> list[Piece]:
    """Return disjoint runs of stills, no more than one for each half hour, none of them across a gap."""
    times = source.facts.times
    pieces: list[Piece] = []
    start, last = 0, -math.inf
    taken = times.stills
    while start + _FEWEST_STILLS <= len(taken):
        stop = start + 1
        while stop < min(start + frames, len(taken)) and taken[stop] - taken[stop - 1] <= _SPARSE_GAP_SECONDS:
            stop += 1
        if stop - start < max(_FEWEST_STILLS, frames // 2) or taken[stop - 1] - taken[start] > 2 * HOUR_SECONDS:
            start += 1
            continue
        if taken[start] - last < BURST_SECONDS:
            start += 1
            continue
        own = CaptureTimes(taken[start], times.known_by, taken[start:stop])
        pieces.append(Piece(source, start, stop, own))
        start, last = stop, taken[start]
    return pieces


def _parts(source: DaySource, fps: float | None, frames: int) -> list[Piece]:
    """Return a part of a recording for each half hour of it, at least one."""
    facts = source.facts
    rate = min(fps or facts.fps, facts.fps) or facts.fps
    count = facts.sampled_count(fps)
    step = max(frames, round(BURST_SECONDS * rate))
    if count < frames:
        return []
    starts = range(0, count - frames + 1, step)
    return [Piece(source, start, start + frames, facts.times) for start in starts]


def _clock(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
