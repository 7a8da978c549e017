"""Synthetic days: the same camera at any hour, the same day from the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from common.features import Image
from simulation.synthetic_day import light_at, render
from tests.footage import scene

FRAMES = scene(4, width=96, height=64)


def shown(day: int, hour: float, seed: int = 0) -> Image:
    return np.stack(list(render(FRAMES, day=day, hour=hour, seed=seed)))


def colour(images: Image) -> float:
    return float(np.mean(images.max(axis=-1).astype(float) - images.min(axis=-1)))


def test_equal_seeds_give_equal_days_and_others_do_not() -> None:
    assert np.array_equal(shown(3, 9.5), shown(3, 9.5))
    assert not np.array_equal(shown(3, 9.5), shown(4, 9.5))
    assert not np.array_equal(shown(3, 9.5), shown(3, 9.5, seed=1))


@pytest.mark.parametrize("day", [0, 1, 2])
def test_noon_is_bright_dusk_is_warm_and_dim_and_night_is_grey(day: int) -> None:
    noon, dusk, night = (shown(day, hour).astype(float) for hour in (13.0, 19.9, 1.0))
    assert noon.mean() > 1.3 * dusk.mean()
    assert dusk[..., 0].mean() / dusk[..., 2].mean() > noon[..., 0].mean() / noon[..., 2].mean()
    assert colour(night) == 0
    assert colour(noon) > 20
    assert [light_at(day, hour).infrared for hour in (13.0, 19.9, 1.0)] == [False, False, True]


def test_the_sensor_is_noisier_in_the_dark() -> None:
    assert light_at(0, 13.0).noise < light_at(0, 19.9).noise < light_at(0, 1.0).noise


def test_one_hour_of_many_days_varies_as_a_webcam_does() -> None:
    levels = [np.log(light_at(day, 12.0).gain) for day in range(200)]
    assert 0.035 < float(np.std(levels)) < 0.075, "a public webcam: 0.05"
