"""Latency from a dropped file to its verdict, on an idle stack and during the processing of a ten-hour file.

    python -m benchmarks.latency [--runs 10] [--weights random:0]

Batches of 10 frames are dropped into a watched folder one at a time. The latency
is the time from the rename that makes a file appear to its verdict on
sentinel:events, less SENTINEL_SETTLE_SECONDS, for which a file must be
unchanged. The reference is the one-process pipeline on the same file, without
queues. The measurement is repeated while every frame of ten hours of footage is
processed in another stream.

The second table shows the start-up time of a worker: a new process that loads
the converted backbone and embeds a frame, compared with one that does so with
Keras (the reference).
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.clips import repeated
from benchmarks.machine import machine
from benchmarks.results import draw_bars, save
from benchmarks.stack import Bench, running_stack
from common.contracts.batches import SourceKind
from common.extraction import load_extractor
from common.modalities.video.modality import VIDEO
from common.settings import Settings
from simulation.virtual_camera import record

_FRAMES, _FPS, _SETTLE = 10, 10.0, 0.5
_WARM = 8  # batches that fill the window and warm up all processes
_LONG_HOURS, _LONG_PART_SECONDS = 10, 60

_WORKER = """
import json, sys, time
import numpy as np, psutil
from common.settings import Settings
import workers.embedding
from common.backbones import load_backbone
backbone = load_backbone(Settings(_env_file=None, weights=sys.argv[1], device="cpu"), None)
backbone.embed(np.zeros((1, 224, 224, 3), np.uint8))
print(json.dumps(psutil.Process().memory_info().rss / 1e6))
"""
_KERAS = """
import json
import keras, numpy as np, psutil
model = keras.applications.MobileNetV2(include_top=False, pooling="avg", weights=None, input_shape=(224, 224, 3))
model.predict(np.zeros((1, 224, 224, 3), np.float32), verbose=0)
print(json.dumps(psutil.Process().memory_info().rss / 1e6))
"""


def cold_start(code: str, *arguments: str) -> tuple[float, float]:
    """Return the seconds from the start of a process to its first embedding, and its resident MB; medians of 3."""
    found = []
    for _ in range(3):
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        found.append((time.perf_counter() - began, float(json.loads(done.stdout.splitlines()[-1]))))
    return statistics.median(row[0] for row in found), statistics.median(row[1] for row in found)


@dataclass
class Latencies:
    """Seconds of each run: the bare pipeline, and drop to verdict on an idle stack and during a long file."""

    pipeline: list[float]
    idle: list[float]
    busy: list[float]
    chunks_left: int
    """Chunks of the long file that were not processed at the end; 0: it was too short to keep the stack busy."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--weights", default="random:0")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        found = measure(Path(name), chosen.weights, chosen.runs)
    worker, keras = cold_start(_WORKER, chosen.weights), cold_start(_KERAS)
    report(found, worker, keras, chosen.runs)


def measure(folder: Path, weights: str, runs: int) -> Latencies:
    golden, batch, part = folder / "golden.mp4", folder / "batch.mp4", folder / "part.mp4"
    record(golden, seconds=30, fps=_FPS, seed=1)
    record(batch, seconds=_FRAMES / _FPS, fps=_FPS, seed=2)
    record(part, seconds=_LONG_PART_SECONDS, fps=_FPS, seed=3, width=160, height=90)
    long = repeated(part, folder / "long.mp4", _LONG_HOURS * 3600 // _LONG_PART_SECONDS)
    extractor = load_extractor(Settings(_env_file=None, weights=weights), VIDEO, None)
    pipeline = []
    for _ in range(runs):
        began = time.perf_counter()
        extractor.extract(batch, SourceKind.RECORDING, uri="batch", sample_fps=None)
        pipeline.append(time.perf_counter() - began)
    settings = {
        "SENTINEL_WEIGHTS": weights,
        "SENTINEL_SETTLE_SECONDS": str(_SETTLE),
        "SENTINEL_WINDOW_STRIDE": str(_FRAMES),
    }
    with running_stack(folder, golden, **settings) as bench:
        drop_to_verdict(bench, batch, 0, _WARM)
        idle = drop_to_verdict(bench, batch, _WARM, runs)
        (bench.watch_dir / "archive").mkdir()
        long.rename(bench.watch_dir / "archive" / long.name)
        while not bench.store.streams.pending("archive"):
            time.sleep(0.1)
        time.sleep(5)
        busy = drop_to_verdict(bench, batch, _WARM + runs, runs)
        return Latencies(pipeline, idle, busy, bench.store.streams.pending("archive"))


def report(found: Latencies, worker: tuple[float, float], keras: tuple[float, float], runs: int) -> None:
    """Print the tables, and store figures and picture; `worker` and `keras` are results of `cold_start`."""
    print(machine())
    print(f"medians of {runs} runs, batches of {_FRAMES} frames of 640 x 360, settle delay {_SETTLE} s\n")
    print("| | s | ratio | slowest, s |\n|---|---|---|---|")
    reference = statistics.median(found.pipeline)
    rows = {
        "features of the batch in one process (reference)": found.pipeline,
        "drop to verdict, less the settle delay": found.idle,
        f"the same during a file of {_LONG_HOURS} hours": found.busy,
    }
    for label, seconds in rows.items():
        took = statistics.median(seconds)
        print(f"| {label} | {took:.3f} | {took / reference:.1f} | {max(seconds):.3f} |")
    print(f"\n{found.chunks_left} chunks of the long file were left at the end")
    print("\n| a new process to its first embedding | s | resident MB |\n|---|---|---|")
    print(f"| Keras (reference) | {keras[0]:.2f} | {keras[1]:.0f} |")
    print(f"| an embedding worker | {worker[0]:.2f} | {worker[1]:.0f} |")
    figures = {
        "features alone": reference,
        "drop to verdict": statistics.median(found.idle),
        f"during {_LONG_HOURS} hours": statistics.median(found.busy),
    }
    waits = {"idle": found.idle, "during a long file": found.busy}
    save("latency", {"seconds": figures, "waits": waits, "cold_start": {"worker": worker, "keras": keras}})
    draw_bars("latency", f"a batch of {_FRAMES} frames, drop to verdict", "s", {"s": figures})


def drop_to_verdict(bench: Bench, batch: Path, first: int, runs: int) -> list[float]:
    """Return the latencies, in seconds, of `runs` batches after `first` others were dropped."""
    seconds = []
    for number in range(first, first + runs):
        bench.drop(batch, "cam", number)
        began = time.perf_counter()
        bench.wait_for(number + 1)  # verdict and completion of a batch are committed together
        seconds.append(time.perf_counter() - began - _SETTLE)
        time.sleep(0.3)
    return seconds


if __name__ == "__main__":
    main()
