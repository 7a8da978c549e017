"""How fast frames become features, and where the time goes, in one run.

    python -m benchmarks.throughput [--data FOLDER] [--runs 3] [--weights random:0]

A process each, every frame of a clip:

- sgemm: what the machine multiplies, single precision, as frames/s of the backbone (0.6 GFLOP a frame)
- engine: the backbone on ready frames
- decode, sensors: alone
- pipeline: Sentinel's extractor, with sensors
- by hand (reference): cv2.VideoCapture, INTER_AREA, Keras `predict` on batches of 32, SciPy's Wasserstein and KS loops
  over a window of 48 frames each 12; no sensors

And the whole stack: `sentinel up` with a process a core, fed with copies of the
clip, from the first drop to the last verdict. Its ideal is the pipeline's rate
times the cores. Rows are medians over the runs, taken in turn.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import cv2
import numpy as np
from scipy import stats

from benchmarks.machine import machine
from benchmarks.stack import running_stack
from common.backbones import load_backbone
from common.contracts import SourceKind
from common.extraction import Extractor
from common.frames.decode import sampled_frames
from common.frames.quality import measure
from common.frames.sources import Limits
from common.settings import Settings
from sentinel.virtual_camera import record

_BATCH = 32
_MOST_FRAMES = 150  # of a clip a run: enough for a rate, short enough for three runs of everything
_FRAME_FLOP = 0.6e9  # of MobileNetV2 at 224 pixels: 300 million multiply-adds (Sandler et al., 2018)
_SIZE = 2048  # of the matrices
_STACK_SECONDS = 20.0  # of work that the stack is given
_GOLDEN, _WINDOW, _STRIDE = 150, 48, 12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with video clips; none: the virtual camera's")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--weights", default="random:0")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clips = clips_in(chosen.data, Path(folder))
        settings = Settings(_env_file=None, weights=chosen.weights, device="cpu", threads=1)
        extractor = Extractor(load_backbone(settings), Limits())
        by_hand = hand_written()
        rows = []
        for number, clip in enumerate(clips):
            row = row_of(clip, extractor, by_hand, chosen.runs)
            own = Path(folder) / f"stack{number}"
            own.mkdir()
            rows.append({**row, "stack": stack_rate(clip, float(row["pipeline"]), own, chosen.weights)})
            print(f"{clip.name} done", file=sys.stderr, flush=True)
    report(rows, chosen.runs)


def clips_in(data: Path | None, folder: Path) -> list[Path]:
    """Return the clips to measure on: those below `data`, or one that the virtual camera makes in `folder`."""
    if data is not None:
        return sorted(data.rglob("*.mp4"))
    tour = folder / "tour.mp4"
    record(tour, seconds=15)
    return [tour]


def hand_written() -> Callable[[Path], int]:
    """Return the loop that one would write by hand: decode, resize, predict, compare."""
    import keras

    rng = np.random.default_rng(0)
    golden = rng.normal(size=(_GOLDEN, 1280))
    model = keras.applications.MobileNetV2(include_top=False, pooling="avg", weights=None, input_shape=(224, 224, 3))

    def run(path: Path) -> int:
        capture, batch, count = cv2.VideoCapture(str(path)), [], 0
        seen: list[np.ndarray] = []
        while count < _MOST_FRAMES:
            there, frame = capture.read()
            if there:
                count += 1
                batch.append(cv2.resize(frame, (224, 224), interpolation=cv2.INTER_AREA)[..., ::-1])
            if batch and (len(batch) == _BATCH or not there):
                seen += list(model.predict(np.stack(batch).astype(np.float32) / 127.5 - 1, verbose=0))
                batch.clear()
            if not there:
                break
        capture.release()
        for stop in range(_WINDOW, len(seen) + 1, _STRIDE):
            window = np.array(seen[stop - _WINDOW : stop])
            for column in range(window.shape[1]):
                stats.wasserstein_distance(golden[:, column], window[:, column])
                stats.ks_2samp(golden[:, column], window[:, column], method="asymp")
        return count

    return run


def row_of(clip: Path, extractor: Extractor, by_hand: Callable[[Path], int], runs: int) -> dict[str, float | str]:
    """Time the stages on one clip; rates are frames a second, medians of `runs`."""

    def frames() -> int:
        chosen = sampled_frames(
            clip, SourceKind.VIDEO, sample_fps=None, start=0, stop=_MOST_FRAMES, limits=extractor.limits
        )
        return sum(1 for _ in chosen)

    def pipeline() -> int:
        return len(
            extractor.extract(clip, SourceKind.VIDEO, uri=str(clip), sample_fps=None, start=0, stop=_MOST_FRAMES)
        )

    pictures = [
        frame.picture
        for frame in sampled_frames(
            clip, SourceKind.VIDEO, sample_fps=None, start=0, stop=_BATCH, limits=extractor.limits
        )
    ]

    def sensors() -> int:
        return len([measure(picture.planes()) for picture in pictures])

    small = np.stack([picture.small(extractor.backbone.input_size) for picture in pictures])
    left, right = np.ones((_SIZE, _SIZE), np.float32), np.ones((_SIZE, _SIZE), np.float32)

    def sgemm() -> float:
        np.matmul(left, right)
        return 2.0 * _SIZE**3 / _FRAME_FLOP  # as many frames' worth

    stages: dict[str, Callable[[], float]] = {
        "by_hand": lambda: by_hand(clip),
        "pipeline": pipeline,
        "decode": frames,
        "sensors": sensors,
        "engine": lambda: len(extractor.backbone.embed(small)),
        "sgemm": sgemm,
    }
    rates: dict[str, list[float]] = {name: [] for name in stages}
    for run in range(runs + 1):
        for name, stage in stages.items():
            began = time.perf_counter()
            count = stage()
            if run:  # the first one warms up
                rates[name].append(count / (time.perf_counter() - began))
    middle = {name: statistics.median(found) for name, found in rates.items()}
    return {"clip": clip.name, "height": pictures[0].height, **middle}


def stack_rate(clip: Path, one_process: float, folder: Path, weights: str) -> float:
    """Return frames a second through the whole stack, every frame of copies of `clip`."""
    cores = os.cpu_count() or 1
    total = sum(1 for _ in sampled_frames(clip, SourceKind.VIDEO, sample_fps=None, start=0, stop=None, limits=Limits()))
    copies = max(2, round(_STACK_SECONDS * one_process * cores / total))
    settings = {
        "SENTINEL_WEIGHTS": weights,
        "SENTINEL_SAMPLE_FPS": "1000",  # every frame
        "SENTINEL_SETTLE_SECONDS": "0.3",
        "SENTINEL_EMBED_PROCESSES": str(cores),
    }
    with running_stack(folder, clip, **settings) as bench:
        bench.drop(clip, "warm", 0)
        bench.wait_for(1)
        for number in range(1, copies + 1):
            bench.drop(clip, f"cam{number % 4}", number)
        began = time.perf_counter()
        done = bench.wait_for(copies + 1)
        # What a file must stand still is no work.
        seconds = time.perf_counter() - began - 0.3
        return sum(report.frames for report in done[1:]) / seconds


def report(rows: list[dict[str, float | str]], runs: int) -> None:
    cores = os.cpu_count() or 1
    print(machine())
    print(f"medians of {runs} runs, frames/s; one process on one thread but for the stack, which has {cores}\n")
    print("| clip | lines | sgemm | engine | decode | sensors | pipeline | by hand (reference) | stack |")
    print("|---|---|---|---|---|---|---|---|---|")
    names = ("sgemm", "engine", "decode", "sensors", "pipeline", "by_hand", "stack")
    for row in rows:
        print(f"| {row['clip']} | {row['height']} | " + " | ".join(f"{float(row[name]):.0f}" for name in names) + " |")
    print("\n| clip | engine / sgemm | pipeline / by hand | stack / by hand | stack / (pipeline x cores) |")
    print("|---|---|---|---|---|")
    for row in rows:
        one = {name: float(row[name]) for name in names}
        print(
            f"| {row['clip']} | {one['engine'] / one['sgemm']:.2f} | {one['pipeline'] / one['by_hand']:.1f} | "
            f"{one['stack'] / one['by_hand']:.1f} | {one['stack'] / (one['pipeline'] * cores):.2f} |"
        )
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    (results / "throughput.json").write_text(
        json.dumps({"machine": machine(), "rows": rows}, indent=1), encoding="utf-8"
    )
    print(f"\nJSON: {results / 'throughput.json'}")


if __name__ == "__main__":
    main()
