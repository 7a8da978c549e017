"""`make vfi DATA=folder`: the models on UCF101 and Middlebury-OTHER, and healed.

DATA holds the published test sets as `ucf101_interp_ours` (379 triplets) and `middlebury_others` (12); with --clips
also real clips. PSNR is over RGB, the mean of that of each image, as in the published tables. The sets measure, they
are never trained on: what is healed with noise is healed on footage of the virtual camera. Model `rife` is measured
too where its weights are at hand (`sentinel models fetch rife`).
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
from benchmarks.vfi_clips import DRIFTS, drifted, first_champions, gains, heal, read_clip
from common.errors import BadSource
from common.models.kinds import load_kind, why_not_ready
from common.models.protocols import Predictor
from common.models.vfi.kind import InterpolationKind
from common.models.vfi.model import Interpolator
from common.models.vfi.triplets import TripletArray, collect_triplets, within_shots
from common.settings import Settings, get_settings
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
_MODELS = ("vfi", "rife")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with ucf101_interp_ours and middlebury_others")
    parser.add_argument("--clips", type=Path, action="append", default=[], help="folder of real clips to measure on")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--models", nargs="+", default=list(_MODELS), help="which to measure, of those that are ready")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="of the trainings on clips")
    parser.add_argument("--most", type=int, default=300, help="triplets of the second half of a clip")
    parser.add_argument("--parts", nargs="+", default=["published", "timed", "clips"])
    arguments = parser.parse_args()
    limit_threads(arguments.threads)
    print(machine())
    kinds = _ready(arguments.models)
    figures: dict[str, object] = {}
    if "published" in arguments.parts:
        published = dict(zip(_SETS, (ucf101(arguments.data), middlebury(arguments.data)), strict=True))
        figures["published sets"] = on_published_sets(kinds, published)
    if "timed" in arguments.parts:
        figures["ms per frame"] = timed(kinds)
    if "clips" in arguments.parts:
        figures["clips"] = [
            row
            for folder in arguments.clips
            for path in clips_below(folder)
            for name, kind in kinds.items()
            for row in on_clip(name, kind, path, arguments.most, arguments.seeds)
        ]
    save("vfi", figures)


def _ready(names: Sequence[str]) -> dict[str, InterpolationKind]:
    """Return the kinds of models by name; say which are not ready."""
    kinds: dict[str, InterpolationKind] = {}
    for name in names:
        why, kind = why_not_ready(name, get_settings().state_dir), load_kind(name)
        if why is not None:
            print(f"{name} is left out: {why}")
        elif isinstance(kind, InterpolationKind):
            kinds[name] = kind
    return kinds


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


def on_published_sets(
    kinds: dict[str, InterpolationKind], sets: dict[str, list[TripletArray]]
) -> dict[str, dict[str, float]]:
    """Print PSNR clean and with noise, before and after healing, beside published figures; return it."""
    *_, widest = kinds.values()  # what its engine makes is all that the others need
    predictors: dict[str, Predictor] = dict(widest.references())
    for name, kind in kinds.items():
        predictors |= {name: kind.shipped_model(), f"{name} healed": healed_on_virtual_camera(kind)}
    rows: dict[str, dict[str, float]] = {name: {} for name in predictors}
    for name, triplets in sets.items():
        for what, of in (("clean", triplets), ("noise 15", [drifted(row, *_NOISE) for row in triplets])):
            scores = np.concatenate([widest.score(list(predictors.values()), row) for row in of], axis=1)
            for predictor, mean in zip(predictors, scores.mean(axis=1), strict=True):
                rows[predictor][f"{name}, {what}"] = round(float(mean), 3)
    print(f"\n| dB PSNR | {' | '.join(next(iter(rows.values())))} |\n|---|---|---|---|---|")
    for name, figures in rows.items():
        print(f"| {name} | {' | '.join(f'{figure:.2f}' for figure in figures.values())} |")
    for name, (ucf, other) in _PUBLISHED.items():
        print(f"| {name}, published | {ucf:.2f} | | {f'{other:.2f}' if other else ''} | |")
    print("The frame that is predicted has the noise too, which no prediction can know.", flush=True)
    return rows


def healed_on_virtual_camera(kind: InterpolationKind) -> Interpolator:
    """Return the starting weights of a kind, fine-tuned to noise on footage that the virtual camera draws."""
    photographs = [load_photograph(name) for name in SCENES if not name.startswith("motorcycle")]  # from Middlebury
    count = round(_SECONDS * _FPS)
    images = film(photographs, count=count, fps=_FPS, seed=0, width=768, height=432)
    triplets = within_shots(collect_triplets(images, count // 3, expected_frames=count))
    half = len(triplets) // 2
    settings = Settings(_env_file=None)
    return (
        kind.trainer()
        .fine_tune(
            kind.shipped_model(),
            drifted(triplets[:half], *_NOISE),
            triplets[half:],
            steps=settings.retrain_steps,
            seconds=float("inf"),
            seed=0,
            progress=lambda step: None,
        )
        .model
    )


def timed(kinds: dict[str, InterpolationKind]) -> dict[str, dict[str, float]]:
    """Print how long a frame takes; return milliseconds by size and predictor."""
    *_, widest = kinds.values()
    models = {name: kind.shipped_model() for name, kind in kinds.items()}
    predictors: dict[str, Predictor] = {**widest.references(), **models}
    photographs = [load_photograph(SCENES[0])]
    rows: dict[str, dict[str, float]] = {}
    print(f"\n| ms per frame | {' | '.join(predictors)} |\n|---{'|---' * len(predictors)}|")
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


def on_clip(
    name: str, kind: InterpolationKind, path: Path, most: int, seeds: Sequence[int]
) -> Iterator[dict[str, object]]:
    """Print what a clip's first champions of a model gain over DIS, and what healing gains; yield the figures."""
    settings = Settings(_env_file=None)
    try:
        clip = read_clip(path, most)
        champions = list(first_champions(kind, clip, seeds))
    except BadSource as error:
        print(f"{path.name}: {error}")
        return
    starting, *rows = gains(kind, [kind.shipped_model(), *champions], clip.later).mean(axis=1).tolist()
    print(
        f"\n{clip.name}, {name}: {len(clip.golden)} and {len(clip.later)} triplets; clean, over DIS: starting weights "
        f"{starting:+.2f}, first champions {_signed(rows)} dB",
        flush=True,
    )
    found: dict[str, object] = {"clip": clip.name, "model": name, "starting": starting, "clean": rows}
    for fault, severity in DRIFTS:
        healed = [
            heal(kind, clip, champion, fault, severity, seed, settings)
            for seed, champion in zip(seeds, champions, strict=True)
        ]
        found[f"{fault} {severity}"] = healed
        print(
            f"  {fault} {severity}: healing gains {_signed([row.after - row.before for row in healed])}, "
            f"healed over DIS {_signed([row.after for row in healed])}, "
            f"golden {_signed([row.golden for row in healed])} dB; {healed[0].steps} steps, {healed[0].seconds:.0f} s",
            flush=True,
        )
    yield json.loads(json.dumps(found, default=vars))


def _signed(values: Sequence[float]) -> str:
    return " ".join(f"{value:+.2f}" for value in values)


if __name__ == "__main__":
    main()
