"""The latest frames of a stream, addressed by their positions in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from common.errors import BadMessage
from common.features import FeatureBlock


class FrameBuffer:
    """New frames of a stream, and the stored ones before them, which are read only if a window reaches back to them.

    Parameters
    ----------
    position : position in the stream of the next frame
    read_earlier : returns the stored blocks that end at `position`; called at most once
    """

    def __init__(self, position: int = 0, read_earlier: Callable[[], Sequence[FeatureBlock]] = list) -> None:
        self._position = position
        self._start = position
        self._blocks: list[FeatureBlock] = []
        self._read_earlier = read_earlier

    def append(self, block: FeatureBlock) -> None:
        """Add the stream's next frames."""
        if len(block):
            self._blocks.append(block)
            self._position += len(block)

    def slice(self, window: range) -> FeatureBlock:
        """Return the frames at the positions `window`; raise `BadMessage` if one of them is missing."""
        if window.start < self._start:
            earlier, self._read_earlier = list(self._read_earlier()), list
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

    def drop_before(self, position: int) -> None:
        """Drop the blocks that lie entirely before `position`."""
        while self._blocks and self._start + len(self._blocks[0]) <= position:
            self._start += len(self._blocks.pop(0))
