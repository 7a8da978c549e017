"""`make pretrain DATA=folder MODEL=vfi`: makes the starting weights of a model from films whose licences allow it.

The films are those of `pretrain_samples.FILMS`, looked for in DATA; beside them there are drawn scenes. Every other
clip in DATA, and in the folders of --held-out, is not trained on and measures: the gain over DIS on its triplets at
384 x 216. Equal seeds, samples and steps give equal weights up to rounding.

`vfi` begins with random weights. Another model begins with those of `vfi`, and learns what to take of what its own
engine draws, on fewer samples. The mean of the weights before and after forgets less of what `vfi` had learned on more
of them (Wortsman and others: Robust fine-tuning of zero-shot models, CVPR 2022).
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from benchmarks.clips import clips_below
from benchmarks.machine import machine
from benchmarks.pretrain_samples import FILMS, Samples, make_samples, read_films
from common.contracts.batches import SourceKind
from common.errors import BadSource
from common.models.kinds import load_kind
from common.models.protocols import TrainingProgress
from common.models.vfi.design import DESIGN, Design
from common.models.vfi.first import starting_model
from common.models.vfi.footage import golden_replay
from common.models.vfi.kind import InterpolationKind
from common.models.vfi.model import Interpolator
from common.models.vfi.training import Pool, Run
from common.models.vfi.triplets import within_shots
from common.sources.limits import Limits

_FRAMES = 400  # of each film
_DECAY = 0.99  # of the exponential average: about the last 100 steps
_BATCH = 12
_CROP = (96, 128)  # pixels
_CHECKED = 160  # samples that are not trained on: the weights that are best on them are kept
_REPORT_EVERY = 100


@dataclass(frozen=True)
class _Extent:
    """How much is trained: samples, steps, and the learning rate."""

    samples: int
    steps: int
    rate: float


_FROM_NOTHING = _Extent(2400, 1500, 2e-3)
_FROM_VFI = _Extent(640, 600, 2e-3)


def main() -> None:
    arguments = _arguments()
    print(machine())
    cv2.setNumThreads(arguments.threads)
    limit_threads(arguments.threads)
    design = _kind(arguments.model).design
    extent = _FROM_NOTHING if design is DESIGN else _FROM_VFI
    if arguments.samples:
        extent = replace(extent, samples=arguments.samples)
    if arguments.steps:
        extent = replace(extent, steps=arguments.steps)
    model = _trained(design, arguments.data, extent, arguments.seed)
    out = arguments.out or design.starting
    _save(model, out)
    for folder in [arguments.data, *arguments.held_out]:
        measure(_kind(arguments.model), model, folder)
    size = sum(path.stat().st_size for path in out.iterdir())
    print(f"saved in {out}, {size / 1000:.0f} kB, digest {model.digest[:12]}")


def _save(model: Interpolator, folder: Path) -> None:
    """Write the weights; what is said there of their licences stays."""
    licences = folder / "LICENCES.md"
    said = licences.read_bytes() if licences.is_file() else b""
    model.save(folder)
    if said:
        licences.write_bytes(said)


def _kind(name: str) -> InterpolationKind:
    kind = load_kind(name)
    if not isinstance(kind, InterpolationKind):
        raise SystemExit(f"model {name} interpolates no frames")
    return kind


def _trained(design: Design, data: Path, extent: _Extent, seed: int) -> Interpolator:
    from common.models.vfi.network import new_weights, widened

    began = time.monotonic()

    def made(number: int) -> None:
        if number % _REPORT_EVERY == 0:
            print(f"\rsample {number} of {extent.samples}, {time.monotonic() - began:.0f} s", end="", flush=True)

    for film in FILMS:
        if not (data / film.file).is_file():
            raise SystemExit(f"{data} lacks {film.file} ({film.credit}): the weights are made from it")
    samples = make_samples(read_films(data, _FRAMES), design.engine, extent.samples, seed, made)
    print()
    first = new_weights(seed) if design is DESIGN else widened(starting_model().weights, design.engine.further)
    run = Run(
        first,
        [(_pool(samples, slice(_CHECKED, None)), _BATCH)],
        [(_pool(samples, slice(_CHECKED)), 1.0)],
        crop=_CROP,
        rate=extent.rate,
        steps=extent.steps,
        decay=_DECAY,
        seed=seed,
        patience=extent.steps,
        checked=_CHECKED,
    )

    def trained(step: TrainingProgress) -> None:
        if step.step % _REPORT_EVERY == 0:
            print(
                f"\rstep {step.step} of {extent.steps}, {step.seconds:.0f} s, {-step.loss:.2f} dB", end="", flush=True
            )

    run.take_steps(float("inf"), trained)
    print()
    if design is DESIGN:
        return Interpolator(run.best)
    return Interpolator(
        tuple(np.float32(0.5) * (before + after) for before, after in zip(first, run.best, strict=True)), design
    )


def _pool(samples: Samples, rows: slice) -> Pool:
    return Pool(samples.triplets[rows], samples.warped[rows])


def measure(kind: InterpolationKind, model: Interpolator, folder: Path) -> None:
    """Print the gain over DIS on the clips in `folder` that were not trained on."""
    trained_on = {film.file for film in FILMS}
    gains = []
    for clip in clips_below(folder):
        if clip.name in trained_on:
            continue
        try:
            triplets = within_shots(golden_replay(clip, SourceKind.RECORDING, Limits()))
        except BadSource as error:
            print(f"{clip.name}: {error}")
            continue
        fitted, average, flow = kind.score([model, *kind.references().values()], triplets)
        gains.append(float(np.mean(fitted - flow)))
        deviation = float(np.std(fitted - flow)) / np.sqrt(len(triplets))
        print(
            f"{clip.name}: {len(triplets)} triplets, average {average.mean():.2f}, DIS {flow.mean():.2f}, "
            f"model {fitted.mean():.2f} dB: {gains[-1]:+.3f} (standard error {deviation:.3f})",
            flush=True,
        )
    if gains:
        figures = f"mean of {len(gains)} held-out clips {np.mean(gains):+.3f}, least {min(gains):+.3f} dB"
        print(f"{folder}: gain over DIS, {figures}")


def limit_threads(threads: int) -> None:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the films and other clips")
    parser.add_argument(
        "--held-out", type=Path, action="append", default=[], help="another folder of clips to measure on"
    )
    parser.add_argument("--out", type=Path, help="folder for the weights; default: where they ship")
    parser.add_argument("--model", default="vfi")
    parser.add_argument("--samples", type=int)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main()
