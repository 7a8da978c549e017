"""Faults of what lies before the lens, as pure functions; `simulation.faults` says how they are called."""

from __future__ import annotations

import math
from functools import lru_cache

import cv2
import numpy as np

from common.features import FloatArray, Image
from simulation.pixels import to_image

_SEED_PREFIX = 0x1E  # separates these random numbers from those of others who use the same seed
_FOG_LEVEL = 200.0  # grey levels
_NEAREST = 0.05  # of the fog of the farthest part, that of the nearest
_RADIUS = (0.05, 0.11)  # of a drop or a speck, smallest and largest, in shares of the picture's height
_SOFT = 0.35  # of the radius over which its rim fades: it lies far in front of what the lens is focused on
_DROP_BLUR = 0.6  # of its radius: a drop is a lens of its own, and shows the scene out of focus
_DIRT_LEVEL, _DIRT_SHARE = 70.0, 0.6  # grey levels, and how much of the scene a speck of dirt hides
_MOST_SPOTS = 200
_SMALL_HEIGHT = 90  # pixels


def fog(image: Image, share: float, _seed: int, _index: int) -> Image:
    """Mix the frame with light grey: by `share` at its upper edge, where things are far away, by hardly any below.

    Of light that passes through fog, a share that falls exponentially with the distance arrives (Koschmieder, 1924).
    Distance is taken to grow from the lower edge to the upper one.
    """
    density = -math.log1p(-share)
    depth = np.linspace(1.0, _NEAREST, len(image), dtype=np.float32)[:, None, None]
    passed = np.exp(-density * depth)
    return to_image(image * passed + _FOG_LEVEL * (1 - passed))


def soil(image: Image, share: float, seed: int, _index: int) -> Image:
    """Put drops of water and specks of dirt on the lens that cover `share` of the frame, in places that stay."""
    drops, dirt = _spots(image.shape[0], image.shape[1], share, seed)
    soiled = image.astype(np.float32)
    behind_drops = _out_of_focus(image)
    behind_dirt = behind_drops * (1 - _DIRT_SHARE) + _DIRT_LEVEL * _DIRT_SHARE
    soiled += drops * (behind_drops - soiled)
    soiled += dirt * (behind_dirt - soiled)
    return to_image(soiled)


def _out_of_focus(image: Image) -> FloatArray:
    """Return the frame (h, w, 3) as a drop shows it; blurred at a small scale, which is as good and much faster."""
    height, width = image.shape[:2]
    scale = _SMALL_HEIGHT / height
    small = cv2.resize(image, (max(round(width * scale), 1), _SMALL_HEIGHT), interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(small.astype(np.float32), (0, 0), _DROP_BLUR * sum(_RADIUS) / 2 * _SMALL_HEIGHT)
    return np.asarray(cv2.resize(blurred, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


@lru_cache(maxsize=4)
def _spots(height: int, width: int, share: float, seed: int) -> tuple[FloatArray, FloatArray]:
    """Return how much of each pixel lies behind a drop and behind dirt, 0 to 1, each (h, w, 1)."""
    random = np.random.default_rng((_SEED_PREFIX, seed))
    layers = np.zeros((2, height, width), np.float32)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    for number in range(_MOST_SPOTS):
        if layers.max(axis=0).mean() >= share:
            break
        # The last one is as small as what is still missing.
        radius = min(random.uniform(*_RADIUS) * height, math.sqrt(share * height * width / math.pi))
        middle = random.uniform(0, height), random.uniform(0, width)
        rim = (radius - np.hypot(y - middle[0], x - middle[1])) / (_SOFT * radius) + 0.5
        layer = layers[number % 2]
        np.maximum(layer, np.clip(rim, 0, 1), out=layer)
    drops, dirt = layers[..., None]
    return drops, dirt
