"""The latest frames of a stream, by their positions in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from common.errors import BadMessage
from common.features import FeatureBlock


class FrameBuffer:
    """Frames as they enter, and those that were there before, which are read only if a window reaches back to them.

    Parameters
    ----------
    position : of the next frame
    before : returns the blocks that end at `position`; called at most once
    """

    def __init__(self, position: int = 0, before: Callable[[], Sequence[FeatureBlock]] = list) -> None:
        self._position = position
        self._start = position
        self._blocks: list[FeatureBlock] = []
        self._before = before

    def enter(self, block: FeatureBlock) -> None:
        """Let the next frames of the stream in."""
        if len(block):
            self._blocks.append(block)
            self._position += len(block)

    def cut(self, window: range) -> FeatureBlock:
        """Return the frames at these positions; raise `BadMessage` if they are not all there."""
        if window.start < self._start:
            earlier, self._before = list(self._before()), list
            self._blocks = earlier + self._blocks
            self._start -= sum(map(len, earlier))
        if not (self._start <= window.start < window.stop <= self._position):
            raise BadMessage(
                f"frames {window.start} to {window.stop} of a stream are asked for, "
                f"{self._start} to {self._position} are kept"
            )
        parts, stop = [], self._position
        for block in reversed(self._blocks):
            start = stop - len(block)
            if stop <= window.start:
                break
            if start < window.stop:
                parts.append(block[max(0, window.start - start) : window.stop - start])
            stop = start
        return FeatureBlock.concatenate(parts[::-1])

    def forget(self, before: int) -> None:
        """Let go of blocks that lie before position `before` altogether."""
        while self._blocks and self._start + len(self._blocks[0]) <= before:
            self._start += len(self._blocks.pop(0))
