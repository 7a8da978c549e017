"""The sensors: each answers to its fault, all are finite, whatever the picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from common.contracts import Image
from common.frames.quality import SENSOR_FLOORS, SENSOR_NAMES, measure


def picture(seed: int = 0) -> Image:
    """A textured picture with edges, soft areas and colour."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(40, 200, (12, 16, 3), dtype=np.uint8)
    smooth = cv2.resize(coarse, (320, 240), interpolation=cv2.INTER_CUBIC)
    fine = cv2.resize(rng.integers(0, 40, (120, 160, 3), dtype=np.uint8), (320, 240), interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.clip(smooth.astype(int) + fine + rng.normal(0, 1, fine.shape), 0, 255), np.uint8)


def reading(image: Image, name: str) -> float:
    return float(measure(image)[SENSOR_NAMES.index(name)])


def change(name: str, image: Image) -> float:
    """How far a sensor moved from the clean picture, in its floors."""
    return (reading(image, name) - reading(picture(), name)) / SENSOR_FLOORS[SENSOR_NAMES.index(name)]


def test_noise_raises_noise() -> None:
    rng = np.random.default_rng(1)
    noisy = np.asarray(np.clip(picture() + rng.normal(0, 8, picture().shape), 0, 255), np.uint8)
    assert change("noise", noisy) > 2


def test_blur_lowers_sharpness() -> None:
    blurred = np.asarray(cv2.GaussianBlur(picture(), (0, 0), 1.2), np.uint8)
    assert change("sharpness", blurred) < -1.5


def test_compression_raises_blockiness() -> None:
    _, data = cv2.imencode(".jpg", picture(), [cv2.IMWRITE_JPEG_QUALITY, 15])
    assert change("blockiness", np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)) > 2


@pytest.mark.parametrize(("gain", "sign"), [(0.6, -1), (1.4, 1)])
def test_light_moves_luma(gain: float, sign: int) -> None:
    assert sign * change("luma", np.asarray(np.clip(picture() * gain, 0, 255), np.uint8)) > 2


def test_a_colour_cast_moves_the_balance() -> None:
    cast = np.asarray(np.clip(picture() * np.array([1.2, 1, 0.8]), 0, 255), np.uint8)
    assert change("red_balance", cast) > 2
    assert change("blue_balance", cast) < -2


def test_a_covered_half_loses_its_structure() -> None:
    covered = picture()
    covered[:, :160] = 30
    assert change("flat_area", covered) > 4


@pytest.mark.parametrize("level", [0, 1, 128, 255])
@pytest.mark.parametrize("size", [(32, 32), (33, 47), (240, 320)])
def test_empty_pictures_give_finite_readings(level: int, size: tuple[int, int]) -> None:
    assert np.isfinite(measure(np.full((*size, 3), level, np.uint8))).all()


@settings(max_examples=30, deadline=None)
@given(arrays(np.uint8, st.tuples(st.integers(32, 60), st.integers(32, 60), st.just(3))))
def test_any_picture_gives_finite_readings(image: Image) -> None:
    values = measure(image)
    assert values.shape == (len(SENSOR_NAMES),)
    assert np.isfinite(values).all()
