"""Frames of any size are predicted in tiles, and no seam shows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.models.vfi import network
from common.models.vfi.first import starting_model
from common.models.vfi.flow import warp_halfway
from common.models.vfi.model import Interpolator
from common.models.vfi.tiles import TILE, predict_in_tiles, tiles
from common.models.vfi.triplets import TripletArray
from simulation.virtual_camera import film, load_photograph


def scene(width: int, height: int) -> TripletArray:
    """Return a triplet (1, 3, h, w, 3) of a camera that moves."""
    photographs = [load_photograph("coffee.png")]
    frames = list(film(photographs, count=12, fps=10.0, seed=3, width=width, height=height))
    return np.stack(frames[4:7])[None]


@given(
    height=st.integers(1, 90).map(lambda n: 4 * n),
    width=st.integers(1, 90).map(lambda n: 4 * n),
    side=st.integers(1, 30).map(lambda n: 4 * n),
    context=st.integers(0, 10).map(lambda n: 4 * n),
)
def test_tiles_cover_each_pixel_once_with_its_surroundings(height: int, width: int, side: int, context: int) -> None:
    covered = np.zeros((height, width), int)
    frame = np.arange(height * width).reshape(height, width)
    for tile in tiles(height, width, side=side, context=context):
        covered[tile.place] += 1
        read = frame[tile.read]
        assert max(read.shape) <= side + 2 * context
        assert np.array_equal(read[tile.kept], frame[tile.place])
        for (start, stop), length in zip(((s.start, s.stop) for s in tile.place), frame.shape, strict=True):
            assert start % 4 == 0 and (stop % 4 == 0 or stop == length)
    assert (covered == 1).all()


@pytest.mark.parametrize("side", [64, 128])
def test_a_frame_in_tiles_is_the_frame_as_a_whole(side: int) -> None:
    triplet = scene(403, 301)
    # Corrections as large as they can be, and residuals, which the starting weights seldom need.
    wild = [w.copy() for w in starting_model().weights]
    wild[-2] *= 8.0
    for model in (starting_model(), Interpolator(tuple(wild))):
        whole = predicted(model, triplet, side=TILE)
        parts = predicted(model, triplet, side=side)
        difference = np.abs(whole.astype(int) - parts)
        assert difference.max() <= 1, "rounding"
        assert (difference > 0).mean() < 1e-3


def test_with_less_around_a_tile_than_the_network_reaches_seams_would_show() -> None:
    triplet = scene(403, 301)
    whole = predicted(starting_model(), triplet, side=TILE)
    parts = predicted(starting_model(), triplet, side=64, context=0)
    assert np.abs(whole.astype(int) - parts).max() > 3


@pytest.mark.parametrize(("width", "height"), [(33, 41), (161, 32), (254, 142)])
def test_frames_of_any_size_are_predicted(width: int, height: int) -> None:
    triplet = scene(403, 301)[:, :, :height, :width]
    frames = starting_model().predict(triplet)
    assert frames.shape == (1, height, width, 3)
    mean = warp_halfway(triplet).refined[0].astype(float).mean(axis=0)
    assert np.abs(frames[0] - mean).mean() < 6.0, "grey levels: it is a picture of the scene"


def predicted(model: Interpolator, triplet: TripletArray, *, side: int, context: int = network.CONTEXT) -> TripletArray:
    import tensorflow as tf

    warped = warp_halfway(triplet)
    weights = tuple(tf.constant(w) for w in model.weights)
    return predict_in_tiles(
        lambda *arrays: network.predictor(0)(weights, *(tf.constant(array) for array in arrays)).numpy(),
        triplet[:, ::2],
        warped,
        multiple=network.MULTIPLE,
        context=context,
        side=side,
    )
