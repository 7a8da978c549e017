"""Synthetic days of a clip for `benchmarks.days`: rendered once, their features cached.

A burst is `FRAMES` consecutive sampled frames of the clip, from a random place of it, as the camera would
show them at that hour of that day. Five days of a burst every half hour are rendered clean, and the hours
`FAULT_HALVES` of the fourth day with every fault and nuisance.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.workbench import embed_every
from common.backbones import Backbone
from common.contracts.batches import SourceKind
from common.contracts.ids import content_id
from common.drift.bursts import DAY_SECONDS, HOUR_SECONDS
from common.extraction import Extractor
from common.features import FeatureBlock, FloatArray, Image, TimeSource, time_source_code
from common.modalities.video.decode import Frame, sampled_frames
from common.modalities.video.modality import VIDEO
from common.sources.limits import Limits
from simulation.faults import Fault, sabotage_frames
from simulation.synthetic_day import SYNTHESIS_VERSION, expose, light_at, render

FRAMES = 24
"""Frames of a burst and of a window."""
FPS = 5.0
HALVES = 48
"""Bursts of a day."""
LEARNED_DAYS, DAYS = 3, 5
FAULT_DAY = 3
FAULT_HALVES = (1, 10, 12, 17, 23, 28, 34, 40)  # from half past midnight to eight in the evening
FAULT_SEVERITIES = (1, 3)
CREEP_DAYS, CREEP_HALVES = 14, (17, 20, 23, 26, 29, 32)
CREEP_SIGMA = 0.12
"""Pixels of blur that every day adds: severity 1 on the sixth day, severity 2 on the tenth."""
CLOUD_FRAMES, CLOUD_DEPTH, CLOUD_SECONDS = 600, 0.45, 40.0
"""Two minutes under clouds: their depth in log light, and the time from one to the next."""
_CLIP_SECONDS = 60.0
_WIDEST = 640  # pixels; larger clips are scaled down
_EPOCH = 19_676 * DAY_SECONDS  # any midnight
_FAULT_SEED = 7
_FAULT_HOURS = 0.13  # after the clean burst, so that no faulty frame is one that was learned
_BURST_HOUR = 0.1
_CLOUD_HOUR = 12.0
_SAID_EVERY = 50
Change = Callable[[Iterator[Image]], Iterator[Image]]


class Thumbnails:
    """Stands in for a backbone where only faults are looked for: eight by eight pixels of the picture."""

    name, weights_digest, precision = "thumbnails", "", ""
    input_size, output_size, batch, offloaded = 64, 192, FRAMES, False

    def embed(self, images: npt.NDArray[np.uint8]) -> FloatArray:
        small = [cv2.resize(image, (8, 8), interpolation=cv2.INTER_AREA).reshape(-1) for image in images]
        return np.asarray(np.stack(small) / 255, np.float32)


def _gains(image: Image, red: float, green: float, blue: float) -> Image:
    return np.asarray(np.clip(np.rint(image * np.array([red, green, blue])), 0, 255), np.uint8)


def _haze(image: Image, share: float) -> Image:
    return np.asarray(np.clip(np.rint(image * np.float32(1 - share) + np.float32(190 * share)), 0, 255), np.uint8)


def _overlaid(image: Image) -> Image:
    shown = image.copy()
    cv2.putText(shown, "2026-11-29 12:34:56", (8, 22), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (255, 255, 255), 2)
    return np.asarray(shown, np.uint8)


@dataclass(frozen=True)
class SyntheticCamera:
    """The features of one clip's days, rendered by a seed, by the name of the burst."""

    name: str
    seed: int
    blocks: dict[str, FeatureBlock]

    def clean(self, days: Iterable[int], every: int = 1) -> list[FeatureBlock]:
        return [self.blocks[f"clean-{day}-{half}"] for day in days for half in range(0, HALVES, every)]


Embedder: TypeAlias = Backbone | Thumbnails


NUISANCES: dict[str, Callable[[Image], Image]] = {
    "-0.3 EV": lambda image: _gains(image, 0.91, 0.91, 0.91),
    "-0.5 EV": lambda image: _gains(image, 0.86, 0.86, 0.86),
    "+0.3 EV": lambda image: _gains(image, 1.10, 1.10, 1.10),
    "+3% colour temperature": lambda image: _gains(image, 1.015, 1.0, 0.985),
    "+5% colour temperature": lambda image: _gains(image, 1.025, 1.0, 0.975),
    "haze of 10%": lambda image: _haze(image, 0.10),
    "clock overlay": _overlaid,
}
"""What must pass. A third of a stop of the camera's response is about a tenth of the pixel values."""


def load(
    clip: Path, seed: int, cache: Path, backbone: Backbone | Thumbnails, say: Callable[[str], None]
) -> SyntheticCamera:
    """Return the synthetic days of a clip, from the cache where they are in it."""
    digest = hashlib.blake2b(clip.read_bytes(), digest_size=6).hexdigest()
    made_by = content_id(VIDEO.sensors_version, VIDEO.decode_pipeline, SYNTHESIS_VERSION, backbone.weights_digest)[:8]
    folder = cache / f"{clip.stem}-{digest}-{seed}-{backbone.name}-{made_by}"
    folder.mkdir(parents=True, exist_ok=True)
    extractor = Extractor(VIDEO, backbone, Limits(), embed_every=embed_every())  # type: ignore[arg-type]
    for number, planned in enumerate(_plan(clip, seed)):
        path = folder / f"{planned.name}.bin"
        if not path.exists():
            path.write_bytes(_features(extractor, planned, f"{clip.stem}/{planned.name}").to_bytes())
            if number % _SAID_EVERY == 0:
                say(f"{clip.stem}: {planned.name}")
    blocks = {path.stem: FeatureBlock.from_bytes(path.read_bytes()) for path in folder.glob("*.bin")}
    return SyntheticCamera(clip.stem, seed, blocks)


