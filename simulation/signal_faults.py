"""Faults of a camera's signal, shutter and filter, as pure functions; `simulation.faults` says how they are called."""

from __future__ import annotations

import math
from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

from common.features import Image
from simulation.pixels import to_image

_SEED_PREFIX = 0x51  # separates these random numbers from those of others who use the same seed
_MACROBLOCK = 16  # pixels: what is lost of a frame is lost in whole macroblocks, in the order in which they are sent
_KEY_FRAMES = 20  # frames from one key frame to the next, which ends the damage
_DAMAGE = 3.0  # damaged frames, as a share of all, per root of the share of all macroblocks that is lost
_RUN = 0.25  # mean length of a run of lost macroblocks, in rows of them
# What a decoder shows in place of what was lost: grey where it has nothing to predict from, green where its memory
# holds zeros, and the pixels above drawn down into it where it conceals.
_GREY, _GREEN = (130, 130, 130), (0, 135, 0)
_LOST = ("grey", "smear", "grey", "green", "smear")
_INFRA_RED_TINT = np.array([1.25, 0.85, 1.12])  # by channel: sensors see infra-red in red most, in green least
_CYCLE = 20  # frames


def lose_packets(image: Image, share: float, seed: int, index: int) -> Image:
    """Lose `share` of all macroblocks: in frames up to the next key frame, in which nothing is lost."""
    from_key, stretch = (index + seed) % _KEY_FRAMES, (index + seed) // _KEY_FRAMES
    frames = min(1.0, _DAMAGE * math.sqrt(share))
    if from_key < round(_KEY_FRAMES * (1 - frames)):
        return image
    damaged = image.copy()
    for kind, row, left, right in _runs(image, share / frames, _random(seed, stretch)):
        top, bottom = row * _MACROBLOCK, (row + 1) * _MACROBLOCK
        lost = damaged[top:bottom, left * _MACROBLOCK : right * _MACROBLOCK]
        if kind == "smear":
            lost[:] = damaged[max(top - 1, 0), left * _MACROBLOCK : right * _MACROBLOCK]
        else:
            lost[:] = _GREY if kind == "grey" else _GREEN
    return damaged


def _runs(image: Image, share: float, random: np.random.Generator) -> Iterator[tuple[str, int, int, int]]:
    """Yield runs of lost macroblocks until they are `share` of the frame: what is shown, row, first column, stop."""
    rows, columns = (math.ceil(side / _MACROBLOCK) for side in image.shape[:2])
    lost = np.zeros((rows, columns), np.bool_)
    wanted = max(1, round(share * lost.size))
    while lost.sum() < wanted:
        kind = str(random.choice(_LOST))
        at = int(random.integers(lost.size))
        length = min(1 + int(random.exponential(_RUN * columns)), wanted - int(lost.sum()))
        while length > 0 and at < lost.size:
            row, left = divmod(at, columns)
            right = min(left + length, columns)
            lost[row, left:right] = True
            yield kind, row, left, right
            at, length = at + right - left, length - (right - left)


def pixelate(image: Image, side: float, _seed: int, _index: int) -> Image:
    """Show one pixel of each `side` x `side` in place of all of them: a smaller picture, enlarged without smoothing."""
    height, width = image.shape[:2]
    down, across = (
        # The middle of the block that each pixel's own middle lies in.
        np.minimum(np.rint(((np.arange(length) + 0.5) // side + 0.5) * side - 0.5).astype(int), length - 1)
        for length in (height, width)
    )
    return np.ascontiguousarray(image[down][:, across])


def flicker(image: Image, strength: float, seed: int, index: int) -> Image:
    """Brighten and darken frames in turn, as lamps do whose light pulses faster than the camera's frames."""
    cycles = _random(seed).uniform(0.3, 0.45)  # per frame
    return _scaled(image, 1 + strength * math.sin(2 * math.pi * (cycles * index + _phase(seed))))


def roll_bands(image: Image, strength: float, seed: int, index: int) -> Image:
    """Brighten and darken bands of rows that roll, as a rolling shutter does under such lamps."""
    random = _random(seed)
    count, cycles = random.uniform(2.5, 4.5), random.uniform(0.1, 0.4)  # bands, and bands per frame
    down = np.arange(len(image)) / len(image)
    gains = 1 + strength * np.sin(2 * math.pi * (count * down + cycles * index + _phase(seed)))
    return _scaled(image, gains[:, None, None])


def hunt_exposure(image: Image, strength: float, seed: int, index: int) -> Image:
    """Brighten and darken slowly, as an exposure control does that finds no rest."""
    period = _random(seed).uniform(14, 28)  # frames
    return _scaled(image, 1 + strength * math.sin(2 * math.pi * (index / period + _phase(seed))))


def infra_red(image: Image, share: float, _seed: int, _index: int) -> Image:
    """Mix the frame with what a camera sees whose infra-red filter stays open: light without colour, tinted pink."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)[..., None] * _INFRA_RED_TINT
    return to_image(image * (1 - share) + grey * share)


def mirror(image: Image, share: float, seed: int, index: int) -> Image:
    """Flip `share` of every twenty frames; the seed selects the axis, or both."""
    if (index + seed) % _CYCLE >= share * _CYCLE:
        return image
    return np.asarray(cv2.flip(image, int(_random(seed).integers(-1, 2))), np.uint8)


def rotate(image: Image, degrees: float, seed: int, _index: int) -> Image:
    """Rotate the frame about its centre; the seed selects the direction. Corners are filled with a mirror image."""
    height, width = image.shape[:2]
    turned = degrees if _random(seed).integers(2) else -degrees
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), turned, 1.0)
    rotated = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(rotated, np.uint8)


def _random(*seeds: int) -> np.random.Generator:
    return np.random.default_rng((_SEED_PREFIX, *seeds))


def _phase(seed: int) -> float:
    """Return the phase of what repeats, 0 to 1."""
    return float(_random(seed, 1).uniform())


def _scaled(image: Image, gain: float | npt.NDArray[np.float64]) -> Image:
    return to_image(image.astype(np.float32) * np.asarray(gain, np.float32))
