"""Stretches: overlapping windows of a stream become footage in which each frame is once."""

from __future__ import annotations

from random import Random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from common.contracts.incidents import IncidentWindow
from common.contracts.verdicts import Cause
from common.drift.stretches import Stretch, join_windows, without_windows
from common.features import FeatureBlock
from tests.common.builders import block

Row = tuple[IncidentWindow, FeatureBlock]


def row(start: int, *, frames: int = 24, uri: str = "/a.mp4", cause: Cause = Cause.NOISE) -> Row:
    """A window of one file, of which each frame carries its position in the stream."""
    window = IncidentWindow(
        event_id=f"e{start}", start=start, stop=start + frames, cause=cause, segment="golden.mp4", condition=None
    )
    return window, block(frames, start=start, uri=uri)


def positions(stretch: Stretch) -> list[int]:
    return [int(value) for value in stretch.block.groups["quality"][:, 0]]


@given(
    st.lists(st.tuples(st.integers(0, 200), st.integers(2, 40)), max_size=12, unique_by=lambda row: row[0]),
    st.randoms(use_true_random=False),
)
def test_every_frame_of_the_windows_is_in_one_stretch_once_and_in_order(
    spans: list[tuple[int, int]], random: Random
) -> None:
    """The law, whatever order the windows are read in, and though one lies inside another."""
    rows = [row(start, frames=frames) for start, frames in spans]
    random.shuffle(rows)
    stretches = join_windows("dock", rows)
    covered = sorted({position for start, frames in spans for position in range(start, start + frames)})
    assert [position for stretch in stretches for position in positions(stretch)] == covered
    for stretch in stretches:
        assert positions(stretch) == list(range(stretch.first, stretch.first + len(stretch.block)))
        assert all(stretch.first <= w.start < w.stop <= stretch.first + len(stretch.block) for w in stretch.windows)
    assert sorted(w.event_id for stretch in stretches for w in stretch.windows) == sorted(w.event_id for w, _ in rows)


def test_windows_that_overlap_are_one_stretch_and_windows_that_touch_are_two() -> None:
    (one,) = join_windows("dock", [row(0), row(6), row(23)])
    assert (one.name, len(one.block)) == ("dock@0", 47)
    touching = join_windows("dock", [row(0), row(24)])
    assert [stretch.name for stretch in touching] == ["dock@0", "dock@24"]


def test_windows_of_different_files_are_not_joined_though_their_positions_overlap() -> None:
    """A batch that fills a window is judged by itself: what lies beside it in the stream is other footage."""
    stretches = join_windows("dock", [row(0), row(12, uri="/b.mp4"), row(18, uri="/b.mp4")])
    assert [(stretch.first, len(stretch.block)) for stretch in stretches] == [(0, 24), (12, 30)]
    assert [stretch.block.sources for stretch in stretches] == [("/a.mp4",), ("/b.mp4",)]


def test_single_frames_of_a_camera_are_joined_where_windows_share_a_file() -> None:
    def window(start: int) -> Row:
        frames = [block(1, start=position, uri=f"/{position}.jpg") for position in range(start, start + 24)]
        return row(start)[0], FeatureBlock.concatenate(frames)

    (stretch,) = join_windows("dock", [window(0), window(6), window(12)])
    assert stretch.block.sources == tuple(f"/{position}.jpg" for position in range(36))
    assert np.array_equal(stretch.block.times, np.arange(36.0))


def test_a_stretch_names_the_cause_of_each_of_its_windows_in_order() -> None:
    rows = [row(12, cause=Cause.BLUR), row(0), row(6)]
    (stretch,) = join_windows("dock", rows)
    assert stretch.causes == (Cause.NOISE, Cause.NOISE, Cause.BLUR)
    assert join_windows("dock", []) == []


@given(
    st.lists(st.tuples(st.integers(0, 200), st.integers(2, 40)), min_size=1, max_size=12, unique_by=lambda row: row[0]),
    st.integers(0, 2**12 - 1),
)
def test_of_unwanted_windows_no_frame_is_left_and_of_the_others_all_that_they_do_not_share(
    spans: list[tuple[int, int]], chosen: int
) -> None:
    rows = [row(start, frames=frames) for start, frames in spans]
    unwanted = {window.event_id for place, (window, _) in enumerate(rows) if chosen >> place & 1}
    bad = {frame for window, _ in rows if window.event_id in unwanted for frame in range(window.start, window.stop)}
    for stretch in join_windows("dock", rows):
        parts = without_windows(stretch, lambda window: window.event_id in unwanted)
        kept = [window for part in parts for window in part.windows]
        wanted = [w for w in stretch.windows if bad.isdisjoint(range(w.start, w.stop))]
        assert [w.event_id for w in kept] == [w.event_id for w in wanted]
        left = {position for part in parts for position in positions(part)}
        assert left == {frame for w in wanted for frame in range(w.start, w.stop)}
        assert left.isdisjoint(bad)
