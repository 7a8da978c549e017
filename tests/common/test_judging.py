"""From features to verdicts: evidence of FAILs and of departures, and which conditions count for a window."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.baselines.storage import StoredBaseline
from common.contracts.verdicts import Cause, Judgement, Status, Verdict
from common.drift.conditions import Condition, fit_condition
from common.drift.confirmation import AlarmRule, Detector, Window, update
from common.drift.frame_buffer import FrameBuffer
from common.drift.windows import WindowState
from common.features import FeatureBlock
from common.judging import BatchPlace, Thresholds, judge_block, with_evidence
from tests.common.builders import condition_record, verdict
from tests.common.drift.footage import RULE, fitted, footage

Step = Literal["pass", "match", "fail"]
BASELINE = fitted(footage(600, seed=1))
STORED = StoredBaseline(BASELINE, BASELINE.digest, Path("/golden"))
THRESHOLDS = Thresholds(score=0.3, p_value=0.05, false_alarms_per_day=1.0)
ALARM = AlarmRule.of(1.0, 48, 10.0)
SEGMENT = fit_condition("noise", footage(200, seed=50, noise=1.5), BASELINE, "clip0")


def condition(expires: float = 1e12) -> Condition:
    return Condition(condition_record(expires=expires), SEGMENT)


def noisy(frames: int, *, seed: int = 300, taken_at: float | None = None) -> FeatureBlock:
    """Footage like the condition's; frames are taken a tenth of a second apart from `taken_at` on."""
    block = footage(frames, seed=seed, noise=1.5)
    return block if taken_at is None else replace(block, taken_at=taken_at + np.arange(frames) / 10)


def judged(
    *blocks: FeatureBlock, conditions: tuple[Condition, ...] = (), now: float = 0.0
) -> tuple[WindowState, list[Verdict]]:
    """Judge batches one after the other."""
    state, buffer, verdicts = WindowState(), FrameBuffer(), list[Verdict]()
    for block in blocks:
        state, windows = judge_block(
            state,
            buffer,
            block,
            stored=STORED,
            thresholds=THRESHOLDS,
            stream="dock",
            place=BatchPlace(len(block), opens=True, closes=True),
            conditions=conditions,
            now=now,
        )
        verdicts += [window.verdict for window in windows]
    return state, verdicts


def judgement(step: Step) -> Judgement:
    if step == "match":
        return verdict(condition=condition_record())
    return verdict(status=Status.FAIL if step == "fail" else Status.PASS)


@given(st.lists(st.sampled_from(["pass", "match", "fail"]), min_size=1, max_size=12))
def test_fails_end_at_a_match_and_departures_only_at_a_golden_pass(steps: list[Step]) -> None:
    """The law: each detector is told of the windows that belong to it, whatever came before."""
    state, fails, departures = WindowState(), Detector(), Detector()
    for number, step in enumerate(steps):
        window = range(6 * number, 6 * number + 48)
        state = with_evidence(state, judgement(step), window, ALARM)
        matched = 0.4 if step == "match" else 0.01
        fails = update(fails, ALARM, Window(window.start, window.stop, matched, step == "fail"))
        departures = update(departures, ALARM, Window(window.start, window.stop, 0.01, step != "pass"))
        assert (state.fails, state.departures) == (fails, departures)
    assert (state.fails.since is None, state.departures.since is None) == (steps[-1] != "fail", steps[-1] == "pass")
    if state.fails.since is not None and state.departures.since is not None:
        assert state.departures.since <= state.fails.since
    assert state.position == 0, "nothing but the evidence changes"


def test_a_match_counts_as_evidence_with_its_p_value_against_golden() -> None:
    matched = with_evidence(WindowState(), verdict(condition=condition_record()), range(48), ALARM)
    failed = with_evidence(WindowState(), verdict(), range(48), ALARM)
    assert matched.fails.since is None
    assert matched.departures == failed.departures == failed.fails


def test_a_match_is_confirmed_by_the_departures_that_it_follows() -> None:
    state, verdicts = judged(footage(RULE.frames, seed=7), noisy(96), conditions=(condition(),))
    clean, *matches = verdicts
    assert (clean.status, clean.failing_since, clean.confirmed) == (Status.PASS, None, False)
    assert all(row.status is Status.PASS and row.condition for row in matches)
    assert all(row.failing_since == RULE.frames for row in matches), "the first frame of the noise"
    assert [row.confirmed for row in matches] == sorted(row.confirmed for row in matches), "once it is, it stays"
    assert matches[-1].confirmed
    assert state.fails.since is None
    assert state.departures.since == RULE.frames


def test_a_fail_is_confirmed_by_the_fails_since_the_last_match() -> None:
    """Matches that went before are no evidence that the footage fails."""
    worse = footage(RULE.frames, seed=301, noise=2.4)
    state, verdicts = judged(noisy(96), worse, conditions=(condition(),))
    fail = verdicts[-1]
    assert verdicts[-2].condition is not None
    assert (fail.status, fail.condition, fail.cause) == (Status.FAIL, None, Cause.NOISE)
    assert fail.failing_since == 96
    assert (state.fails.since, state.departures.since) == (96, 0)


@pytest.mark.parametrize(
    ("cause", "gross", "at_once"), [(Cause.BLACK, True, True), (Cause.BLACK, False, False), (Cause.NOISE, True, False)]
)
def test_one_window_confirms_what_no_live_source_looks_like(cause: Cause, gross: bool, at_once: bool) -> None:
    seen = verdict(cause=cause).model_copy(update={"gross": gross})
    assert with_evidence(WindowState(), seen, range(48), ALARM).fails.confirmed == at_once


def test_without_conditions_fails_and_departures_are_the_same() -> None:
    state, verdicts = judged(noisy(96))
    assert all(row.status is Status.FAIL for row in verdicts)
    assert state.fails == state.departures
    assert verdicts[-1].confirmed


@pytest.mark.parametrize(("taken_at", "matches"), [(1000.0, True), (1997.0, True), (1998.0, False), (3000.0, False)])
def test_a_condition_counts_for_footage_that_was_taken_before_it_expired(taken_at: float, matches: bool) -> None:
    """The last of a window's 24 frames, 2.3 s after the first, decides; the time of judging does not."""
    for now in (0.0, 1e9):
        _, (seen,) = judged(noisy(RULE.frames, taken_at=taken_at), conditions=(condition(2000.0),), now=now)
        assert (seen.condition is not None) == matches
        assert (seen.status is Status.PASS) == matches


@pytest.mark.parametrize(("now", "matches"), [(1999.0, True), (2000.0, False)])
def test_for_footage_without_capture_times_the_time_of_judging_decides(now: float, matches: bool) -> None:
    _, (seen,) = judged(noisy(RULE.frames), conditions=(condition(2000.0),), now=now)
    assert (seen.condition is not None) == matches


def test_a_condition_that_expires_within_a_batch_counts_for_the_windows_before() -> None:
    expires = 1000.0 + (60 - 1) / 10 + 0.05  # between the last frame of the window that ends at 60 and the next
    _, verdicts = judged(noisy(96, taken_at=1000.0), conditions=(condition(expires),))
    assert [row.condition is not None for row in verdicts] == [row.stop <= 60 for row in verdicts]
    assert {row.stop for row in verdicts} >= {60, 66}
