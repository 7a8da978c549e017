"""Stretches: the overlapping windows of an incident, joined into footage in which each frame is once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from common.contracts.incidents import IncidentWindow
from common.contracts.verdicts import Cause
from common.features import FeatureBlock


@dataclass(frozen=True, eq=False)
class Stretch:
    """Consecutive frames of one stream.

    Attributes
    ----------
    first : position in the stream of its first frame, in sampled frames
    windows : the judged windows that it consists of, in order
    block : features of its frames
    """

    stream: str
    first: int
    windows: tuple[IncidentWindow, ...]
    block: FeatureBlock

    @property
    def name(self) -> str:
        return f"{self.stream}@{self.first}"

    @property
    def causes(self) -> tuple[Cause, ...]:
        """What the judge named in each window."""
        return tuple(window.cause for window in self.windows)


def join_windows(stream: str, rows: Iterable[tuple[IncidentWindow, FeatureBlock]]) -> list[Stretch]:
    """Join windows of one stream into stretches.

    A new stretch starts where a window does not overlap the one before, or shares no source
    with it: a batch that fills a window is judged by itself.

    Parameters
    ----------
    rows : windows with their features, in any order
    """
    found: list[Stretch] = []
    for window, block in sorted(rows, key=lambda row: (row[0].start, row[0].stop)):
        last = found[-1] if found else None
        end = last.first + len(last.block) if last else 0
        if last is None or window.start >= end or not set(block.sources) & set(last.block.sources):
            found.append(Stretch(stream, window.start, (window,), block))
            continue
        parts = [last.block, block[max(0, end - window.start) :]] if window.stop > end else [last.block]
        found[-1] = Stretch(stream, last.first, (*last.windows, window), FeatureBlock.concatenate(parts))
    return found


def without_windows(stretch: Stretch, unwanted: Callable[[IncidentWindow], bool]) -> list[Stretch]:
    """Return what is left of a stretch without every frame of its unwanted windows.

    Parameters
    ----------
    unwanted : of a window: whether none of its frames shall be left
    """
    gone = [range(row.start, row.stop) for row in stretch.windows if unwanted(row)]
    kept = [row for row in stretch.windows if all(row.start >= part.stop or row.stop <= part.start for part in gone)]
    first = stretch.first
    return join_windows(stretch.stream, [(row, stretch.block[row.start - first : row.stop - first]) for row in kept])
