"""How fast frames become features: Sentinel's extractor beside what one would write by hand, in the same run.

    python -m benchmarks.pipeline [--data FOLDER] [--runs 3] [--weights random:0]

The reference decodes with cv2.VideoCapture, resizes with INTER_AREA and calls
Keras `predict` on batches of 32; it has no camera-quality sensors. Both use one
process and every frame. Rows are medians over the runs, taken in turn.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import cv2
import numpy as np

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
        rows = [row_of(clip, extractor, by_hand, chosen.runs) for clip in clips]
    report(rows, chosen.runs)


def clips_in(data: Path | None, folder: Path) -> list[Path]:
    """Return the clips to measure on: those below `data`, or one that the virtual camera makes in `folder`."""
    if data is not None:
        return sorted(data.rglob("*.mp4"))
    tour = folder / "tour.mp4"
    record(tour, seconds=15)
    return [tour]


def hand_written() -> Callable[[Path], int]:
    """Return the loop that one would write by hand: decode, resize, predict."""
    import keras

    model = keras.applications.MobileNetV2(include_top=False, pooling="avg", weights=None, input_shape=(224, 224, 3))

    def run(path: Path) -> int:
        capture, batch, count = cv2.VideoCapture(str(path)), [], 0
        while count < _MOST_FRAMES:
            there, frame = capture.read()
            if there:
                count += 1
                batch.append(cv2.resize(frame, (224, 224), interpolation=cv2.INTER_AREA)[..., ::-1])
            if batch and (len(batch) == _BATCH or not there):
                model.predict(np.stack(batch).astype(np.float32) / 127.5 - 1, verbose=0)
                batch.clear()
            if not there:
                break
        capture.release()
        return count

    return run


def row_of(clip: Path, extractor: Extractor, by_hand: Callable[[Path], int], runs: int) -> dict[str, float | str]:
    """Time the stages on one clip; rates are frames a second, medians of `runs`."""

    def frames() -> int:
        chosen = sampled_frames(
            clip, SourceKind.VIDEO, sample_fps=None, start=0, stop=_MOST_FRAMES, limits=extractor.limits
        )
        return sum(1 for _ in chosen)

    def sentinel() -> int:
        return len(
            extractor.extract(clip, SourceKind.VIDEO, uri=str(clip), sample_fps=None, start=0, stop=_MOST_FRAMES)
        )

    images = [
        frame.image
        for frame in sampled_frames(
            clip, SourceKind.VIDEO, sample_fps=None, start=0, stop=_BATCH, limits=extractor.limits
        )
    ]

    def sensors() -> int:
        return sum(1 for image in images if measure(image) is not None)

    stages: dict[str, Callable[[], int]] = {
        "by_hand": lambda: by_hand(clip),
        "sentinel": sentinel,
        "decode": frames,
        "sensors": sensors,
    }
    rates: dict[str, list[float]] = {name: [] for name in stages}
    for run in range(runs + 1):
        for name, stage in stages.items():
            began = time.perf_counter()
            count = stage()
            if run:  # the first one warms up
                rates[name].append(count / (time.perf_counter() - began))
    middle = {name: statistics.median(found) for name, found in rates.items()}
    return {"clip": clip.name, "height": images[0].shape[0], **middle, "ratio": middle["sentinel"] / middle["by_hand"]}


def report(rows: list[dict[str, float | str]], runs: int) -> None:
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(
        f"machine: {machine}\ncommand: {' '.join(sys.orig_argv[1:])}\nmedians of {runs} runs, frames/s, one process\n"
    )
    print("| clip | height | by hand (reference) | Sentinel, with sensors | ratio | decode alone | sensors alone |")
    print("|---|---|---|---|---|---|---|")
    for row in rows:
        figures = (row["by_hand"], row["sentinel"], row["ratio"], row["decode"], row["sensors"])
        a, b, ratio, c, d = (float(figure) for figure in figures)
        print(f"| {row['clip']} | {row['height']} | {a:.0f} | {b:.0f} | {ratio:.1f} | {c:.0f} | {d:.0f} |")
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    (results / "pipeline.json").write_text(json.dumps({"machine": machine, "rows": rows}, indent=1), encoding="utf-8")
    print(f"\nJSON: {results / 'pipeline.json'}")


if __name__ == "__main__":
    main()
