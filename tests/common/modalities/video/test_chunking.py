"""Chunking: all frames, in order, at key frames where these are frequent enough."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import BadSource
from common.modalities.video.chunking import chunk_at_keys, chunk_video
from common.modalities.video.timeline import read_timeline
from common.sources.limits import Limits
from tests.footage import scene, write_clip


@given(
    frames=st.integers(1, 400),
    gaps=st.lists(st.integers(1, 120), max_size=30),
    step=st.integers(1, 9),
    size=st.integers(1, 80),
)
def test_starts_are_ascending_and_no_chunk_is_much_too_long(frames: int, gaps: list[int], step: int, size: int) -> None:
    wanted = np.arange(0, frames * step, step, dtype=np.int64)
    keys = np.cumsum([0, *gaps]).astype(np.int64)
    starts = chunk_at_keys(wanted, keys, size)
    assert starts[0] == 0 and starts[-1] < frames
    assert all(a < b for a, b in pairwise(starts))
    assert all(b - a <= 8 * size for a, b in pairwise((*starts, frames)))


@given(gap=st.integers(1, 60), size=st.integers(30, 80))
def test_chunks_start_at_key_frames_where_these_are_frequent(gap: int, size: int) -> None:
    wanted = np.arange(2000, dtype=np.int64)
    keys = np.arange(0, 2000, gap, dtype=np.int64)
    starts = chunk_at_keys(wanted, keys, size)
    assert set(starts) <= set(keys.tolist())
    assert abs(np.median(np.diff(starts)) - size) <= gap


def test_footage_without_key_frames_is_chunked_evenly() -> None:
    assert chunk_at_keys(np.arange(100), np.array([0]), 30) == (0, 30, 60), "the last chunk takes the remainder"


def test_a_video_is_chunked_at_its_own_key_frames(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", scene(120), gop=15)
    count, starts = chunk_video(path, None, 40, Limits())
    timeline = read_timeline(path, Limits())
    assert count == 120 and len(starts) > 2
    assert set(timeline.pts[list(starts)].tolist()) <= set(timeline.keys.tolist())
    assert chunk_video(path, 5.0, 7, Limits())[0] == 24


def test_a_video_of_more_frames_than_allowed_is_refused(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", scene(30))
    with pytest.raises(BadSource, match="SENTINEL_MAX_FRAMES"):
        chunk_video(path, None, 8, Limits(max_frames=20))
