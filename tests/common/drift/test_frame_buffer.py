from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.drift.frame_buffer import FrameBuffer
from common.errors import BadMessage
from common.features import FeatureBlock
from tests.common.builders import block


def times(frames: FeatureBlock) -> list[float]:
    return [float(time) for time in frames.times]


@given(st.data(), st.lists(st.integers(0, 6), max_size=5), st.lists(st.integers(0, 6), max_size=5))
def test_any_slice_equals_that_slice_of_the_whole(data: st.DataObject, earlier: list[int], later: list[int]) -> None:
    lengths = [*earlier, *later]
    starts = [sum(lengths[:i]) for i in range(len(lengths))]
    blocks = [block(length, start=start) for length, start in zip(lengths, starts, strict=True)]
    total, position = sum(lengths), sum(earlier)
    buffer = FrameBuffer(position, lambda: [part for part in blocks[: len(earlier)] if len(part)])
    for part in blocks[len(earlier) :]:
        buffer.append(part)
    if total == 0:
        return
    start = data.draw(st.integers(0, total - 1))
    stop = data.draw(st.integers(start + 1, total))
    for _ in range(2):
        assert times(buffer.slice(range(start, stop))) == [float(i) for i in range(start, stop)]
    buffer.drop_before(start)
    assert times(buffer.slice(range(start, stop))) == [float(i) for i in range(start, stop)]


def test_earlier_frames_are_read_once_and_only_if_a_window_reaches_back_to_them() -> None:
    reads = []

    def read_earlier() -> list[FeatureBlock]:
        reads.append(1)
        return [block(4, start=0)]

    buffer = FrameBuffer(4, read_earlier)
    buffer.append(block(6, start=4))
    buffer.slice(range(4, 10))
    assert not reads
    buffer.slice(range(3, 10))
    buffer.slice(range(0, 2))
    assert len(reads) == 1


def test_missing_frames_are_refused() -> None:
    buffer = FrameBuffer(4, lambda: [block(2, start=2)])
    buffer.append(block(1, start=4))
    for window in (range(1, 5), range(3, 6)):
        with pytest.raises(BadMessage, match="are kept"):
            buffer.slice(window)
