"""A model on real clips that it was not trained on: its first champion, and what healing gains and forgets.

The first half of each clip is golden: the first champion is fitted to a part of it, and the rest measures. The second
half is drifted: the earlier part trains, the later one measures, as in a retraining. Triplets are those that a
retraining reads. The seed chooses what is trained on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.contracts.batches import SourceKind
from common.features import FloatArray
from common.modalities.video.decode import probe, sampled_frames
from common.models.vfi.kind import InterpolationKind
from common.models.vfi.model import Interpolator
from common.models.vfi.triplets import TripletArray, collect_triplets, within_shots
from common.settings import Settings
from common.sources.limits import Limits
from simulation.faults import Fault, sabotage_frames

DRIFTS = ((Fault.NOISE, 3), (Fault.LOW_LIGHT, 3), (Fault.NOISE, 2))
"""Noise of standard deviation 15, a gain of 0.4, and noise of 8 grey levels."""

_GOLDEN = 48  # triplets of the first half, as many as `baseline build` keeps of a clip
_DRIFTED = 300  # most triplets of the second half, as a retraining reads


@dataclass(frozen=True, eq=False)
class Clip:
    """Triplets of the first half of a clip, and of the second."""

    name: str
    golden: TripletArray
    later: TripletArray


@dataclass(frozen=True)
class Healed:
    """What one retraining did to a champion, mean dB PSNR on held-out triplets.

    Attributes
    ----------
    before, after : gain over DIS on the drifted footage, of the champion and of the challenger
    golden : gain of the challenger over the champion on golden footage
    steps, seconds : of the training
    """

    before: float
    after: float
    golden: float
    steps: int
    seconds: float


def read_clip(path: Path, most: int = _DRIFTED) -> Clip:
    """Return the triplets of the video at `path`, at most `most` of its second half.

    Raises `BadSource` if it cannot be read.
    """
    info = probe(path, SourceKind.RECORDING, Limits())
    half = info.frames // 2

    def triplets(start: int, stop: int, most: int) -> TripletArray:
        frames = sampled_frames(path, SourceKind.RECORDING, sample_fps=None, start=start, stop=stop, limits=Limits())
        images = (frame.image for frame in frames)
        return within_shots(collect_triplets(images, most, expected_frames=stop - start))

    return Clip(path.stem, triplets(0, half, _GOLDEN), triplets(half, info.frames, most))


def drifted(triplets: TripletArray, fault: Fault, severity: int) -> TripletArray:
    """Return triplets (n, 3, h, w, 3) with a fault in each frame, the hidden ones too, as a camera would send them."""
    count, frames = triplets.shape[:2]
    flat = triplets.reshape(count * frames, *triplets.shape[2:])
    return np.stack(list(sabotage_frames(flat, fault, severity))).reshape(triplets.shape)


def gains(kind: InterpolationKind, models: Sequence[Interpolator], triplets: TripletArray) -> FloatArray:
    """Return the gain over DIS (p, n) of p models of a kind on n triplets, dB PSNR."""
    *rows, flow = kind.score([*models, kind.references()["dis"]], triplets)
    return np.asarray(np.asarray(rows) - flow, np.float32)


def first_champions(kind: InterpolationKind, clip: Clip, seeds: Sequence[int]) -> Iterator[Interpolator]:
    """Yield the first champion of a clip's camera for each seed."""
    training = clip.golden[kind.split_golden(len(clip.golden)).training]
    for seed in seeds:
        yield kind.first_model(training, steps=Settings().first_steps, seed=seed)


def heal(
    kind: InterpolationKind,
    clip: Clip,
    champion: Interpolator,
    fault: Fault,
    severity: int,
    seed: int,
    settings: Settings,
) -> Healed:
    """Retrain a champion of a kind on the drifted second half of a clip, and measure."""
    golden = kind.split_golden(len(clip.golden))
    split = kind.split_stretch(len(clip.later))
    footage = drifted(clip.later, fault, severity)
    challenger = kind.trainer().fine_tune(
        champion,
        footage[split.training],
        clip.golden[golden.training],
        steps=settings.retrain_steps,
        seconds=float("inf"),
        seed=seed,
        progress=lambda step: None,
    )
    before, after = gains(kind, [champion, challenger.model], footage[split.held_out]).mean(axis=1)
    was, now = gains(kind, [champion, challenger.model], clip.golden[golden.held_out]).mean(axis=1)
    return Healed(float(before), float(after), float(now - was), challenger.steps, challenger.seconds)
