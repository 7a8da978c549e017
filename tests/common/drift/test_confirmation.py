"""Runs of FAILs: independent of the stride of the windows, ended by a PASS, rare on clean footage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.drift.confirmation import Run, evidence_needed, update_run
from common.drift.windows import WindowState
from common.errors import BadMessage


def after(verdicts: list[tuple[bool, float, int]], frames: int = 48) -> Run | None:
    run: Run | None = None
    for failed, p_value, stop in verdicts:
        run = update_run(run, failed=failed, p_value=p_value, start=stop - frames, stop=stop)
    return run


@given(st.lists(st.tuples(st.booleans(), st.floats(1e-9, 0.05), st.integers(1, 60)), max_size=20))
def test_a_pass_ends_a_run_and_a_run_names_its_first_failed_frame(steps: list[tuple[bool, float, int]]) -> None:
    stop, verdicts = 48, []
    for failed, p_value, stride in steps:
        stop += stride
        verdicts.append((failed, p_value, stop))
    run = after(verdicts)
    fails_at_the_end = [v for i, v in enumerate(verdicts) if all(later[0] for later in verdicts[i:])]
    if not fails_at_the_end:
        assert run is None
    else:
        assert run is not None
        assert run.since == fails_at_the_end[0][2] - 48
        assert run.stop == verdicts[-1][2]


@pytest.mark.parametrize("stride", [1, 12, 48])
def test_evidence_grows_with_frames_not_with_verdicts(stride: int) -> None:
    run = after([(True, 0.01, stop) for stop in range(48, 48 * 5 + 1, stride)])
    assert run is not None
    assert run.evidence == pytest.approx(5 * -math.log(0.01))


def test_windows_that_share_no_frame_multiply_their_p_values() -> None:
    run = after([(True, 0.02, 48), (True, 0.03, 200)])
    assert run is not None
    assert run.evidence == pytest.approx(-math.log(0.02 * 0.03))


def test_clean_footage_is_confirmed_about_as_often_as_allowed() -> None:
    """Uniform and independent p-values give false alarms at the stated rate."""
    rng = np.random.default_rng(0)
    per_day, fps = 20.0, 5.0
    needed = evidence_needed(per_day, 0.05, 48, fps)
    days, alarms, run, confirmed = 40, 0, None, False
    for number, p_value in enumerate(rng.random(int(days * 86_400 * fps / 48))):
        run = update_run(run, failed=p_value < 0.05, p_value=p_value, start=number * 48, stop=number * 48 + 48)
        now = run is not None and run.evidence >= needed
        alarms += now and not confirmed
        confirmed = now
    assert alarms / days == pytest.approx(per_day, rel=0.15)


def test_more_allowed_alarms_ask_for_less_evidence() -> None:
    needed = [evidence_needed(rate, 0.05, 48, 5.0) for rate in (0.1, 1.0, 100.0, 1e9)]
    assert needed == sorted(needed, reverse=True)
    assert needed[-1] == 0.0


def test_a_run_survives_storage() -> None:
    state = WindowState(7, 0, 3, Run(2, 7, 1.5))
    assert WindowState.from_bytes(state.to_bytes()).run == Run(2, 7, 1.5)
    assert WindowState.from_bytes(WindowState().to_bytes()).run is None
    with pytest.raises(BadMessage):
        WindowState.from_bytes(b"short")
