from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import ks_2samp, wasserstein_distance

from common.drift.statistics import kolmogorov_smirnov, sort_reference, wasserstein
from common.errors import BadMessage

# Few distinct values, so that ties within and between the samples are the rule.
samples = st.integers(1, 40).flatmap(
    lambda n: arrays(np.float32, (n, 3), elements=st.sampled_from([-2.0, -1.0, 0.0, 0.5, 0.5, 3.0, 7.25]))
)


@given(samples, samples)
def test_distances_agree_with_scipy_ties_or_not(reference: np.ndarray, window: np.ndarray) -> None:
    ordered = sort_reference(reference)
    for feature in range(3):
        expected = wasserstein_distance(reference[:, feature], window[:, feature])
        assert wasserstein(ordered, window)[feature] == pytest.approx(expected, abs=1e-9)
        expected = ks_2samp(reference[:, feature], window[:, feature]).statistic
        assert kolmogorov_smirnov(ordered, window)[feature] == pytest.approx(expected, abs=1e-9)


@given(samples, samples, st.randoms(use_true_random=False))
def test_the_order_of_frames_does_not_matter(reference: np.ndarray, window: np.ndarray, random: object) -> None:
    ordered = sort_reference(reference)
    shuffled = window[random.sample(range(len(window)), len(window))]  # type: ignore[attr-defined]
    np.testing.assert_array_equal(wasserstein(ordered, window), wasserstein(ordered, shuffled))
    np.testing.assert_array_equal(kolmogorov_smirnov(ordered, window), kolmogorov_smirnov(ordered, shuffled))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_features_that_are_not_finite_are_refused(bad: float) -> None:
    with pytest.raises(BadMessage, match="NaN"):
        sort_reference(np.array([[bad]], np.float32))
    with pytest.raises(BadMessage, match="NaN"):
        wasserstein(np.zeros((2, 1), np.float32), np.array([[bad]], np.float32))


def test_no_frames_are_refused() -> None:
    with pytest.raises(BadMessage, match="at least one frame"):
        kolmogorov_smirnov(np.zeros((2, 1), np.float32), np.zeros((0, 1), np.float32))
