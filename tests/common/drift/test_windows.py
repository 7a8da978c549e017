from __future__ import annotations

import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.drift.confirmation import Detector
from common.drift.windows import WindowRule, WindowState, advance
from common.errors import BadMessage

RULE = WindowRule(frames=8, stride=3)


def feed(batches: list[int], splits: list[list[int]], rule: WindowRule = RULE) -> tuple[WindowState, list[range]]:
    """Feed batches of these lengths, each split into blocks at `splits`."""
    state, due = WindowState(), list[range]()
    for length, points in zip(batches, splits, strict=True):
        edges = [0, *sorted(min(point, length) for point in points), length]
        pieces = [b - a for a, b in pairwise(edges)]
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


@given(st.data(), st.lists(st.integers(1, 30), min_size=1, max_size=6))
def test_windows_and_state_do_not_depend_on_how_batches_are_split(data: st.DataObject, batches: list[int]) -> None:
    splits = [data.draw(st.lists(st.integers(0, length), max_size=4)) for length in batches]
    whole_state, whole = feed(batches, [[] for _ in batches])
    state, due = feed(batches, splits)
    assert due == whole
    assert state.to_bytes() == whole_state.to_bytes()


@given(st.lists(st.integers(1, 30), min_size=1, max_size=8))
def test_every_frame_is_counted_and_windows_are_whole_and_in_order(batches: list[int]) -> None:
    state, due = feed(batches, [[] for _ in batches])
    assert state.position == sum(batches)
    assert len(state.latest(RULE)) <= RULE.frames
    assert all(len(window) == RULE.frames for window in due)
    assert all(before.stop < after.stop for before, after in pairwise(due))


@given(st.data(), st.lists(st.integers(1, 30), min_size=1, max_size=8))
def test_no_window_reaches_back_beyond_the_frames_that_are_kept(data: st.DataObject, batches: list[int]) -> None:
    splits = [data.draw(st.lists(st.integers(0, length), max_size=4)) for length in batches]
    state = WindowState()
    for length, points in zip(batches, splits, strict=True):
        edges = [0, *sorted(points), length]
        for i, (a, b) in enumerate(pairwise(edges)):
            kept = state.latest(RULE)
            state, windows = advance(
                state, RULE, b - a, own_window=length >= RULE.frames, starts=i == 0, ends=i == len(edges) - 2
            )
            assert all(window.start >= kept.start for window in windows)
            assert all(window.start >= state.opened for window in windows)


@given(st.integers(8, 60))
def test_every_frame_of_a_long_batch_is_in_some_window(length: int) -> None:
    _, due = feed([length], [[]])
    assert {position for window in due for position in window} == set(range(length))


def test_batches_of_single_frames_share_windows() -> None:
    _, due = feed([1] * 14, [[]] * 14)
    assert [window.stop for window in due] == [8, 11, 14]


def test_a_long_batch_is_judged_by_itself() -> None:
    _, due = feed([5, 10], [[], []])
    assert all(window.start >= 5 for window in due)


@given(st.lists(st.tuples(st.integers(1, 12), st.booleans()), min_size=1, max_size=12))
def test_segments_of_key_frames_are_judged_at_their_ends_once_and_others_by_the_stride(
    segments: list[tuple[int, bool]],
) -> None:
    state, due = WindowState(), list[range]()
    for length, sparse in segments:
        state, windows = advance(
            state, RULE, length, own_window=length >= RULE.frames, starts=False, ends=False, ends_sparse=sparse
        )
        due += windows
        if sparse and state.position >= RULE.frames:
            assert due[-1].stop == state.position
    assert all(0 < after.stop - before.stop <= RULE.stride for before, after in pairwise(due))
    assert state.position == sum(length for length, _ in segments)


def test_a_state_survives_storage() -> None:
    state, _ = feed([5, 4], [[], []])
    assert WindowState.from_bytes(state.to_bytes()) == state
    assert (state.position, state.unjudged) == (9, 1)
    assert WindowState.from_bytes(WindowState().to_bytes()) == WindowState()


def test_features_of_another_feature_spec_start_a_new_window() -> None:
    state = feed([7], [[]])[0].of_feature_spec(b"x" * 16)
    assert state.of_feature_spec(b"x" * 16) == state
    state, due = advance(state, RULE, 2, own_window=False, starts=True, ends=True)
    assert (state.latest(RULE), due) == (range(7, 9), ())


positions = st.integers(0, 2**60)
detectors = st.builds(
    Detector, st.none() | positions, st.none() | positions, st.booleans(), st.floats(0, 1e9), positions,
    st.floats(0, 1e9), positions,
)  # fmt: skip
states = st.builds(
    WindowState, positions, positions, positions, detectors, detectors, st.binary(min_size=16, max_size=16)
)  # fmt: skip
runs = st.none() | positions


@given(states)
def test_the_evidence_of_a_state_survives_storage(state: WindowState) -> None:
    assert WindowState.from_bytes(state.to_bytes()) == state


@given(states, runs, runs, st.sampled_from([9.5, 12.5]))
def test_a_state_of_an_earlier_version_is_read_and_its_runs_began_where_they_did(
    state: WindowState, failing: int | None, departing: int | None, evidence: float
) -> None:
    """Before there were conditions, what departed from golden failed. What was confirmed stays so."""
    numbers = (state.position, state.opened, state.unjudged)
    first, second = ((since is not None, since or 0, (since or 0) + 48, evidence) for since in (failing, departing))
    format_1 = struct.pack("<qqq?qqd16s", *numbers, *first, state.feature_spec)
    format_3 = bytes([3]) + struct.pack("<qqq?qqd?qqd16s", *numbers, *first, *second, state.feature_spec)
    for data, since in (
        (format_1, (failing, failing)),
        (bytes([2]) + format_1, (failing, failing)),
        (format_3, (failing, departing)),
    ):
        read = WindowState.from_bytes(data)
        assert (read.fails.since, read.departures.since) == since
        assert read.fails.confirmed == (failing is not None and evidence > 10)
        assert read.fails.level == 0
        assert (read.position, read.opened, read.unjudged) == (state.position, state.opened, state.unjudged)
        assert read.feature_spec == state.feature_spec
        assert WindowState.from_bytes(read.to_bytes()) == read


@pytest.mark.parametrize("added", [b"", b"more"])
def test_a_state_of_a_later_format_is_refused_and_says_what_to_do(added: bytes) -> None:
    later = bytes([5]) + WindowState(5, 2).to_bytes()[1:] + added
    with pytest.raises(BadMessage, match=r"format 5, this version reads up to 4.*upgrade this process"):
        WindowState.from_bytes(later)


@given(st.binary(max_size=120) | st.binary(min_size=91, max_size=91) | st.binary(min_size=142, max_size=148))
def test_arbitrary_bytes_are_refused_as_state(data: bytes) -> None:
    written = len(WindowState().to_bytes())
    known = len(data) == 65 or (data[:1], len(data)) in {(b"\x02", 66), (b"\x03", 91), (b"\x04", written)}
    if not known:
        with pytest.raises(BadMessage):
            WindowState.from_bytes(data)


def test_a_stride_longer_than_the_window_is_refused() -> None:
    with pytest.raises(ValueError, match="stride"):
        WindowRule(frames=8, stride=9)
