"""Footage for `benchmarks.blinding`: the parts of a clip as files of one camera, clean and with faults."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from common.baselines.build import build_baseline
from common.baselines.storage import StoredBaseline, load_baseline
from common.contracts.batches import SourceKind
from common.contracts.policy import Policy
from common.drift.conditions import frames_needed
from common.errors import BadSource
from common.extraction import Extractor
from common.features import FeatureBlock, Image
from common.modalities.video.decode import probe, sampled_frames
from common.modalities.video.encode import write_video
from common.models.material import FEWEST_HELD_OUT
from common.settings import Settings
from simulation.faults import Fault, sabotage_frames

BASELINE = "golden"
QUARTERS = {"third": (0.5, 0.75), "last": (0.75, 1.0)}
"""Parts of a clip, as shares of it: faults are shown on the third quarter, and judged after healing on the last."""

CLEAN, RANDOM_PIXELS, SHUFFLED, SHUFFLED_NOISE = "clean", "random_pixels", "shuffled_frames", "shuffled_noise"
NO_SEVERITY = 0
"""The severity of a fault that has none."""

_NOISE_SEVERITY = 3
_SEED = 7
_FORMAT = 2  # of the cache: raise it when the files or their features would be others
_SPARE_EXAMPLES = 70  # beside those held out: some to train on, the gap between them, and those set aside at cuts
_SPARE_SHARE = 1.3  # of the sampled frames that a condition needs
_LAST_WINDOWS = 1.75  # windows of footage to judge after healing: with the usual stride, four verdicts


@dataclass(frozen=True)
class Damage:
    """What a part of a clip is shown with: a fault at a severity (`NO_SEVERITY` if it has none), or `CLEAN`.

    Attributes
    ----------
    seed : of what is random in it
    """

    fault: str
    severity: int
    seed: int = _SEED

    @property
    def without_noise(self) -> Damage:
        """The same without the noise that a model may be trained on."""
        return replace(self, fault=SHUFFLED) if self.fault == SHUFFLED_NOISE else self

    def __str__(self) -> str:
        return f"{self.fault} {self.severity}" if self.severity != NO_SEVERITY else self.fault


NOISE = Damage(Fault.NOISE, _NOISE_SEVERITY)
"""What a model is trained on."""


def forbidden(severities: Sequence[int]) -> list[Damage]:
    """Return every fault that the shipped policy trains on at no severity, and footage that is no footage."""
    faults = [fault for fault in Fault if fault.cause is not None and not Policy().of(fault.cause).trains]
    return [Damage(fault, severity) for fault in faults for severity in severities] + [
        Damage(kind, NO_SEVERITY) for kind in (RANDOM_PIXELS, SHUFFLED, SHUFFLED_NOISE)
    ]


def damaged(images: Sequence[Image], damage: Damage, part: str) -> Iterator[Image]:
    """Yield the images with a fault; side and direction of a fault are the same in every part, noise is not."""
    numbers = np.random.default_rng([damage.seed, *part.encode()])
    if damage.fault == CLEAN:
        yield from images
        return
    if damage.fault == RANDOM_PIXELS:
        for image in images:
            yield numbers.integers(0, 256, image.shape, np.uint8)
        return
    if damage.fault in {SHUFFLED, SHUFFLED_NOISE}:
        images = [images[number] for number in numbers.permutation(len(images))]
        if damage.fault == SHUFFLED:
            yield from images
            return
        damage = replace(NOISE, seed=damage.seed)
    own = int(numbers.integers(1 << 30)) if damage.fault == Fault.NOISE else damage.seed
    yield from sabotage_frames(images, Fault(damage.fault), damage.severity, own)


class Footage:
    """The parts of one clip, at most `width` pixels wide; files and features are kept in a folder of their own.

    A quarter that is too short for a condition is shown forwards and backwards until it is long enough: what moves
    goes on moving, and there is no cut.

    Parameters
    ----------
    shown : fewest frames of the third quarter

    Raises
    ------
    BaselineTooShort
        If the first half is too short for a baseline.
    BadSource
        If the clip cannot be read, or a quarter of it holds fewer than two frames.
    """

    def __init__(
        self,
        clip: Path,
        extractor: Extractor,
        settings: Settings,
        cache_dir: Path,
        width: int,
        shown: int = FEWEST_HELD_OUT + _SPARE_EXAMPLES,
    ) -> None:
        self._clip, self._extractor, self._width, self._shown = clip, extractor, width, shown
        self._info = probe(clip, SourceKind.RECORDING, extractor.limits)
        made_by = f"{_FORMAT} {width} {shown}".encode() + extractor.feature_spec(settings.sample_fps).digest("")
        content = hashlib.blake2b(clip.read_bytes() + made_by, digest_size=8).hexdigest()
        self.folder = (cache_dir / f"blinding-{clip.stem}-{content}").resolve()
        self.golden = self._baseline(settings)
        self._images = cache(self._read)

    @property
    def baselines_dir(self) -> Path:
        return self.folder / "baselines"

    def part(self, quarter: str, damage: Damage) -> FeatureBlock:
        """Return the features of a quarter with a fault, whose only source is the file that was written of it."""
        path = self.folder / f"{quarter}-{damage.fault}-{damage.severity}-{damage.seed}.mp4"
        stored = path.with_suffix(".bin")
        if not (stored.exists() and path.exists()):
            write_video(path, damaged(self._images(quarter), damage, quarter), self._info.fps)
            fps = self.golden.baseline.feature_spec.sample_fps
            block = self._extractor.extract(path, SourceKind.RECORDING, uri=str(path), sample_fps=fps)
            stored.write_bytes(block.to_bytes())
        return FeatureBlock.from_bytes(stored.read_bytes())

    def _baseline(self, settings: Settings) -> StoredBaseline:
        folder = self.baselines_dir / BASELINE
        if not folder.exists():
            path = self.folder / "golden.mp4"
            write_video(path, self._scaled(0, self._info.frames // 2), self._info.fps)
            build_baseline([path], BASELINE, folder, self._extractor, settings, _Quiet())
        return load_baseline(folder)

    def _read(self, quarter: str) -> list[Image]:
        start, stop = (int(share * self._info.frames) for share in QUARTERS[quarter])
        images = list(self._scaled(start, stop))
        if len(images) < 2:
            raise BadSource(f"{self._clip}: a quarter of it holds {len(images)} frames, two are needed")
        there_and_back = [*images, *images[-2:0:-1]]
        return [there_and_back[number % len(there_and_back)] for number in range(self._frames(quarter))]

    def _frames(self, quarter: str) -> int:
        """Return how many frames a quarter is made to hold."""
        rule, fps = self.golden.baseline.rule, self.golden.baseline.feature_spec.sample_fps
        each = self._info.fps / fps if fps else 1.0
        if quarter == "last":
            return math.ceil(_LAST_WINDOWS * rule.frames * each) + 1
        return max(self._shown, math.ceil(_SPARE_SHARE * frames_needed(rule.frames) * each))

    def _scaled(self, start: int, stop: int) -> Iterator[Image]:
        limits = self._extractor.limits
        for frame in sampled_frames(
            self._clip, SourceKind.RECORDING, sample_fps=None, start=start, stop=stop, limits=limits
        ):
            height, width = frame.image.shape[:2]
            share = min(1.0, self._width / width)
            size = (int(width * share) // 2 * 2, int(height * share) // 2 * 2)
            yield np.asarray(cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA), np.uint8)


def joined(*parts: FeatureBlock) -> tuple[FeatureBlock, list[range]]:
    """Return the parts as one piece of footage, and which of its frames come from each part."""
    edges = np.cumsum([0, *(len(part) for part in parts)]).tolist()
    return FeatureBlock.concatenate(parts), [range(start, stop) for start, stop in pairwise(edges)]


class _Quiet:
    """Shows no progress of a build."""

    @contextmanager
    def source(self, name: str, frames: int) -> Iterator[_Quiet]:
        yield self

    def advance(self, frames: int) -> None:
        pass

    def say(self, text: str) -> None:
        pass
