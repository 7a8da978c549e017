"""The null distribution: contiguous windows, a guard gap, wider bounds for short footage, calibrated p-values."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.stats import kstwobign

from common.drift.calibration import Null, fit_null, ks_p_value, novelty_p_value, null_starts, widening_factor
from common.drift.judge import judge
from tests.common.drift.footage import RULE, fitted, footage

Flags = npt.NDArray[np.bool_]


def null(sample: npt.NDArray[np.float32], window: int = 24, minimum_effect: float = 1e-6) -> Null:
    made = fit_null(
        len(sample),
        window,
        lambda rest, inside: (sample[rest], sample[inside]),
        minimum_effect=np.full(sample.shape[1], minimum_effect),
        pooled=False,
    )
    assert made is not None
    return made


def series(frames: int, correlation: float, seed: int = 0, columns: int = 4) -> npt.NDArray[np.float32]:
    """Return AR(1) columns (frames, columns) with a standard deviation of 1."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((frames, columns))
    for t in range(1, frames):
        values[t] = correlation * values[t - 1] + np.sqrt(1 - correlation**2) * values[t]
    return values.astype(np.float32)


@given(st.integers(2, 300), st.integers(2, 48))
def test_windows_of_the_null_are_contiguous_and_separated_from_the_rest_by_a_gap(frames: int, window: int) -> None:
    seen = []

    def comparison(rest: Flags, inside: slice) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        seen.append((np.flatnonzero(rest), np.arange(frames)[inside]))
        return np.zeros((int(rest.sum()), 1), np.float32), np.zeros((window, 1), np.float32)

    fit_null(frames, window, comparison, minimum_effect=np.ones(1), pooled=False)
    assert len(seen) == len(null_starts(frames, window))
    for rest, inside in seen:
        assert len(inside) == window
        assert min(abs(int(r) - int(p)) for r in rest for p in (inside[0], inside[-1])) > window // 2


def test_longer_autocorrelation_gives_a_wider_bound() -> None:
    bounds = [float(null(series(800, correlation)).bound.mean()) for correlation in (0.0, 0.8, 0.97)]
    assert bounds == sorted(bounds)
    assert bounds[2] > 2 * bounds[0]


def test_shuffled_frames_would_give_a_bound_far_too_narrow() -> None:
    sample = series(800, 0.95)
    shuffled = np.random.default_rng(0).permutation(sample)
    assert null(shuffled).bound.mean() < null(sample).bound.mean() / 2


def test_no_bound_is_smaller_than_the_minimum_effect() -> None:
    still = np.zeros((200, 3), np.float32)
    np.testing.assert_array_equal(null(still, minimum_effect=0.25).bound, np.full(3, 0.25))


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(2, 100))
def test_shorter_footage_widens_more(short: int, more: int, window: int) -> None:
    assert widening_factor(short, window) > widening_factor(short + more, window) > 1


def test_footage_too_short_for_a_window_and_a_rest_has_no_null() -> None:
    sample = series(30, 0.0)
    assert (
        fit_null(30, 24, lambda rest, inside: (sample[rest], sample[inside]), minimum_effect=np.ones(4), pooled=False)
        is None
    )


def test_every_frame_counts_in_a_constant_column() -> None:
    made = null(series(300, 0.8))
    sizes = made.effective_sizes(np.array([False, True, False, False]))
    assert sizes[1] == made.window
    assert (sizes[[0, 2, 3]] <= made.window / 4).all()


@pytest.mark.parametrize("size", [1.0, 4.0, 12.0])
def test_p_values_follow_kolmogorovs_distribution(size: float) -> None:
    assert ks_p_value(np.array([0.0]), np.array([size]))[0] == pytest.approx(1)
    assert ks_p_value(np.array([1.0]), np.array([size]))[0] < kstwobign.sf(np.sqrt(size))


@pytest.mark.parametrize("correlation", [0.0, 0.7, 0.9])
def test_few_clean_windows_have_small_p_values(correlation: float) -> None:
    baseline = fitted(footage(500, seed=1, correlation=correlation))
    windows = [footage(RULE.frames, seed=1000 + i, correlation=correlation) for i in range(150)]
    p_values = np.array([judge(baseline, window).p_value for window in windows])
    assert (p_values < 0.05).mean() <= 0.07
    assert (p_values < 0.5).mean() <= 0.6


def test_the_effective_number_of_windows_is_reported() -> None:
    summary = fitted(footage(480, seed=1)).to_manifest().clips[0]
    assert summary.frames == 480
    assert summary.effective_windows == pytest.approx(480 / RULE.frames)
    assert summary.null_windows >= 4


def test_the_p_value_of_novel_frames_is_that_of_fishers_exact_test() -> None:
    """The reference is SciPy's: all of k frames in the window, none in the baseline."""
    for k in (0, 1, 3, 10):
        by_hand = stats.fisher_exact([[k, 48 - k], [0, 200]], alternative="greater").pvalue
        assert novelty_p_value(np.array([k]), 48, 200)[0] == pytest.approx(by_hand)
