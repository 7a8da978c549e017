"""Exact bounds agree with their definitions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, poisson

from common.drift.intervals import most_per_day, most_share, share_bounds


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_at_each_bound_of_a_share_what_was_seen_has_the_probability_of_the_tail(seen: tuple[int, int]) -> None:
    hits, count = seen
    low, high = share_bounds(hits, count)
    assert 0 <= low <= hits / count <= high <= 1
    if hits:
        assert binom.sf(hits - 1, count, low) == pytest.approx(0.025, rel=1e-6)
    if hits < count:
        assert binom.cdf(hits, count, high) == pytest.approx(0.025, rel=1e-6)
        assert binom.cdf(hits, count, most_share(hits, count)) == pytest.approx(0.05, rel=1e-6)


@given(st.integers(0, 200), st.floats(0.01, 100))
def test_at_the_bound_of_a_rate_so_few_events_have_a_probability_of_five_percent(events: int, days: float) -> None:
    assert poisson.cdf(events, most_per_day(events, days) * days) == pytest.approx(0.05, rel=1e-6)


def test_nothing_tried_bounds_nothing() -> None:
    assert most_share(0, 0) == 1.0
