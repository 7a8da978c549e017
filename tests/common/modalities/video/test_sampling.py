"""The sampling rule: laws that hold for any timestamps."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.contracts.batches import SourceKind
from common.modalities.modality import SourceFacts
from common.modalities.video.sampling import TimestampArray, select
from common.sources.capture_time import UNKNOWN_TIMES

MILLISECOND = Fraction(1, 1000)
NONE = np.zeros(0, np.int64)

timestamps = st.lists(st.integers(1, 400), min_size=1, max_size=80).map(
    lambda gaps: np.cumsum(np.array(gaps, np.int64)) - gaps[0] + 7
)
rates = st.floats(0.2, 60.0)


def steady(count: int, ticks: int) -> TimestampArray:
    return np.arange(count, dtype=np.int64) * ticks


@given(timestamps, rates)
def test_every_sampled_frame_is_the_first_at_or_after_some_tick(pts: TimestampArray, rate: float) -> None:
    chosen = select(pts, NONE, MILLISECOND, rate).tolist()
    assert chosen[0] == pts[0]
    if len(chosen) == len(pts):
        return  # every frame
    early = 1  # millisecond, for containers that round
    fine = Fraction(rate).limit_denominator(100_000)
    for before, at in pairwise(pts.tolist()):
        ticks = [int((t - pts[0] + early) * MILLISECOND * fine // 1) for t in (before, at)]
        assert (at in chosen) == (ticks[1] > ticks[0])


@given(timestamps, rates, st.sets(st.integers(0, 79)))
def test_a_key_frame_is_sampled_instead_of_the_first_frame_of_its_tick(
    pts: TimestampArray, rate: float, which: set[int]
) -> None:
    keys = np.array([int(pts[i]) for i in sorted(which) if i < len(pts)], np.int64)
    firsts, chosen = select(pts, NONE, MILLISECOND, rate).tolist(), select(pts, keys, MILLISECOND, rate).tolist()
    assert len(chosen) == len(firsts)
    for first, at, stop in zip(firsts, chosen, [*firsts[1:], int(pts[-1]) + 1], strict=True):
        inside = [key for key in keys.tolist() if first <= key < stop]
        assert at == (inside[0] if inside else first)


def test_one_frame_per_second_of_a_camera_with_one_key_frame_per_second_is_its_key_frames() -> None:
    pts = steady(300, 1001)
    for offset in (0, 7):
        keys = pts[offset::30]
        chosen = select(pts, keys, Fraction(1, 30000), 1.0)
        assert set(chosen.tolist()) - set(keys.tolist()) <= {0}


@given(timestamps, rates, st.integers(0, 10**6))
def test_sampling_does_not_depend_on_the_first_timestamp(pts: TimestampArray, rate: float, shift: int) -> None:
    assert (select(pts + shift, NONE, MILLISECOND, rate) == select(pts, NONE, MILLISECOND, rate) + shift).all()


@given(timestamps, rates, st.integers(1, 100))
def test_parts_of_the_sampled_frames_make_up_the_whole(pts: TimestampArray, rate: float, chunk: int) -> None:
    whole = select(pts, NONE, MILLISECOND, rate).tolist()
    parts = [
        select(pts, NONE, MILLISECOND, rate)[start : start + chunk].tolist() for start in range(0, len(whole), chunk)
    ]
    assert [frame for part in parts for frame in part] == whole


@given(timestamps, rates, st.integers(1, 79))
def test_later_frames_do_not_change_which_earlier_ones_are_sampled(pts: TimestampArray, rate: float, cut: int) -> None:
    head = pts[:cut]
    whole, part = select(pts, NONE, MILLISECOND, rate), select(head, NONE, MILLISECOND, rate)
    if len(part) < len(head) and len(whole) < len(pts):  # neither counts as slower than the rate
        assert part.tolist() == [t for t in whole.tolist() if t <= head[-1]]


def test_half_the_rate_samples_every_other_frame() -> None:
    assert select(steady(9, 40), NONE, MILLISECOND, 12.5).tolist() == [0, 80, 160, 240, 320]


@pytest.mark.parametrize("rate", [None, 25.0, 29.97, 30.0, 60.0])
def test_a_rate_at_or_above_the_streams_own_samples_every_frame(rate: float | None) -> None:
    base, ticks = (Fraction(1, 25), 1) if rate == 25.0 else (Fraction(1, 30000), 1001)
    pts = steady(300_000, ticks)
    assert len(select(pts, NONE, base, rate)) == 300_000


def test_times_rounded_to_a_millisecond_are_sampled_evenly() -> None:
    pts = np.array([round(n * 1000 / 30) for n in range(300)], np.int64)
    chosen = select(pts, NONE, MILLISECOND, 15.0)
    assert (chosen == pts[::2]).all()


def test_a_gap_does_not_repeat_a_frame() -> None:
    pts = np.array([0, 100, 200, 10_000, 10_100], np.int64)
    assert select(pts, NONE, MILLISECOND, 2.0).tolist() == [0, 10_000]


def test_a_video_without_frames_has_no_sampled_frames() -> None:
    assert len(select(np.zeros(0, np.int64), NONE, MILLISECOND, 5.0)) == 0


def test_the_expected_number_is_at_least_one_and_at_most_all_frames() -> None:
    video = SourceFacts(SourceKind.RECORDING, 25.0, 10.0, 250, UNKNOWN_TIMES)
    assert [video.sampled_count(fps) for fps in (None, 100.0, 25.0, 5.0, 0.01)] == [250, 250, 250, 50, 1]
    stills = SourceFacts(SourceKind.FOLDER, 1.0, 40.0, 40, UNKNOWN_TIMES)
    assert stills.sampled_count(0.1) == 40, "stills are all sampled"
