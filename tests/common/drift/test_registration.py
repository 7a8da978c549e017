"""Registration: shift, rotation and zoom are measured as they are, whatever the light."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.drift.registration import UNMOVED, Edges, find, place
from tests.common.drift.scene import WIDTH, scene, seen

SCENE = scene()
STILL = Edges.of(seen(SCENE))


@settings(max_examples=40, deadline=None)
@given(right=st.floats(-0.1, 0.1), down=st.floats(-0.1, 0.1), rotation=st.floats(-4, 4), zoom=st.floats(-0.06, 0.06))
def test_what_moved_a_picture_is_measured_or_its_match_says_that_it_is_not(
    right: float, down: float, rotation: float, zoom: float
) -> None:
    moved = Edges.of(seen(SCENE, right=right, down=down, rotation=rotation, zoom=zoom))
    found = place(STILL, moved, find(STILL, moved))
    if found.match < 0.5:
        return
    assert found.shift == pytest.approx(np.hypot(right, down), abs=0.004)
    assert found.rotation == pytest.approx(rotation, abs=0.4)
    assert found.zoom == pytest.approx(zoom, abs=0.01)
    assert found.match > 0.7


def test_hardly_any_move_is_not_found() -> None:
    numbers = np.random.default_rng(0)
    moves = numbers.uniform(-1, 1, (100, 4)) * (0.1, 0.1, 4, 0.06)
    pictures = [Edges.of(seen(SCENE, right=x, down=y, rotation=turn, zoom=zoom)) for x, y, turn, zoom in moves]
    assert sum(place(STILL, picture, find(STILL, picture)).match > 0.7 for picture in pictures) >= 98


@settings(max_examples=25, deadline=None)
@given(gain=st.floats(0.6, 1.2), fog=st.floats(0, 0.4))
def test_light_and_fog_move_nothing(gain: float, fog: float) -> None:
    lit = Edges.of(np.clip(np.rint(seen(SCENE) * gain * (1 - fog) + 200 * fog), 0, 255))
    found = place(STILL, lit, find(STILL, lit))
    assert found.shift < 0.002
    assert abs(found.rotation) < 0.2
    assert abs(found.zoom) < 0.005


def test_what_does_not_overlap_is_nowhere() -> None:
    away = find(STILL, Edges.of(seen(SCENE)))
    far = type(away)(right=0.95 * WIDTH, down=0.0, response=1.0)
    assert place(STILL, STILL, far).match == -1.0


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_picture_without_anything_in_it_gives_finite_numbers(level: int) -> None:
    empty = Edges.of(np.full((54, 96), level, np.uint8))
    for one, other in ((empty, STILL), (STILL, empty), (empty, empty)):
        found = place(one, other, UNMOVED)
        assert np.isfinite([found.shift, found.rotation, found.zoom, found.match]).all()
        assert found.match < 0.2
