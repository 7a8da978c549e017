"""`make pretrain DATA=folder`: makes the starting weights of model `vfi` from films whose licences allow it.

The films are those of `pretrain_samples.FILMS`, looked for in DATA; beside them there are drawn scenes. Every other
clip in DATA, and in the folders of --held-out, is not trained on and measures: the gain over DIS on its triplets at
384 x 216. Equal seeds, samples and steps give equal weights up to rounding.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2
import numpy as np

from benchmarks.clips import clips_below
from benchmarks.machine import machine
from benchmarks.pretrain_samples import FILMS, Samples, make_samples, read_films
from common.contracts.batches import SourceKind
from common.errors import BadSource
from common.models.protocols import TrainingProgress
from common.models.vfi.first import STARTING
from common.models.vfi.footage import golden_replay
from common.models.vfi.kind import KIND
from common.models.vfi.model import Interpolator
from common.models.vfi.training import Pool, Run
from common.models.vfi.triplets import within_shots
from common.sources.limits import Limits

_FRAMES = 400  # of each film
_LEARNING_RATE = 2e-3
_DECAY = 0.99  # of the exponential average: about the last 100 steps
_BATCH = 12
_CROP = (96, 128)  # pixels
_CHECKED = 160  # samples that are not trained on: the weights that are best on them are kept
_REPORT_EVERY = 100


def main() -> None:
    arguments = _arguments()
    print(machine())
    cv2.setNumThreads(arguments.threads)
    limit_threads(arguments.threads)
    model = _trained(arguments.data, arguments.samples, arguments.steps, arguments.seed)
    for folder in [arguments.data, *arguments.held_out]:
        measure(model, folder)
    model.save(arguments.out)
    size = sum(path.stat().st_size for path in arguments.out.iterdir())
    print(f"saved in {arguments.out}, {size / 1000:.0f} kB, digest {model.digest[:12]}")


def _trained(data: Path, count: int, steps: int, seed: int) -> Interpolator:
    from common.models.vfi.network import new_weights

    began = time.monotonic()

    def made(number: int) -> None:
        if number % _REPORT_EVERY == 0:
            print(f"\rsample {number} of {count}, {time.monotonic() - began:.0f} s", end="", flush=True)

    for film in FILMS:
        if not (data / film.file).is_file():
            raise SystemExit(f"{data} lacks {film.file} ({film.credit}): the weights are made from it")
    samples = make_samples(read_films(data, _FRAMES), count, seed, made)
    print()
    run = Run(
        new_weights(seed),
        [(_pool(samples, slice(_CHECKED, None)), _BATCH)],
        [(_pool(samples, slice(_CHECKED)), 1.0)],
        crop=_CROP,
        rate=_LEARNING_RATE,
        steps=steps,
        decay=_DECAY,
        seed=seed,
        patience=steps,
        checked=_CHECKED,
    )

    def trained(step: TrainingProgress) -> None:
        if step.step % _REPORT_EVERY == 0:
            print(f"\rstep {step.step} of {steps}, {step.seconds:.0f} s, {-step.loss:.2f} dB", end="", flush=True)

    run.take_steps(float("inf"), trained)
    print()
    return Interpolator(run.best)


def _pool(samples: Samples, rows: slice) -> Pool:
    return Pool(samples.triplets[rows], samples.warped[rows])


def measure(model: Interpolator, folder: Path) -> None:
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
        fitted, average, flow = KIND.score([model, *KIND.references().values()], triplets)
        gains.append(float(np.mean(fitted - flow)))
        deviation = float(np.std(fitted - flow)) / np.sqrt(len(triplets))
        print(
            f"{clip.name}: {len(triplets)} triplets, average {average.mean():.2f}, DIS {flow.mean():.2f}, "
            f"vfi {fitted.mean():.2f} dB: {gains[-1]:+.3f} (standard error {deviation:.3f})",
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
    parser.add_argument("--out", type=Path, default=STARTING, help="folder for the weights")
    parser.add_argument("--samples", type=int, default=2400)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main()
