"""Small footage for the stored-state fixture, made without any module of Sentinel, so that every version can use it.

A camera pans over a board of flat patches under a light that breathes. Flat patches compress well: a baseline keeps
golden frames, and the fixture lives in git.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]

WIDTH, HEIGHT, FPS = 96, 64, 10
_PATCH = 24  # pixels
_PAN_SECONDS = (2.1, 1.3)  # periods across and down; a clip of a few seconds sees the whole pan
_PAN_PIXELS = (20, 12)  # amplitudes; whole pixels, so that patches stay flat
_BREATHING, _BREATHING_SECONDS = 0.04, 1.7  # the light's amplitude and period
_GRAIN_SHARE, _GRAIN_LEVELS = 0.003, 6  # pixels that a sensor's noise reaches, and how far it moves them


def film(count: int, *, seed: int, board: int = 0, width: int = WIDTH, height: int = HEIGHT) -> list[Image]:
    """Return `count` frames (height, width, 3), RGB; another seed is another moment before the same board."""
    patches = np.random.default_rng(board).integers(50, 206, (20, 30, 3), dtype=np.uint8)
    scene = np.repeat(np.repeat(patches, _PATCH, axis=0), _PATCH, axis=1)
    rng = np.random.default_rng(seed)
    begin = rng.uniform(0, 60)
    frames = []
    for number in range(count):
        seconds = begin + number / FPS
        across, down = (
            round(reach * (1 + math.sin(2 * math.pi * seconds / period)))
            for reach, period in zip(_PAN_PIXELS, _PAN_SECONDS, strict=True)
        )
        light = 1 + _BREATHING * math.sin(2 * math.pi * seconds / _BREATHING_SECONDS)
        image = scene[down : down + height, across : across + width] * light
        grainy = rng.random((height, width)) < _GRAIN_SHARE
        image[grainy] += rng.choice((-_GRAIN_LEVELS, _GRAIN_LEVELS), (int(grainy.sum()), 1))
        frames.append(np.clip(image, 0, 255).astype(np.uint8))
    return frames


def write_clip(path: Path, images: Sequence[Image], *, crf: int = 0) -> Path:
    """Encode `images`, a key frame a second, losslessly unless `crf` is above 0.

    What a lossy codec adds would not compress in a baseline.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            "libx264", rate=FPS, options={"crf": str(crf), "preset": "veryfast", "g": str(FPS)}
        )
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, FPS)
        for number, image in enumerate(images):
            picture = av.VideoFrame.from_ndarray(image, format="rgb24")
            picture.pts, picture.time_base = number, Fraction(1, FPS)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def append_note(clip: Path, note: str, path: Path) -> Path:
    """Write `clip` to `path` with a note behind its end: the same frames, another content. Players skip the box."""
    text = note.encode()
    path.write_bytes(clip.read_bytes() + (8 + len(text)).to_bytes(4, "big") + b"free" + text)
    return path


def write_stills(folder: Path, images: Sequence[Image]) -> list[Path]:
    """Write `images` as lossless `000.png`, `001.png`, ... into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:03d}.png" for number in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        assert cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    return paths
