"""`make vfi DATA=folder`: model `vfi` on UCF101 and Middlebury-OTHER, and healed.

DATA holds the published test sets as `ucf101_interp_ours` (379 triplets) and `middlebury_others` (12); with --clips
also real clips. PSNR is over RGB, the mean of that of each image, as in the published tables. The sets measure, they
are never trained on: what is healed with noise is healed on footage of the virtual camera.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from benchmarks.clips import clips_below
from benchmarks.machine import machine
from benchmarks.pretrain import limit_threads
from benchmarks.results import save
from benchmarks.vfi_clips import DRIFTS, Clip, drifted, first_champions, gains, heal, read_clip
from common.errors import BadSource
from common.models.protocols import Predictor
from common.models.vfi.first import starting_model
from common.models.vfi.kind import KIND
from common.models.vfi.model import Interpolator
from common.models.vfi.triplets import TripletArray, collect_triplets, within_shots
from common.settings import Settings
from simulation.faults import Fault
from simulation.virtual_camera import SCENES, film, load_photograph

# PSNR on UCF101 and Middlebury-OTHER as the papers and their later comparisons state them.
_PUBLISHED = {
    "ToFlow": (34.58, None), "SepConv": (34.78, None), "CAIN": (34.91, None), "AdaCoF": (35.16, 35.72),
    "CDFI": (35.21, 37.14), "IFRNet small": (35.28, 37.24), "RIFE": (35.28, None), "UPR-Net": (35.41, None),
}  # fmt: skip
_SETS = ("UCF101", "Middlebury-OTHER")
_NOISE = (Fault.NOISE, 3)  # standard deviation 15
_SECONDS, _FPS = 60, 10.0  # of the virtual camera, which is healed on
_SIZES = ((384, 216), (768, 432), (1280, 720))
_TIMED = 5
_SEEDS = (0, 1, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with ucf101_interp_ours and middlebury_others")
    parser.add_argument("--clips", type=Path, action="append", default=[], help="folder of real clips to measure on")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    limit_threads(arguments.threads)
    print(machine())
    published = dict(zip(_SETS, (ucf101(arguments.data), middlebury(arguments.data)), strict=True))
    figures = {
        "published sets": on_published_sets(published),
        "ms per frame": timed(),
        "clips": [row for folder in arguments.clips for row in on_clips(folder)],
    }
    save("vfi", figures)


def ucf101(data: Path) -> list[TripletArray]:
    """Return the triplets (1, 3, h, w, 3) of UCF101's test set."""
    folder = _require(data / "ucf101_interp_ours")
    return [
        _triplet(one / "frame_00.png", one / "frame_01_gt.png", one / "frame_02.png")
        for one in sorted(path for path in folder.iterdir() if (path / "frame_01_gt.png").is_file())
    ]


def middlebury(data: Path) -> list[TripletArray]:
    """Return the triplets (1, 3, h, w, 3) of Middlebury's set OTHER, of several sizes."""
    folder = _require(data / "middlebury_others")
    return [
        _triplet(one / "frame10.png", folder / "gt" / one.name / "frame10i11.png", one / "frame11.png")
        for one in sorted((folder / "input").iterdir())
    ]


def _require(folder: Path) -> Path:
    if not folder.is_dir():
        raise SystemExit(f"{folder} is missing: unpack the test sets of a published comparison there")
    return folder


def _triplet(*files: Path) -> TripletArray:
    images = [cv2.imread(str(file), cv2.IMREAD_COLOR) for file in files]
    found = [cv2.cvtColor(image, cv2.COLOR_BGR2RGB) for image in images if image is not None]
    return np.asarray(np.stack(found)[None], np.uint8)


def on_published_sets(sets: dict[str, list[TripletArray]]) -> dict[str, dict[str, float]]:
    """Print PSNR clean and with noise, before and after healing, beside published figures; return it."""
    healed = healed_on_virtual_camera()
    predictors: dict[str, Predictor] = {**KIND.references(), "vfi": starting_model(), "vfi healed": healed}
    rows: dict[str, dict[str, float]] = {name: {} for name in predictors}
    for name, triplets in sets.items():
        for what, of in (("clean", triplets), ("noise 15", [drifted(row, *_NOISE) for row in triplets])):
            scores = np.concatenate([KIND.score(list(predictors.values()), row) for row in of], axis=1)
            for predictor, mean in zip(predictors, scores.mean(axis=1), strict=True):
                rows[predictor][f"{name}, {what}"] = round(float(mean), 3)
    print(f"\n| dB PSNR | {' | '.join(next(iter(rows.values())))} |\n|---|---|---|---|---|")
    for name, figures in rows.items():
        print(f"| {name} | {' | '.join(f'{figure:.2f}' for figure in figures.values())} |")
    for name, (ucf, other) in _PUBLISHED.items():
        print(f"| {name}, published | {ucf:.2f} | | {f'{other:.2f}' if other else ''} | |")
    print("The frame that is predicted has the noise too, which no prediction can know.", flush=True)
    return rows


