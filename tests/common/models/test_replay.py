"""Golden replay that is pooled from several baselines."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.models.kinds import load_kind
from common.models.replay import split_pool

KIND = load_kind("vfi")
counts = st.integers(KIND.fewest_examples, 400)


def golden(count: int, baseline: int) -> npt.NDArray[np.uint8]:
    """Return examples (count, 3) that tell where they come from: baseline, and number in two digits of base 256."""
    return np.array([(baseline, i // 256, i % 256) for i in range(count)], np.uint8)


def rows(examples: npt.NDArray[np.uint8]) -> set[bytes]:
    return {row.tobytes() for row in examples}


@given(st.lists(counts, min_size=1, max_size=5))
def test_what_was_trained_on_is_not_held_out_when_another_baseline_joins(sizes: list[int]) -> None:
    pools = [split_pool(KIND, [golden(n, b) for b, n in enumerate(sizes[:k])]) for k in range(1, len(sizes) + 1)]
    trained = set[bytes]().union(*(rows(pool.training) for pool in pools))
    held_out = set[bytes]().union(*(rows(pool.held_out) for pool in pools))
    assert not trained & held_out


@pytest.mark.parametrize("sizes", [[48], [400], [48, 400], [KIND.fewest_examples] * 12])
def test_each_baseline_has_its_part_and_the_whole_is_bounded(sizes: list[int]) -> None:
    pool = split_pool(KIND, [golden(n, b) for b, n in enumerate(sizes)])
    for part in (pool.training, pool.held_out):
        assert {row[0] for row in part} == set(range(len(sizes)))
        assert len(rows(part)) == len(part), "no example comes twice"
    most = max(240, KIND.fewest_examples * len(sizes))
    assert len(pool.training) + len(pool.held_out) <= most + len(sizes)
