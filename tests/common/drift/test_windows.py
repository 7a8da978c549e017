from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.contracts import FeatureBlock
from common.drift.windows import Window, WindowRule, WindowState, advance
from common.errors import BadMessage
from tests.common.builders import block

RULE = WindowRule(frames=8, stride=3)


def feed(batches: list[int], cuts: list[list[int]], rule: WindowRule = RULE) -> tuple[WindowState, list[Window]]:
    """Feed batches of these lengths, each cut into blocks at `cuts`."""
    state, due = WindowState.empty(), list[Window]()
    for number, (length, places) in enumerate(zip(batches, cuts, strict=True)):
        whole = block(length, uri=f"/{number}.mp4")
        edges = [0, *sorted(min(place, length) for place in places), length]
        pieces = [whole[a:b] for a, b in pairwise(edges)]
        for i, piece in enumerate(pieces):
            state, windows = advance(
                state,
                rule,
                piece,
                own_window=length >= rule.frames,
                starts=i == 0,
                ends=i == len(pieces) - 1,
            )
            due += windows
    return state, due


def seen(windows: list[Window]) -> list[tuple[int, list[tuple[str, float]]]]:
    return [
        (w.stop, [(w.features.source_of(i), float(w.features.times[i])) for i in range(len(w.features))])
        for w in windows
    ]


@given(st.data(), st.lists(st.integers(1, 30), min_size=1, max_size=6))
def test_cutting_batches_differently_changes_neither_windows_nor_state(data: st.DataObject, batches: list[int]) -> None:
    cuts = [data.draw(st.lists(st.integers(0, length), max_size=4)) for length in batches]
    whole_state, whole = feed(batches, [[] for _ in batches])
    state, due = feed(batches, cuts)
    assert seen(due) == seen(whole)
    assert state.to_bytes() == whole_state.to_bytes()


@given(st.lists(st.integers(1, 30), min_size=1, max_size=8))
def test_the_state_is_bounded_by_one_window_and_every_frame_is_counted(batches: list[int]) -> None:
    state, _ = feed(batches, [[] for _ in batches])
    assert state.recent is not None
    assert len(state.recent) <= RULE.frames
    assert state.position == sum(batches)


@given(st.integers(8, 60))
def test_every_frame_of_a_long_batch_is_in_some_window(length: int) -> None:
    _, due = feed([length], [[]])
    covered = {time for _, frames in seen(due) for _, time in frames}
    assert covered == set(range(length))


def test_single_frames_slide_on_across_batches() -> None:
    _, due = feed([1] * 14, [[]] * 14)
    assert [window.stop for window in due] == [8, 11, 14]


def test_a_long_batch_is_judged_by_itself() -> None:
    _, due = feed([5, 10], [[], []])
    assert all(window.features.sources == ("/1.mp4",) for window in due)


def test_a_state_survives_storage() -> None:
    state, _ = feed([5, 4], [[], []])
    again = WindowState.from_bytes(state.to_bytes())
    assert (again.position, again.unjudged) == (9, 1)
    assert again.recent is not None
    assert len(again.recent) == 8
    assert WindowState.from_bytes(WindowState.empty().to_bytes()) == WindowState.empty()


def test_features_of_another_recipe_start_a_new_window() -> None:
    state, _ = feed([5], [[]])
    other = FeatureBlock(
        np.zeros((2, 9), np.float32), np.zeros((2, 3), np.float32), np.zeros(2), ("/b",), np.zeros(2, np.int32)
    )
    state, _ = advance(state, RULE, other, own_window=False, starts=True, ends=True)
    assert state.recent is not None
    assert (len(state.recent), state.position) == (2, 7)


@given(st.binary(max_size=40))
def test_foreign_bytes_are_no_state(data: bytes) -> None:
    with pytest.raises(BadMessage):
        WindowState.from_bytes(data + b"\xff" * 17)


def test_a_stride_longer_than_the_window_is_refused() -> None:
    with pytest.raises(ValueError, match="stride"):
        WindowRule(frames=8, stride=9)
