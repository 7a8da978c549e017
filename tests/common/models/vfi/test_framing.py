"""Is it the view of golden footage? Faults of the picture do not change where things stand; a turned camera does."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import pytest

from common.models.vfi.framing import Frames, why_elsewhere
from simulation.faults import Fault, sabotage_frames
from simulation.virtual_camera import SCENES, load_photograph

WIDTH, HEIGHT = 384, 216


@cache
def footage(seed: int, *, count: int = 48, scene: int = 0, right: int = 0, degrees: float = 0.0) -> Frames:
    """Frames (count, h, w, 3) of a fixed camera before which something passes; `right` and `degrees` turn it."""
    numbers = np.random.default_rng(seed)
    photograph = cv2.resize(load_photograph(SCENES[scene]), (WIDTH + 160, HEIGHT + 90), interpolation=cv2.INTER_AREA)
    turn = cv2.getRotationMatrix2D((photograph.shape[1] / 2, photograph.shape[0] / 2), degrees, 1.0)
    photograph = cv2.warpAffine(photograph, turn, photograph.shape[1::-1])
    view = photograph[45 : 45 + HEIGHT, 80 + right : 80 + right + WIDTH]
    frames = np.repeat(view[None], count, axis=0).copy()
    for place, frame in enumerate(frames):
        left = (seed * 37 + place * 9) % (WIDTH - 60)
        frame[120:190, left : left + 60] = (30, 60, 90)
    grain = numbers.normal(0.0, 2.0, frames.shape)
    footage = np.clip(np.rint(frames + grain), 0, 255).astype(np.uint8)
    footage.flags.writeable = False  # all tests share it
    return footage


GOLDEN = footage(1)


@pytest.mark.parametrize("scene", [0])
def test_later_footage_of_a_fixed_camera_shows_its_view(scene: int) -> None:
    assert why_elsewhere(footage(2, count=200, scene=scene), footage(1, scene=scene)) is None


@pytest.mark.parametrize(
    "fault", [Fault.NOISE, Fault.BLUR, Fault.LOW_LIGHT, Fault.COMPRESSION, Fault.COLOUR_CAST, Fault.LOW_CONTRAST]
)
@pytest.mark.parametrize("severity", [1, 3])
def test_so_does_footage_with_a_fault_that_may_be_learned(fault: Fault, severity: int) -> None:
    frames = np.stack(list(sabotage_frames(iter(footage(2, count=64)), fault, severity)))
    assert why_elsewhere(frames, GOLDEN) is None


@pytest.mark.parametrize("right", [8, 20, 60])
@pytest.mark.parametrize("fault", [None, Fault.NOISE, Fault.LOW_LIGHT])
def test_a_camera_that_was_turned_by_a_fiftieth_of_the_width_does_not(right: int, fault: Fault | None) -> None:
    frames = footage(2, count=64, right=right)
    if fault is not None:
        frames = np.stack(list(sabotage_frames(iter(frames), fault, 3)))
    found = why_elsewhere(frames, GOLDEN)
    assert found is not None
    assert f"{right / WIDTH:.1%} of the width" in found


def test_nor_does_one_that_is_turned_in_the_middle_of_the_footage() -> None:
    found = why_elsewhere(np.concatenate([footage(2, count=60), footage(3, count=20, right=20)]), GOLDEN)
    assert found is not None


def test_another_scene_or_a_picture_upside_down_cannot_be_recognised() -> None:
    for frames in (footage(2)[:, ::-1, ::-1], np.zeros_like(GOLDEN)):
        assert "cannot be found in it" in (why_elsewhere(np.ascontiguousarray(frames), GOLDEN) or "")


def test_footage_may_match_any_clip_of_its_golden_footage() -> None:
    day, night = footage(1), (footage(4) // 4).astype(np.uint8)
    assert why_elsewhere(footage(2), np.concatenate([day, night])) is None
    assert why_elsewhere((footage(5) // 4).astype(np.uint8), np.concatenate([day, night])) is None


def test_a_camera_that_always_moves_has_no_view_to_be_held_to() -> None:
    moving = np.concatenate([footage(1, count=16, right=60 * k - 60) for k in range(3)])
    assert why_elsewhere(footage(2, right=8), moving) is None


def test_a_mast_in_the_wind_is_given_what_its_golden_footage_shows() -> None:
    swaying = np.concatenate([footage(1, count=16, right=3 * k - 3) for k in range(3)])
    assert why_elsewhere(footage(2, right=4), swaying) is None
    assert why_elsewhere(footage(2, right=20), swaying) is not None


def test_what_is_compared_is_left_as_it_was() -> None:
    frames, golden = footage(2).copy(), GOLDEN.copy()
    why_elsewhere(frames, golden)
    np.testing.assert_array_equal(golden, GOLDEN)
    np.testing.assert_array_equal(frames, footage(2))
