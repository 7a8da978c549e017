"""Demo footage without a camera: a virtual one that looks at the photographs in scikit-image's wheel.

It tours the photographs round and round, with a pan and a zoom in each, a hand
that shakes, the noise of a sensor and a slow breathing of its exposure. A tour
is short, so any stretch of a recording sees what any other one sees: clean
footage of one seed passes against a baseline from another.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from common.errors import SentinelError
from common.features import FloatArray, Image
from common.modalities.video.encode import write_video

SCENES = ("astronaut.png", "coffee.png", "chelsea.png", "rocket.jpg", "motorcycle_left.png", "motorcycle_right.png")
"""Photographs that lie in the wheel itself; others would be downloaded."""

_SCENE_SECONDS = 1.1  # a tour of six scenes: under seven seconds
_NARROWEST, _WIDEST = 0.78, 0.96  # side of the view, as a share of the largest that fits the photograph
_ZOOM, _PAN = 0.06, 0.12  # most that one visit changes the view's side, and moves it, as shares of the same
_WANDER = (
    0.3  # share of the photograph that views are centred in at first: all of one photograph see much the same of it
)
_SHAKE_PIXELS = 0.7  # of the recording; a steady hand
_SHAKE_MEMORY = 0.8  # of the shake from one frame to the next: a hand swings, it does not jump
_NOISE_LEVELS = 2.0  # a good sensor by daylight
_BREATHING, _BREATHING_SECONDS = 0.03, 5.0  # amplitude and period of the exposure


class NoPhotographs(SentinelError):
    """scikit-image, whose photographs the virtual camera looks at, is not installed."""


@dataclass(frozen=True)
class _Visit:
    """One look at one photograph: the view's centre and scale (source pixels a pixel) at its begin and end."""

    scene: Image
    begin: FloatArray
    end: FloatArray

    def view(self, progress: float) -> FloatArray:
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
    fps : frames a second
    seed : equal seeds give equal footage, others other paths over the same scenes
    scenes : names from `SCENES`, in the order of the tour
    width, height : pixels, even
    title : metadata

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
    """Yield `count` frames (height, width, 3) uint8 of a tour of `photographs`."""
    rng = np.random.default_rng(seed)
    visit_frames = max(2, round(_SCENE_SECONDS * fps))
    shake = np.zeros(2, np.float32)
    phase = rng.uniform(0, 2 * np.pi)
    # Recordings start anywhere in the tour.
    offset = int(rng.integers(visit_frames * len(photographs)))
    visit: _Visit | None = None
    for number in range(offset, offset + count):
        turn, step = divmod(number, visit_frames)
        if visit is None or step == 0:
            visit = _plan(photographs[turn % len(photographs)], width, height, rng)
        shake = _SHAKE_MEMORY * shake + rng.normal(0, _SHAKE_PIXELS * (1 - _SHAKE_MEMORY**2) ** 0.5, 2).astype(
            np.float32
        )
        gain = 1 + _BREATHING * np.sin(phase + 2 * np.pi * number / fps / _BREATHING_SECONDS)
        view = visit.view(step / (visit_frames - 1))
        yield _expose(_look(visit.scene, view, shake, width, height), float(gain), rng)


def _plan(scene: Image, width: int, height: int, rng: np.random.Generator) -> _Visit:
    """Draw the path of a visit that stays inside the photograph, shake included."""
    tall, wide = scene.shape[:2]
    margin = 4 * _SHAKE_PIXELS
    largest = min(wide / (width + 2 * margin), tall / (height + 2 * margin))
    side = rng.uniform(_NARROWEST, _WIDEST)
    sides = np.clip([side, side + rng.uniform(-_ZOOM, _ZOOM)], _NARROWEST, _WIDEST)
    edge = np.array([wide, tall])
    first = edge * (0.5 + _WANDER * rng.uniform(-0.5, 0.5, 2))
    angle = rng.uniform(0, 2 * np.pi)
    second = first + _PAN * min(wide, tall) * np.array([np.cos(angle), np.sin(angle)])
    ends = []
    for share, place in zip(sides, (first, second), strict=True):
        scale = share * largest
        reach = np.array([width / 2 + margin, height / 2 + margin]) * scale
        x, y = np.clip(place, reach, edge - reach)
        ends.append(np.array([x, y, scale], np.float32))
    return _Visit(scene, *ends)


def _look(scene: Image, view: FloatArray, shake: FloatArray, width: int, height: int) -> Image:
    x, y, scale = (float(value) for value in view)
    x, y = x + float(shake[0]) * scale, y + float(shake[1]) * scale
    to_scene = np.array([[scale, 0, x - scale * (width - 1) / 2], [0, scale, y - scale * (height - 1) / 2]], np.float32)
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return np.asarray(
        cv2.warpAffine(scene, to_scene, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT_101), np.uint8
    )


def _expose(image: Image, gain: float, rng: np.random.Generator) -> Image:
    exposed = rng.standard_normal(image.shape, np.float32)
    exposed *= _NOISE_LEVELS
    exposed += image * np.float32(gain)
    return np.clip(np.rint(exposed), 0, 255).astype(np.uint8)


def load_photograph(name: str) -> Image:
    """Return a photograph from the installed wheel. Its package is not imported: that might download."""
    found = importlib.util.find_spec("skimage")
    if found is None or found.origin is None:
        raise NoPhotographs("the virtual camera looks at scikit-image's photographs: pip install '.[demo]'")
    path = Path(found.origin).parent / "data" / name
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise NoPhotographs(f"{path} is missing from this scikit-image: pip install --force-reinstall '.[demo]'")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)
