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
def test_any_cut_equals_the_same_cut_of_the_whole(data: st.DataObject, earlier: list[int], later: list[int]) -> None:
    lengths = [*earlier, *later]
    starts = [sum(lengths[:i]) for i in range(len(lengths))]
    blocks = [block(length, start=start) for length, start in zip(lengths, starts, strict=True)]
    total, position = sum(lengths), sum(earlier)
    frames_so_far = FrameBuffer(position, lambda: [part for part in blocks[: len(earlier)] if len(part)])
    for part in blocks[len(earlier) :]:
        frames_so_far.enter(part)
    if total == 0:
        return
    start = data.draw(st.integers(0, total - 1))
    stop = data.draw(st.integers(start + 1, total))
    for _ in range(2):
        assert times(frames_so_far.cut(range(start, stop))) == [float(i) for i in range(start, stop)]
    frames_so_far.forget(start)
    assert times(frames_so_far.cut(range(start, stop))) == [float(i) for i in range(start, stop)]


def test_what_was_there_before_is_read_once_and_only_if_a_window_reaches_back_to_it() -> None:
    reads = []

    def before() -> list[FeatureBlock]:
        reads.append(1)
        return [block(4, start=0)]

    frames_so_far = FrameBuffer(4, before)
    frames_so_far.enter(block(6, start=4))
    frames_so_far.cut(range(4, 10))
    assert not reads
    frames_so_far.cut(range(3, 10))
    frames_so_far.cut(range(0, 2))
    assert len(reads) == 1


def test_frames_that_are_not_there_are_never_made_up() -> None:
    frames_so_far = FrameBuffer(4, lambda: [block(2, start=2)])
    frames_so_far.enter(block(1, start=4))
    for window in (range(1, 5), range(3, 6)):
        with pytest.raises(BadMessage, match="are kept"):
            frames_so_far.cut(window)
