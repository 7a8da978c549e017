"""RIFE draws frames of any size, in tiles where they are large, beside what DIS flow finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from common.errors import BadModel
from common.models.rife import engine
from common.models.rife.engine import RifeEngine
from common.models.rife.weights import RIFE_4_0
from common.models.vfi.flow import warp_halfway
from common.models.vfi.triplets import TripletArray
from tests.common.models.rife.builders import drawn, small_tensors
from tests.common.models.rife.conftest import Small
from tests.common.models.vfi.test_trainer import footage


@pytest.fixture(scope="module")
def triplets() -> TripletArray:
    return np.stack([np.stack(list(footage(3, seed=seed))) for seed in range(2)])


def test_what_dis_flow_finds_is_as_without_rife(small: Small, triplets: TripletArray) -> None:
    known, plain = small.kind.design.engine.warp(triplets), warp_halfway(triplets)
    assert np.array_equal(known.plain, plain.plain) and np.array_equal(known.refined, plain.refined)
    assert np.array_equal(known.motion, plain.motion)
    assert known.further.shape == (2, 3, 192, 320, 3) and plain.further.shape == (2, 0, 192, 320, 3)


def test_the_middle_frame_is_not_looked_at(small: Small, triplets: TripletArray) -> None:
    hidden = triplets.copy()
    hidden[:, 1] = 0
    one, other = (small.kind.design.engine.warp(rows).further for rows in (triplets, hidden))
    assert np.array_equal(one, other)


@pytest.mark.parametrize(("height", "width"), [(33, 47), (64, 96), (97, 130)])
def test_frames_of_any_size_are_drawn_as_if_their_edges_went_on(
    small: Small, triplets: TripletArray, height: int, width: int
) -> None:
    part = triplets[:1, :, :height, :width]
    padded = np.pad(part[0, ::2], ((0, 0), (0, -height % 32), (0, -width % 32), (0, 0)), "edge")
    expected = drawn(small_tensors(), padded / 255.0)[:, :height, :width]
    assert np.abs(small.kind.design.engine.warp(part).further[0] - expected).max() < 0.51, "rounding"


def test_a_large_frame_is_drawn_in_tiles_that_fit_together(
    small: Small, triplets: TripletArray, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = small.kind.design.engine.warp(triplets[:1]).further.astype(int)
    monkeypatch.setattr(engine, "SIDE", 128)
    monkeypatch.setattr(engine, "CONTEXT", 64)
    tiled = small.kind.design.engine.warp(triplets[:1]).further
    # The network reaches further than that, so it is about the same, and not the same.
    assert np.abs(tiled - whole).mean() < 1.5, "grey levels"


def test_without_the_weights_the_error_says_how_to_get_them(tmp_path: Path, triplets: TripletArray) -> None:
    with pytest.raises(BadModel, match="`sentinel models fetch rife`"):
        RifeEngine(RIFE_4_0, lambda: tmp_path).warp(triplets)