@dataclass(frozen=True)
class _Planned:
    """One burst: its name, when it is, and its frames, made only when they are asked for."""

    name: str
    day: int
    hour: float
    frames: Callable[[], Iterable[Image]]


def _plan(clip: Path, seed: int) -> Iterator[_Planned]:
    """Yield every burst of a clip's days."""
    source: list[Image] = []

    def part(day: int, hour: float) -> list[Image]:
        if not source:
            source.extend(_read(clip))
        at = int(np.random.default_rng((seed, day, int(hour * 60))).integers(0, len(source) - FRAMES + 1))
        return source[at : at + FRAMES]

    def shown(day: int, hour: float, change: Change = iter) -> Callable[[], Iterable[Image]]:
        return lambda: change(render(part(day, hour), day=day, hour=hour, seed=seed))

    for day, half in itertools.product(range(DAYS), range(HALVES)):
        hour = half / 2 + _BURST_HOUR
        yield _Planned(f"clean-{day}-{half}", day, hour, shown(day, hour))
    for half in FAULT_HALVES:
        hour = half / 2 + _BURST_HOUR + _FAULT_HOURS
        for fault, severity in itertools.product(Fault, FAULT_SEVERITIES):
            frames = shown(FAULT_DAY, hour, _with_fault(fault, severity, _FAULT_SEED))
            yield _Planned(f"fault-{fault}-{severity}-{half}", FAULT_DAY, hour, frames)
        for name, change in NUISANCES.items():
            yield _Planned(f"nuisance-{name}-{half}", FAULT_DAY, hour, shown(FAULT_DAY, hour, partial(map, change)))
    for number, (day, half) in enumerate(contaminated()):
        hour, fault = half / 2 + _BURST_HOUR, list(Fault)[number % len(Fault)]
        frames = shown(day, hour, _with_fault(fault, FAULT_SEVERITIES[number % 2], number))
        yield _Planned(f"bad-{day}-{half}", day, hour, frames)
    for day, half in itertools.product(range(CREEP_DAYS), CREEP_HALVES):
        hour = half / 2 + _BURST_HOUR
        yield _Planned(f"creep-{day}-{half}", day, hour, shown(day, hour, partial(_blurred, CREEP_SIGMA * (day + 1))))
    yield _Planned("under-clouds", 0, _CLOUD_HOUR, lambda: _clouded(source or _read(clip), seed))


def _with_fault(fault: Fault, severity: int, seed: int) -> Change:
    return lambda images: sabotage_frames(images, fault, severity, seed)


def contaminated() -> list[tuple[int, int]]:
    """Return the day and the half hour of a tenth of the bursts of the days that are learned."""
    rng = np.random.default_rng(_FAULT_SEED)
    chosen = rng.choice(LEARNED_DAYS * HALVES, LEARNED_DAYS * HALVES // 10, replace=False)
    return [divmod(int(number), HALVES) for number in sorted(chosen)]


def _read(clip: Path) -> list[Image]:
    frames = sampled_frames(
        clip, SourceKind.RECORDING, sample_fps=FPS, start=0, stop=round(FPS * _CLIP_SECONDS), limits=Limits()
    )
    images = [frame.image for frame in frames]
    height, width = images[0].shape[:2]
    scale = min(1.0, _WIDEST / width)
    size = (int(width * scale) // 2 * 2, int(height * scale) // 2 * 2)
    return [np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8) for image in images]


def _features(extractor: Extractor, planned: _Planned, name: str) -> FeatureBlock:
    frames = (Frame.of(image, number, number / FPS) for number, image in enumerate(planned.frames()))
    block = FeatureBlock.concatenate(list(extractor.features(frames, name, FRAMES)))
    taken = _EPOCH + planned.day * DAY_SECONDS + planned.hour * HOUR_SECONDS + block.times
    known_by = np.full(len(block), time_source_code(TimeSource.NAME), np.uint8)
    return replace(block, taken_at=taken, time_source=known_by)


def _blurred(sigma: float, images: Iterable[Image]) -> Iterator[Image]:
    return (np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8) for image in images)


def _clouded(source: Sequence[Image], seed: int) -> Iterator[Image]:
    """Yield half a minute of noon, then two minutes under clouds that come and go.

    The clip is shown forwards and backwards, so that nothing jumps. Clouds dim the light and cool it.
    """
    known = round(30 * FPS)
    turns = itertools.cycle([*range(len(source)), *reversed(range(1, len(source) - 1))])
    sky = light_at(0, _CLOUD_HOUR, seed)
    for number, index in zip(range(known + CLOUD_FRAMES), turns, strict=False):
        phase = 2 * math.pi * max(number - known, 0) / FPS / CLOUD_SECONDS
        gain = math.exp(-CLOUD_DEPTH * (1 - math.cos(phase)) / 2)
        light = replace(
            sky, gain=sky.gain * gain, red=sky.red * (0.98 + 0.02 * gain), blue=sky.blue * (1.04 - 0.04 * gain)
        )
        yield from expose([source[index]], light, np.random.default_rng((seed, number)), seed)
