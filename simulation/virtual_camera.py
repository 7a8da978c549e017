"""A virtual camera: demo footage made from the photographs in scikit-image's wheel.

The camera shows the photographs one after the other, again and again. It pans
and zooms over each one, shakes like a hand-held camera, adds sensor noise, and
its exposure varies slowly. One round takes only seconds, so all parts of a
recording are statistically alike: clean footage of one seed passes against a
baseline of another.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from common.errors import NoPhotographs
from common.features import FloatArray, Image
from common.modalities.video.encode import write_video
from simulation.pixels import to_image

SCENES = ("astronaut.png", "coffee.png", "chelsea.png", "rocket.jpg", "motorcycle_left.png", "motorcycle_right.png")
"""Photographs that the wheel contains; others would be downloaded."""

_SCENE_SECONDS = 1.1  # per photograph, so that a round of six takes less than seven seconds
_NARROWEST, _WIDEST = 0.78, 0.96  # side of the view, as a share of the largest that fits the photograph
_ZOOM, _PAN = 0.06, 0.12  # largest change of the side, and movement, of the view during one shot; shares as above
_START_AREA = 0.3  # share of the photograph in which a shot's view is centred at first; small, so that shots are alike
_SHAKE_PIXELS = 0.7  # standard deviation, pixels of the recording
_SHAKE_CORRELATION = 0.8  # from one frame to the next
_NOISE_LEVELS = 2.0  # standard deviation, grey levels: a good sensor in daylight
_EXPOSURE_AMPLITUDE, _EXPOSURE_SECONDS = 0.03, 5.0  # amplitude, relative, and period of the exposure's variation


@dataclass(frozen=True)
class _Shot:
    """One shot of a photograph.

    Attributes
    ----------
    scene : the photograph
    begin, end : (3,) first and last view: x and y of its centre, and scale in source pixels per pixel
    """

    scene: Image
    begin: FloatArray
    end: FloatArray

    def view(self, progress: float) -> FloatArray:
        """Return the (3,) view at `progress`, 0 to 1."""
        eased = progress * progress * (3 - 2 * progress)  # smoothstep: starts and stops softly
        return self.begin + (self.end - self.begin) * np.float32(eased)


def record(
    path: Path, *, seconds: float, fps: float = 10.0, seed: int = 0, scenes: Sequence[str] = SCENES,
    width: int = 640, height: int = 360, title: str | None = None,
) -> None:  # fmt: skip
    """Record a video at `path`.

    Parameters
    ----------
    seconds : length of the recording
    fps : frames per second
    seed : equal seeds give equal footage, different seeds different shots of the same scenes
    scenes : names from `SCENES`, in the order in which they are shown
    width, height : pixels, even
    title : written to the metadata

    Raises
    ------
    NoPhotographs
        If scikit-image is not installed.
    """
    photographs = [load_photograph(name) for name in scenes]
    images = film(photographs, count=round(seconds * fps), fps=fps, seed=seed, width=width, height=height)
    write_video(path, images, fps, title=title)


def film(
    photographs: Sequence[Image], *, count: int, fps: float, seed: int, width: int, height: int
) -> Iterator[Image]:
    """Yield `count` frames (height, width, 3) uint8, RGB, of shots of `photographs` in turn.

    Parameters
    ----------
    photographs : each (h, w, 3) uint8, RGB
    fps : frames per second
    """
    rng = np.random.default_rng(seed)
    shot_frames = max(2, round(_SCENE_SECONDS * fps))
    shake = np.zeros(2, np.float32)
    shake_step = _SHAKE_PIXELS * (1 - _SHAKE_CORRELATION**2) ** 0.5
    phase = rng.uniform(0, 2 * np.pi)
    # Recordings start at a random place of the round.
    offset = int(rng.integers(shot_frames * len(photographs)))
    shot: _Shot | None = None
    for number in range(offset, offset + count):
        turn, step = divmod(number, shot_frames)
        if shot is None or step == 0:
            shot = _plan(photographs[turn % len(photographs)], width, height, rng)
        shake = _SHAKE_CORRELATION * shake + rng.normal(0, shake_step, 2).astype(np.float32)
        gain = 1 + _EXPOSURE_AMPLITUDE * np.sin(phase + 2 * np.pi * number / fps / _EXPOSURE_SECONDS)
        view = shot.view(step / (shot_frames - 1))
        yield _expose(_project(shot.scene, view, shake, width, height), float(gain), rng)


def _plan(scene: Image, width: int, height: int, rng: np.random.Generator) -> _Shot:
    """Return a random shot whose views stay inside the photograph, shake included."""
    tall, wide = scene.shape[:2]
    margin = 4 * _SHAKE_PIXELS
    largest = min(wide / (width + 2 * margin), tall / (height + 2 * margin))
    side = rng.uniform(_NARROWEST, _WIDEST)
    sides = np.clip([side, side + rng.uniform(-_ZOOM, _ZOOM)], _NARROWEST, _WIDEST)
    edge = np.array([wide, tall])
    first = edge * (0.5 + _START_AREA * rng.uniform(-0.5, 0.5, 2))
    angle = rng.uniform(0, 2 * np.pi)
    second = first + _PAN * min(wide, tall) * np.array([np.cos(angle), np.sin(angle)])
    ends = []
    for share, centre in zip(sides, (first, second), strict=True):
        scale = share * largest
        half_size = np.array([width / 2 + margin, height / 2 + margin]) * scale
        x, y = np.clip(centre, half_size, edge - half_size)
        ends.append(np.array([x, y, scale], np.float32))
    return _Shot(scene, *ends)


def _project(scene: Image, view: FloatArray, shake: FloatArray, width: int, height: int) -> Image:
    """Return what the camera sees of a photograph, (height, width, 3) uint8, without exposure and noise."""
    x, y, scale = (float(value) for value in view)
    x, y = x + float(shake[0]) * scale, y + float(shake[1]) * scale
    to_scene = np.array([[scale, 0, x - scale * (width - 1) / 2], [0, scale, y - scale * (height - 1) / 2]], np.float32)
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return np.asarray(
        cv2.warpAffine(scene, to_scene, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT_101), np.uint8
    )


def _expose(image: Image, gain: float, rng: np.random.Generator) -> Image:
    """Return `image` times `gain`, with sensor noise."""
    exposed = rng.standard_normal(image.shape, np.float32)
    exposed *= _NOISE_LEVELS
    exposed += image * np.float32(gain)
    return to_image(exposed)


def load_photograph(name: str) -> Image:
    """Return a photograph (h, w, 3) uint8, RGB, from the installed wheel.

    scikit-image itself is not imported, because it might download its data.

    Raises
    ------
    NoPhotographs
        If scikit-image is not installed, or lacks the photograph.
    """
    found = importlib.util.find_spec("skimage")
    if found is None or found.origin is None:
        raise NoPhotographs("the virtual camera shows scikit-image's photographs: pip install '.[demo]'")
    path = Path(found.origin).parent / "data" / name
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise NoPhotographs(f"{path} is missing from this scikit-image: pip install --force-reinstall '.[demo]'")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)
