"""Synthetic days: footage of a few seconds as the same camera would show it at any hour of any day.

Each frame of a real clip is taken as what the scene looks like at noon, and given
what the hour and the day do to a picture:

- light: the sun's height, clouds that come and go, an exposure that follows in part,
- colour temperature: warmer when the sun is low, other on every day,
- sensor noise: more gain in the dark,
- a shadow with a soft edge that moves over the picture with the sun,
- haze, and an exposure that is a little off whenever it is measured anew,
- by night infra-red light: grey, brighter in the middle, noisy.

Equal seeds give equal days. What a day shows is drawn from the seed and the day's number
alone, so any burst of it can be rendered by itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from common.features import FloatArray, Image
from simulation.pixels import to_image

SUNRISE, SUNSET = 5.0, 21.0  # hours, by the camera's clock
_TWILIGHT_HOURS = 0.75  # after sunrise and before sunset, in which infra-red light is still needed
_DUSK_LIGHT = 0.38  # of the light at noon, which the exposure has made up for as far as it can
# Standard deviations of log light, of a day and of its clouds; together 0.05, as of a public webcam over eight days.
_CLOUD_DAY, _CLOUD_HOUR = 0.045, 0.025
_WARM = 0.07  # log of red over green when the sun is low, and minus that of blue
_COLOUR_DAY = 0.008  # standard deviation of the log balances from day to day
_HAZE_DAY = 0.02  # mean share of haze, drawn per day
_HAZE_LEVEL = 190.0  # grey levels
_EXPOSURE_BURST, _EXPOSURE_FRAME = 0.015, 0.004  # standard deviations of the log gain
_NOISE_NOON, _NOISE_DUSK, _NOISE_NIGHT = 1.0, 2.5, 3.5  # grey levels
_SHADOW = 0.35  # share of the light that a shadow takes at noon on a clear day
_SHADOW_WIDTH = 0.3  # of the picture
_NIGHT_LIGHT, _VIGNETTE = 0.5, 0.55
_GRAIN_SIDE = 64  # pixels by which one stored picture of noise is shifted, so that frames differ
_SEED_PREFIX = 0xDA
SYNTHESIS_VERSION = 1
"""Increase it with any change of what is rendered: features that were cached before are then made anew."""


@dataclass(frozen=True)
class Light:
    """What one moment does to a picture.

    Attributes
    ----------
    gain : of all channels
    red, blue : gains of these channels beside green
    haze : share of haze, 0 to 1
    noise : standard deviation, grey levels
    shadow : share of the light that the shadow takes
    shadow_at : where its middle is, as a share of the width
    infrared : whether the camera sees by infra-red light
    """

    gain: float
    red: float
    blue: float
    haze: float
    noise: float
    shadow: float
    shadow_at: float
    infrared: bool


def light_at(day: int, hour: float, seed: int = 0) -> Light:
    """Return the light of an hour (0 to 24, by the camera's clock) of a day."""
    rng = _random(seed, day)
    cloud, clearness = rng.normal(0, _CLOUD_DAY), rng.uniform(0.3, 1.0)
    red_day, blue_day = rng.normal(0, _COLOUR_DAY, 2)
    haze = rng.uniform(0, 2 * _HAZE_DAY)
    phases = rng.uniform(0, 2 * math.pi, 3)
    drift = sum(
        math.sin(phase + 2 * math.pi * hour / period) for phase, period in zip(phases, (1.7, 3.1, 5.3), strict=True)
    )
    drift *= _CLOUD_HOUR * math.sqrt(2 / 3)
    exposure = float(_random(seed, day, round(hour * 60)).normal(0, _EXPOSURE_BURST))
    if not SUNRISE + _TWILIGHT_HOURS <= hour <= SUNSET - _TWILIGHT_HOURS:
        return Light(_NIGHT_LIGHT * math.exp(exposure), 1.0, 1.0, haze / 2, _NOISE_NIGHT, 0.0, 0.0, True)
    height = math.sin(math.pi * (hour - SUNRISE) / (SUNSET - SUNRISE))
    low = (1 - height) ** 2
    gain = math.exp(math.log(_DUSK_LIGHT) * low + cloud + drift + exposure)
    return Light(
        gain=gain,
        red=math.exp(_WARM * low + red_day),
        blue=math.exp(-_WARM * low + blue_day),
        haze=haze,
        noise=_NOISE_NOON + (_NOISE_DUSK - _NOISE_NOON) * low,
        shadow=_SHADOW * clearness * height,
        shadow_at=1.2 - 1.4 * (hour - SUNRISE) / (SUNSET - SUNRISE),
        infrared=False,
    )


def render(frames: Sequence[Image], *, day: int, hour: float, seed: int = 0) -> Iterator[Image]:
    """Yield frames of a clip as the camera would show them at an hour of a day.

    Parameters
    ----------
    frames : each (height, width, 3) uint8, RGB, of one size; not modified
    day : from 0
    hour : 0 to 24, by the camera's clock
    """
    rng = _random(seed, day, round(hour * 3600), 1)
    return expose(frames, light_at(day, hour, seed), rng, seed)


def expose(frames: Sequence[Image], light: Light, rng: np.random.Generator, seed: int = 0) -> Iterator[Image]:
    """Yield frames of a clip as the camera would show them in a light; `rng` draws exposures and noise."""
    height, width = frames[0].shape[:2]
    field = _field(height, width, light)
    grain = _grain(height, width, seed)
    for frame in frames:
        picture = _grey(frame) if light.infrared else frame.astype(np.float32)
        picture *= field * np.float32(math.exp(rng.normal(0, _EXPOSURE_FRAME)))
        picture += np.float32(_HAZE_LEVEL * light.haze)
        down, across = rng.integers(0, _GRAIN_SIDE, 2)
        noise = grain[down : down + height, across : across + width]
        picture += (noise[:, :, :1] if light.infrared else noise) * np.float32(light.noise)
        yield to_image(picture)


def _field(height: int, width: int, light: Light) -> FloatArray:
    """Return the (height, width, 3) gains of all pixels."""
    across = np.linspace(0, 1, width, dtype=np.float32)[None, :]
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    if light.infrared:
        from_middle = np.square(across - 0.5) + np.square(down - 0.5)
        plane = light.gain * (1.2 - _VIGNETTE * 2 * from_middle)
    else:
        distance = np.abs(across + 0.15 * down - light.shadow_at) / _SHADOW_WIDTH
        plane = light.gain * (1 - light.shadow * np.clip(1.5 - 1.5 * distance, 0, 1))
    gains = np.array([light.red, 1.0, light.blue], np.float32) * (1 - light.haze)
    return np.asarray(plane[:, :, None] * gains, np.float32)


def _grey(frame: Image) -> FloatArray:
    luma = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return np.repeat(luma[:, :, None], 3, axis=2)


@lru_cache(maxsize=2)
def _grain(height: int, width: int, seed: int) -> FloatArray:
    """Return noise of unit variance, a little larger than a frame."""
    shape = (height + _GRAIN_SIDE, width + _GRAIN_SIDE, 3)
    return _random(seed).standard_normal(shape, np.float32)


def _random(*seeds: int) -> np.random.Generator:
    return np.random.default_rng((_SEED_PREFIX, *seeds))
