"""Splits and scores of triplets: what is held out stays apart from what is trained on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from common.models.vfi.scores import psnr_db, split_in_blocks, split_in_time


@given(st.integers(0, 400))
def test_held_out_triplets_are_kept_apart_from_those_trained_on(count: int) -> None:
    split = split_in_blocks(count)
    assert len(split.held_out) >= count / 4 - 1
    assume(len(split.training) > 0 and len(split.held_out) > 0)
    assert np.abs(split.training[:, None] - split.held_out[None]).min() > 2


@given(st.integers(12, 400))
def test_footage_that_is_long_enough_has_triplets_for_both(count: int) -> None:
    split = split_in_blocks(count)
    assert len(split.training) >= 4
    assert len(split.held_out) >= 4


@given(st.integers(12, 1000))
def test_a_stretch_trains_on_what_came_first_and_holds_out_what_came_later(count: int) -> None:
    split = split_in_time(count)
    assert split.training[0] == 0 and split.held_out[-1] == count - 1
    assert split.held_out[0] - split.training[-1] > (10 if count >= 154 else 2), "a guard lies between"
    assert (len(split.held_out) >= 120) == (count >= 154)
    assert min(len(split.training), len(split.held_out)) >= 5


def test_psnr_is_that_of_the_textbook() -> None:
    truth = np.full((1, 8, 8, 3), 100, np.uint8)
    assert psnr_db(truth + np.uint8(1), truth)[0] == pytest.approx(48.1308, abs=1e-3)
    assert psnr_db(truth, truth)[0] == pytest.approx(58.92, abs=0.01)
