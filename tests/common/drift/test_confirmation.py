"""When FAILs are confirmed: seldom on clean footage, soon on faults, by the frames that fail and not by verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.drift.confirmation import AlarmRule, Detector, Window, e_value, update

FRAMES = 48
RULE = AlarmRule.of(1.0, FRAMES, 5.0)


def after(windows: Sequence[Window], rule: AlarmRule = RULE, detector: Detector | None = None) -> Detector:
    detector = detector or Detector()
    for window in windows:
        detector = update(detector, rule, window)
    return detector


def fails(p_value: float, stops: Sequence[int], *, gross: bool = False) -> list[Window]:
    return [Window(stop - FRAMES, stop, p_value, failed=True, gross=gross) for stop in stops]


def passes(stops: Sequence[int], p_value: float = 0.5) -> list[Window]:
    return [Window(stop - FRAMES, stop, p_value, failed=False) for stop in stops]


steps = st.lists(st.tuples(st.booleans(), st.floats(1e-9, 1.0), st.booleans(), st.integers(1, 60)), max_size=30)


@given(steps)
def test_a_pass_ends_what_was_confirmed_and_since_is_the_first_failed_frame(
    drawn: list[tuple[bool, float, bool, int]],
) -> None:
    stop, windows = FRAMES, []
    for failed, p_value, gross, stride in drawn:
        stop += stride
        windows.append(Window(stop - FRAMES, stop, p_value, failed, gross=gross and failed))
    detector = after(windows)
    at_the_end = [w for i, w in enumerate(windows) if all(later.failed for later in windows[i:])]
    assert detector.since == (at_the_end[0].start if at_the_end else None)
    if not at_the_end:
        assert not detector.confirmed
    assert 0 <= detector.level <= RULE.bound


@given(steps)
def test_no_single_window_confirms_and_what_is_confirmed_stays_until_a_pass(
    drawn: list[tuple[bool, float, bool, int]],
) -> None:
    stop, detector = FRAMES, Detector(level=RULE.bound)
    for failed, p_value, gross, stride in drawn:
        stop += stride
        before = detector
        detector = update(detector, RULE, Window(stop - FRAMES, stop, p_value, failed, gross=gross and failed))
        if detector.confirmed:
            assert detector.since is not None
            assert stop - detector.since >= 2 * FRAMES
        if failed and before.confirmed:
            assert detector.confirmed


@pytest.mark.parametrize("stride", [1, 12, 48])
def test_evidence_grows_with_frames_not_with_verdicts(stride: int) -> None:
    """However often windows are judged, the level moves once per block, by the mean of its e-values."""
    frames = 4 * RULE.block_frames
    detector = after(fails(0.01, range(FRAMES, frames + FRAMES, stride)))
    e, level = e_value(0.01), 0.0
    for _ in range(3):
        level = (level + 1) * e
    assert detector.level == pytest.approx(level) or detector.level == pytest.approx(min((level + 1) * e, RULE.bound))


def test_gross_fails_are_confirmed_by_two_windows_that_share_no_frame() -> None:
    assert not after(fails(0.01, range(48, 95, 12), gross=True)).confirmed
    assert after(fails(0.01, range(48, 97, 12), gross=True)).confirmed
    one_that_is_not = [*fails(0.01, [48, 60], gross=True), *fails(0.01, [72]), *fails(0.01, [84, 96], gross=True)]
    assert not after(one_that_is_not).confirmed


def test_what_needs_no_history_is_confirmed_at_once() -> None:
    (window,) = fails(0.01, [48], gross=True)
    assert after([replace(window, needs_no_history=True)]).confirmed


def test_fails_that_persist_are_confirmed_within_minutes_and_passes_take_the_evidence_back() -> None:
    per_minute = 60 * 5
    faint = after(fails(0.02, range(48, 8 * per_minute, 12)))
    assert faint.confirmed
    assert not after(fails(0.02, range(48, 3 * per_minute, 12))).confirmed
    quiet = after(passes(range(8 * per_minute, 30 * per_minute, 12)), detector=faint)
    assert quiet.level < 1
    assert not after(fails(0.02, range(30 * per_minute, 32 * per_minute, 12)), detector=quiet).confirmed


def test_on_clean_footage_the_bound_is_reached_no_more_often_than_allowed() -> None:
    """Uniform p-values, independent from block to block and alike within one: the worst that is promised for."""
    rng = np.random.default_rng(0)
    rule = AlarmRule.of(40.0, FRAMES, 5.0)
    days, detector, alarms, stop = 15, Detector(), 0, FRAMES
    for p_value in rng.random(int(days * 86_400 * 5 / rule.block_frames)):
        for _ in range(3):
            detector = update(detector, rule, Window(stop - FRAMES, stop, float(p_value), failed=False))
            stop += rule.block_frames // 3
        if detector.level >= rule.bound:
            alarms += 1
            detector = Detector()
    assert 0 < alarms / days <= 40.0


@given(st.integers(10, 2000))
def test_e_values_of_ranks_are_at_most_one_in_the_mean(count: int) -> None:
    ranks = np.arange(1, count + 2) / (count + 1)
    assert np.mean([e_value(float(p)) for p in ranks]) <= 1.0


def test_more_allowed_alarms_ask_for_less_evidence() -> None:
    bounds = [AlarmRule.of(rate, FRAMES, 5.0).bound for rate in (0.1, 1.0, 10.0, 1e9)]
    assert bounds == sorted(bounds, reverse=True)
    assert bounds[-1] >= 20


def test_a_block_holds_a_window_where_windows_take_hours() -> None:
    assert AlarmRule.of(1.0, 48, 1 / 900).block_frames == 48
