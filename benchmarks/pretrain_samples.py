"""What the starting weights are trained on: triplets cut from a few films whose licences allow it, and drawn ones.

Real samples are windows of real triplets, at several scales and frame distances; windows that move are preferred.
Drawn samples are parts of pictures that move over each other, which shows more occlusion than a few films have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from common.features import FloatArray, Image
from common.models.vfi.design import Engine
from common.models.vfi.flow import Warped
from common.models.vfi.scores import psnr_db
from common.models.vfi.triplets import TripletArray, within_shots
from simulation.virtual_camera import load_photograph


@dataclass(frozen=True)
class Film:
    """A film to train on, and what its licence asks to be said."""

    file: str
    credit: str


FILMS = (
    Film("car-detection.mp4", "Intel IoT DevKit, sample-videos, CC BY 4.0"),
    Film("one-by-one-person-detection.mp4", "Intel IoT DevKit, sample-videos, CC BY 4.0"),
    Film("bigbuckbunny.mp4", "Big Buck Bunny, (c) Blender Foundation, www.bigbuckbunny.org, CC BY 3.0"),
)
PHOTOGRAPHS = ("astronaut.png", "coffee.png", "chelsea.png", "rocket.jpg")  # public domain or CC0, in scikit-image

SIDE = 128
"""Height and width of a sample, pixels."""

_CONTEXT = 208  # side of the window in which the flow is searched: as in a whole frame, motion comes from outside
_SCALES = (1.0, 0.75, 0.5)
_SKIPS = (1, 1, 2, 3)  # frames between those of a triplet
_TRIES = 5  # windows of a triplet, of which the one that moves most is likely taken
_DRAWN_SHARE = 0.35
_LEAST_MOTION = 0.6  # grey levels of mean difference; what stands still teaches nothing
_EASY, _EASY_SHARE = 44.0, 0.25  # dB PSNR of the mean of the refined warps, and share that is taken above it
_NOISY_SHARE, _MOST_NOISE = 0.25, 2.0  # of samples; grey levels: a good sensor, as what is worse is healed
_COMPRESSED_SHARE, _QUALITIES = 0.35, (25, 80)
_BLURRED_SHARE, _BLUR = 0.35, (0.4, 1.3)  # standard deviation, pixels: a lens, or a picture that was enlarged
_GAINS = (0.6, 1.1)
_FAST, _TURN, _GROWTH = 14.0, 0.05, 0.04  # most motion of a layer between frames: pixels, radians, share of its size
_MOST_LAYERS = 3


@dataclass(frozen=True, eq=False)
class Samples:
    """n triplets (n, 3, `SIDE`, `SIDE`, 3) uint8 and their motion."""

    triplets: TripletArray
    warped: Warped


def read_films(folder: Path, frames: int) -> list[list[Image]]:
    """Return the first frames of the films in `folder`, at most `frames` of each."""
    films = []
    for film in FILMS:
        capture = cv2.VideoCapture(str(folder / film.file))
        images: list[Image] = []
        while len(images) < frames and capture.grab():
            images.append(np.asarray(cv2.cvtColor(capture.retrieve()[1], cv2.COLOR_BGR2RGB), np.uint8))
        films.append(images)
    return films


def make_samples(
    films: Sequence[Sequence[Image]], engine: Engine, count: int, seed: int, progress: Callable[[int], None]
) -> Samples:
    """Return `count` samples of the films and of drawn scenes; equal seeds give equal samples."""
    numbers = np.random.Generator(np.random.PCG64(seed))
    pictures = [load_photograph(name) for name in PHOTOGRAPHS]
    margin = (_CONTEXT - SIDE) // 2
    inner = slice(margin, margin + SIDE)
    triplets = np.empty((count, 3, SIDE, SIDE, 3), np.uint8)
    plain, refined = (np.empty((count, 2, SIDE, SIDE, 3), np.uint8) for _ in range(2))
    motion = np.empty((count, SIDE, SIDE, 2), np.float16)
    further = np.empty((count, engine.further, SIDE, SIDE, 3), np.uint8)
    source, done = _sources(films, pictures, numbers), 0
    while done < count:
        whole = _spoiled(next(source), numbers)
        warped = engine.warp(whole[None])
        sample, warps = whole[:, inner, inner], warped.refined[0, :, inner, inner]
        easy = psnr_db(np.rint(warps.mean(axis=0, keepdims=True)).astype(np.uint8), sample[1:2])[0] > _EASY
        if easy and numbers.random() > _EASY_SHARE:
            continue
        triplets[done], refined[done] = sample, warps
        plain[done], motion[done] = warped.plain[0, :, inner, inner], warped.motion[0, inner, inner]
        further[done] = warped.further[0, :, inner, inner]
        done += 1
        progress(done)
    return Samples(triplets, Warped(plain, refined, motion, further))


def _sources(
    films: Sequence[Sequence[Image]], pictures: Sequence[Image], numbers: np.random.Generator
) -> Iterator[TripletArray]:
    """Yield triplets (3, _CONTEXT, _CONTEXT, 3)."""
    while True:
        film = films[int(numbers.integers(len(films)))]
        if numbers.random() < _DRAWN_SHARE:
            stills = [*pictures, film[int(numbers.integers(len(film)))]]
            yield _drawn(stills, numbers)
        elif (triplet := _window(film, numbers)) is not None:
            yield triplet


def _window(film: Sequence[Image], numbers: np.random.Generator) -> TripletArray | None:
    """Return a window of a random triplet; None where there is a cut, or hardly anything moves."""
    skip, scale = int(numbers.choice(_SKIPS)), float(numbers.choice(_SCALES))
    start = int(numbers.integers(len(film) - 2 * skip))
    frames = np.stack(
        [cv2.resize(film[start + i * skip], None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) for i in range(3)]
    ).astype(np.uint8)
    if not len(within_shots(frames[None])):
        return None
    found: list[tuple[float, TripletArray]] = []
    for _ in range(_TRIES):
        top, left = (int(numbers.integers(size - _CONTEXT + 1)) for size in frames.shape[1:3])
        window = frames[:, top : top + _CONTEXT, left : left + _CONTEXT]
        found.append((float(np.abs(window[2].astype(np.int16) - window[0]).mean()), window))
    found.sort(key=lambda row: row[0])
    motion, window = found[-1 if numbers.random() < 0.7 else int(numbers.integers(_TRIES))]
    return window if motion > _LEAST_MOTION else None


def _drawn(stills: Sequence[Image], numbers: np.random.Generator) -> TripletArray:
    """Return a triplet of a still that moves, with parts of other stills that move over it."""
    layers = 1 + int(numbers.integers(_MOST_LAYERS + 1))
    frames = np.zeros((3, _CONTEXT, _CONTEXT, 3), np.float32)
    for number in range(layers):
        still = stills[int(numbers.integers(len(stills)))]
        size = 2 * _CONTEXT
        scale = max(size / min(still.shape[:2]), 0.5)
        still = np.asarray(cv2.resize(still, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
        top, left = (int(numbers.integers(side - size + 1)) for side in still.shape[:2])
        picture = still[top : top + size, left : left + size].astype(np.float32)
        mask = np.ones((size, size), np.float32) if number == 0 else _blob(size, numbers)
        motion = _affine(numbers)
        for i in range(3):
            matrix = motion(i - 1.0)
            seen = cv2.warpAffine(picture, matrix, (_CONTEXT, _CONTEXT), flags=cv2.INTER_LINEAR,
                                  borderMode=cv2.BORDER_REFLECT_101)  # fmt: skip
            share = cv2.warpAffine(mask, matrix, (_CONTEXT, _CONTEXT), flags=cv2.INTER_LINEAR)[..., None]
            frames[i] += (1.0 if number == 0 else share) * (seen - frames[i])
    return np.asarray(np.clip(np.rint(frames), 0, 255), np.uint8)


def _blob(size: int, numbers: np.random.Generator) -> FloatArray:
    """Return a random shape (size, size) with a soft rim: 1 inside, 0 outside."""
    angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    radii = numbers.uniform(0.04, 0.16) * size * numbers.uniform(0.5, 1.5, len(angles))
    centre = size / 2 + numbers.uniform(-0.22, 0.22, 2) * size
    corners = centre + radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    mask = np.zeros((size, size), np.float32)
    cv2.fillPoly(mask, [np.rint(corners).astype(np.int32)], 1.0, lineType=cv2.LINE_AA)
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), numbers.uniform(0.5, 2.0)), np.float32)


def _affine(numbers: np.random.Generator) -> Callable[[float], FloatArray]:
    """Return a function of time that gives a layer's affine map (2, 3) from its still to the window."""
    speed = _FAST * numbers.random(2) ** 2 * numbers.choice((-1, 1), 2)
    turn, growth = numbers.uniform(-_TURN, _TURN) * numbers.random(), numbers.uniform(-_GROWTH, _GROWTH)

    def at(time: float) -> FloatArray:
        scale, angle = 1.0 + growth * time, turn * time
        cos, sin = scale * np.cos(angle), scale * np.sin(angle)
        linear = np.array([[cos, -sin], [sin, cos]])
        shift = _CONTEXT / 2 - linear @ np.array([_CONTEXT, _CONTEXT]) + speed * time
        return np.concatenate([linear, shift[:, None]], axis=1).astype(np.float32)

    return at


def _spoiled(triplet: TripletArray, numbers: np.random.Generator) -> TripletArray:
    """Return a triplet as a camera in worse light, or with compression, would have sent it."""
    frames = triplet.astype(np.float32) * numbers.uniform(*_GAINS)
    if numbers.random() < _BLURRED_SHARE:
        width = numbers.uniform(*_BLUR)
        frames = np.stack([cv2.GaussianBlur(frame, (0, 0), width) for frame in frames])
    if numbers.random() < _NOISY_SHARE:
        frames = frames + numbers.normal(0.0, numbers.uniform(0.0, _MOST_NOISE), frames.shape)
    images = np.asarray(np.clip(np.rint(frames), 0, 255), np.uint8)
    if numbers.random() < _COMPRESSED_SHARE:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(numbers.integers(*_QUALITIES))]
        images = np.stack(
            [
                np.asarray(cv2.imdecode(cv2.imencode(".jpg", im, quality)[1], cv2.IMREAD_COLOR), np.uint8)
                for im in images
            ]
        )
    return images
