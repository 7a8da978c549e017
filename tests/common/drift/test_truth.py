"""Windows of truth: each row once, in the order of its frame; clean rows seldom fail, and a worse model does soon."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.contracts.truth import Measure, TruthRow, TruthVerdict
from common.contracts.verdicts import Status
from common.drift.truth import Moved, TruthRule, TruthTrack, advance
from tests.truth import BEGIN, EVERY_SECONDS, right, row

RULE = TruthRule(
    window=100, reference=400, least_loss=0.05, threshold=0.3, p_value=0.05, false_alarms_per_day=1.0
)  # fmt: skip
SMALL = replace(RULE, window=10, reference=40)
CLEAN = TruthTrack(model="v3", measure=Measure.CORRECT)
NUMBERS = TruthTrack(model="v3", measure=Measure.LOSS)


def move(
    rows: Sequence[TruthRow], *, rule: TruthRule = RULE, track: TruthTrack = CLEAN, failed: Sequence[range] = ()
) -> Moved:
    def failed_at(at: float) -> bool:
        return any(round((at - BEGIN) / EVERY_SECONDS) in span for span in failed)

    return advance(track, rows, rule, stream="dock", healed_as="", failed_at=failed_at)


@given(st.integers(0, 2**32 - 1), st.integers(40, 140))
def test_the_order_in_which_labels_arrive_does_not_matter(seed: int, count: int) -> None:
    rows = right(count, 0.8, seed=seed)
    mixed = random.Random(seed).sample(rows, k=count)
    assert move(mixed, rule=SMALL) == move(rows, rule=SMALL)


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 60), min_size=1, max_size=8))
def test_each_row_is_reference_or_judged_once_however_rows_are_spread_over_steps(seed: int, steps: list[int]) -> None:
    rows = right(sum(steps), 0.8, seed=seed)
    track, waiting, used, verdicts = CLEAN, list[TruthRow](), list[str](), list[TruthVerdict]()
    for count in steps:
        waiting += rows[:count]
        rows = rows[count:]
        moved = move(waiting, rule=SMALL, track=track)
        track, gone = moved.track, set(moved.used)
        waiting = [left for left in waiting if left.id not in gone]
        used += moved.used
        verdicts += moved.verdicts
    assert len(set(used)) == len(used)
    assert len(used) + len(waiting) == sum(steps)
    judged = max(sum(steps) - SMALL.reference, 0) // SMALL.window if track.reference else 0
    assert [(v.start, v.stop) for v in verdicts] == [(10 * n, 10 * n + 10) for n in range(judged)]
    assert track.judged == 10 * judged
    whole = move(right(sum(steps), 0.8, seed=seed), rule=SMALL)
    assert (track, tuple(verdicts)) == (whole.track, whole.verdicts)


def test_rows_are_judged_in_the_order_of_the_frames_and_those_that_come_late_with_the_next_window() -> None:
    rows = [row(number, 1.0) for number in range(60)]
    early = move([*rows[:45], *rows[46:56]], rule=SMALL)
    assert [(v.taken_from, v.taken_to) for v in early.verdicts] == [(rows[40].taken_at, rows[50].taken_at)]
    gone = set(early.used)
    left = [each for each in rows if each.id not in gone]
    assert len(left) == SMALL.window, "45, which came late, and 51 to 59"
    late = move(left, rule=SMALL, track=early.track)
    assert [(v.taken_from, v.taken_to) for v in late.verdicts] == [(rows[45].taken_at, rows[59].taken_at)]


@pytest.mark.parametrize("share", [0.6, 0.9, 0.98])
def test_clean_rows_fail_at_most_at_the_stated_rate(share: float) -> None:
    verdicts = [
        verdict for seed in range(40) for verdict in move(right(400 + 10 * 100, share, seed=seed)).verdicts
    ]  # fmt: skip
    assert len(verdicts) == 400
    assert sum(v.status is Status.FAIL for v in verdicts) <= RULE.p_value * len(verdicts)
    assert not any(v.confirmed for v in verdicts)


@pytest.mark.parametrize(("drop", "windows"), [(0.2, 8), (0.3, 4)])
def test_a_drop_of_accuracy_is_found_and_confirmed_within_so_many_windows(drop: float, windows: int) -> None:
    for seed in range(20):
        before = right(400 + 5 * 100, 0.9, seed=seed)
        after = right(windows * 100, 0.9 - drop, seed=1000 + seed, first=len(before))
        verdicts = move([*before, *after]).verdicts
        confirmed = [v for v in verdicts if v.confirmed]
        assert confirmed and confirmed[0].start >= 500, seed
        assert confirmed[0].score.decayed and confirmed[0].score.now < confirmed[0].score.reference


@given(st.floats(0.0, 1.0))
def test_a_model_that_does_better_never_fails(share: float) -> None:
    moved = move([*right(400, 0.5, seed=1), *(row(400 + n, 1.0 if n < 50 + 50 * share else 0.0) for n in range(100))])
    assert [v.status for v in moved.verdicts] == [Status.PASS]


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_a_loss_of_any_unit_is_judged_alike(scale: float) -> None:
    losses = np.random.default_rng(3).gamma(2.0, 1.0, 600)
    losses[500:] *= 2
    moved = move([row(n, -float(scale * loss)) for n, loss in enumerate(losses)], track=NUMBERS)
    assert [v.status for v in moved.verdicts] == [Status.PASS, Status.FAIL]
    unit = move([row(n, -float(loss)) for n, loss in enumerate(losses)], track=NUMBERS)
    assert [v.drift_score for v in moved.verdicts] == pytest.approx([v.drift_score for v in unit.verdicts], abs=1e-4)


def test_a_model_that_was_never_wrong_may_lose_as_much_as_the_setting_says() -> None:
    perfect = [row(number, 1.0) for number in range(400)]
    few = [row(400 + number, float(number % 34 != 0)) for number in range(100)]
    many = [row(400 + number, float(number % 4 != 0)) for number in range(100)]
    assert move([*perfect, *few]).verdicts[0].status is Status.PASS, "3 of 100"
    assert move([*perfect, *many]).verdicts[0].status is Status.FAIL, "25 of 100"


def test_one_window_confirms_nothing() -> None:
    rows = [*right(400, 0.9, seed=2), *right(300, 0.1, seed=2, first=400)]
    assert [v.confirmed for v in move(rows).verdicts] == [False, False, True]
    first, *_ = move(rows).verdicts
    assert first.failing_since == 0 and first.failing_from == rows[400].taken_at
    wrong = [frame.time for frame in first.worst_frames]
    assert len(wrong) == 3 and {rows[int(at)].score for at in wrong} == {0.0}


def test_rows_of_a_time_when_the_stream_failed_are_no_reference() -> None:
    rows = [*right(20, 0.0, seed=0), *right(40, 1.0, seed=0, first=20)]
    before = move(rows[:40], rule=SMALL, failed=[range(20)])
    assert before.track.reference == () and before.track.refused == 20 and len(before.used) == 20
    moved = move(rows[20:], rule=SMALL, track=before.track, failed=[range(20)])
    assert moved.track.reference == (1.0,) * 40
    assert moved.track.reference_from == rows[20].taken_at


def test_a_window_of_a_time_when_the_stream_failed_is_told_and_is_no_evidence() -> None:
    rows = [*right(400, 0.9, seed=2), *right(700, 0.1, seed=2, first=400)]
    verdicts = move(rows, failed=[range(400, 800)]).verdicts
    assert {v.status for v in verdicts} == {Status.FAIL}
    assert [v.drifted for v in verdicts] == [True] * 4 + [False] * 3
    assert [v.confirmed for v in verdicts] == [False] * 6 + [True]


def test_a_reference_that_is_too_short_for_longer_windows_is_made_anew() -> None:
    made = move(right(40, 0.9, seed=1), rule=SMALL).track
    longer = replace(SMALL, window=40, reference=160)
    moved = move(right(200, 0.9, seed=2, first=40), rule=longer, track=made)
    assert len(moved.track.reference) == 160
    assert [v.score.rows for v in moved.verdicts] == [40]
