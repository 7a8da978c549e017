"""Small grey pictures of a camera, rendered: a still scene, seen from where the camera points, with what passes by."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from common.features import FeatureBlock, FloatArray

WIDTH, HEIGHT = 96, 54
_MARGIN = 40  # pixels of the scene around the picture, so that true content comes into view
_PASSING = (14, 22)  # pixels, height and width


def scene(seed: int = 0) -> FloatArray:
    """Return a scene of boxes and lines, larger than the picture."""
    rng = np.random.default_rng(seed)
    shape = (HEIGHT + 2 * _MARGIN, WIDTH + 2 * _MARGIN)
    canvas = np.full((4 * shape[0], 4 * shape[1]), 90, np.float32)
    for _ in range(90):
        x, y = int(rng.integers(canvas.shape[1])), int(rng.integers(canvas.shape[0]))
        width, height = (int(v) for v in rng.integers(20, 110, 2))
        cv2.rectangle(canvas, (x, y), (x + width, y + height), float(rng.uniform(30, 210)), -1)
    return np.asarray(cv2.resize(canvas, shape[::-1], interpolation=cv2.INTER_AREA), np.float32)


def seen(
    canvas: FloatArray, *, right: float = 0.0, down: float = 0.0, rotation: float = 0.0, zoom: float = 0.0
) -> FloatArray:
    """Return the (h, w) picture of a scene; the picture is shifted by shares of its width, turned by degrees and
    magnified by exp(`zoom`)."""
    middle = ((canvas.shape[1] - 1) / 2, (canvas.shape[0] - 1) / 2)
    matrix = cv2.getRotationMatrix2D(middle, -rotation, float(np.exp(zoom)))
    matrix[:, 2] += right * WIDTH, down * WIDTH
    moved = cv2.warpAffine(canvas, matrix, canvas.shape[::-1], flags=cv2.INTER_LINEAR)
    return np.asarray(moved[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN], np.float32)


def filmed(pictures: Sequence[FloatArray], *, seed: int, noise: float = 2.0) -> FloatArray:
    """Return (n, size) samples of a group of kind VIEW: pictures with noise, and a box that passes by in each."""
    rng = np.random.default_rng(seed)
    samples = []
    for number, picture in enumerate(pictures):
        frame = picture + rng.normal(0, noise, picture.shape)
        x = (number * 7 + seed * 13) % (frame.shape[1] - _PASSING[1])
        frame[20 : 20 + _PASSING[0], x : x + _PASSING[1]] = 20
        grey = np.clip(np.rint(frame), 0, 255)
        samples.append(np.concatenate([[grey.shape[1], grey.shape[0]], grey.ravel()]))
    return np.array(samples, np.float32)


def block(samples: FloatArray) -> FeatureBlock:
    """Return a block with the one group `view`."""
    frames = len(samples)
    return FeatureBlock({"view": samples}, np.arange(frames) / 10.0, ("/a.mp4",), np.zeros(frames, np.int32))