def healed_on_virtual_camera() -> Interpolator:
    """Return the starting weights, fine-tuned to noise on footage that the virtual camera draws."""
    photographs = [load_photograph(name) for name in SCENES if not name.startswith("motorcycle")]  # from Middlebury
    count = round(_SECONDS * _FPS)
    images = film(photographs, count=count, fps=_FPS, seed=0, width=768, height=432)
    triplets = within_shots(collect_triplets(images, count // 3, expected_frames=count))
    half = len(triplets) // 2
    settings = Settings(_env_file=None)
    return (
        KIND.trainer()
        .fine_tune(
            starting_model(),
            drifted(triplets[:half], *_NOISE),
            triplets[half:],
            steps=settings.retrain_steps,
            seconds=float("inf"),
            seed=0,
            progress=lambda step: None,
        )
        .model
    )


def timed() -> dict[str, dict[str, float]]:
    """Print how long a frame takes; return milliseconds by size and predictor."""
    predictors: dict[str, Predictor] = {**KIND.references(), "vfi": starting_model()}
    photographs = [load_photograph(SCENES[0])]
    rows: dict[str, dict[str, float]] = {}
    print(f"\n| ms per frame | {' | '.join(predictors)} |\n|---|---|---|---|")
    for width, height in _SIZES:
        triplet = np.stack(list(film(photographs, count=3, fps=30.0, seed=0, width=width, height=height)))[None]
        rows[f"{width}x{height}"] = {name: round(_milliseconds(row, triplet), 1) for name, row in predictors.items()}
        print(
            f"| {width}x{height} | {' | '.join(f'{ms:.0f}' for ms in rows[f'{width}x{height}'].values())} |", flush=True
        )
    return rows


def _milliseconds(predictor: Predictor, triplet: TripletArray) -> float:
    predictor.predict(triplet)
    taken = []
    for _ in range(_TIMED):
        began = time.perf_counter()
        predictor.predict(triplet)
        taken.append(time.perf_counter() - began)
    return 1000.0 * float(np.median(taken))


def on_clips(folder: Path) -> Iterator[dict[str, object]]:
    """Print what each clip's first champions gain over DIS, and what healing gains; yield the figures."""
    settings = Settings(_env_file=None)
    for path in clips_below(folder):
        try:
            clip = read_clip(path)
            champions = list(first_champions(clip, _SEEDS))
        except BadSource as error:
            print(f"{path.name}: {error}")
            continue
        clean = [float(row.mean()) for row in gains(champions, clip.later)]
        print(f"\n{clip.name}: {len(clip.golden)} and {len(clip.later)} triplets; clean, over DIS: {_signed(clean)} dB")
        row: dict[str, object] = {"clip": clip.name, "clean": clean}
        for fault, severity in DRIFTS:
            row[f"{fault} {severity}"] = _healed(clip, champions, fault, severity, settings)
        yield json.loads(json.dumps(row, default=vars))


def _healed(
    clip: Clip, champions: Sequence[Interpolator], fault: Fault, severity: int, settings: Settings
) -> list[dict[str, float]]:
    rows = [
        heal(clip, champion, fault, severity, seed, settings) for seed, champion in zip(_SEEDS, champions, strict=True)
    ]
    print(
        f"  {fault} {severity}: healing gains {_signed([row.after - row.before for row in rows])}, "
        f"healed over DIS {_signed([row.after for row in rows])}, golden {_signed([row.golden for row in rows])} dB; "
        f"{rows[0].steps} steps, {rows[0].seconds:.0f} s",
        flush=True,
    )
    return [vars(row) for row in rows]


def _signed(values: Sequence[float]) -> str:
    return " ".join(f"{value:+.2f}" for value in values)


if __name__ == "__main__":
    main()
