"""Joins the overlapping windows of one stream into stretches of consecutive frames."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from common.errors import BadMessage
from common.features import FeatureBlock


@dataclass(frozen=True)
class PlacedWindow:
    """A window of a stream, and where it lies in it.

    Attributes
    ----------
    key : what the caller knows the window by, such as the id of its verdict's event
    start, stop : positions in the stream of its first frame, and after its last one, in sampled frames
    features : of its `stop - start` frames
    """

    key: str
    start: int
    stop: int
    features: FeatureBlock


@dataclass(frozen=True)
class Stretch:
    """Consecutive frames of one stream, each once.

    Attributes
    ----------
    start : position of its first frame in the stream
    features : of its frames
    windows : the windows that it was joined from, by position
    """

    start: int
    features: FeatureBlock
    windows: tuple[PlacedWindow, ...]

    @property
    def stop(self) -> int:
        """Position after its last frame."""
        return self.start + len(self.features)


def join_windows(windows: Iterable[PlacedWindow]) -> list[Stretch]:
    """Join the windows of one stream, in any order, into stretches, by position.

    A new stretch starts where a window does not overlap the one before, or shares no
    source with it: a window that was emptied at the start of a batch does not.

    Raises
    ------
    BadMessage
        If a window has another number of frames than its place.
    """
    stretches: list[Stretch] = []
    group: list[PlacedWindow] = []
    parts: list[FeatureBlock] = []
    end = -1

    def close() -> None:
        if group:
            stretches.append(Stretch(group[0].start, FeatureBlock.concatenate(parts), tuple(group)))
        group.clear()
        parts.clear()

    for window in sorted(windows, key=lambda placed: (placed.start, placed.stop, placed.key)):
        if len(window.features) != window.stop - window.start:
            raise BadMessage(
                f"the features of window {window.key} have {len(window.features)} frames, its place has "
                f"{window.stop - window.start}"
            )
        if not group or window.start >= end or not set(window.features.sources) & set(parts[-1].sources):
            close()
            end = window.start
        group.append(window)
        if window.stop > end:
            parts.append(window.features[end - window.start :])
            end = window.stop
    close()
    return stretches
