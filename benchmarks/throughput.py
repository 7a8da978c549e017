"""How fast frames become verdicts, where the time goes, and how many cameras a core serves; all in one run.

    python -m benchmarks.throughput [--data FOLDER] [--runs 3] [--weights random:0] [--heights 720,1080,2160]

Every frame of the same footage as H.264 of several sizes. Each stage is run in a
process a core at the same time, as it is in operation: cores take from each
other (memory, cache, the host's other guests), and that is no fault of a queue.

- sgemm: what the machine multiplies, single precision, as frames/s of the backbone (0.6 GFLOP a frame)
- engine: the backbone on ready frames, on one thread and on all cores
- decode, small (scaled for the backbone), sensors, judge: the stages that a frame goes through
- pipeline: Sentinel's extractor, all of them but the judge
- by hand (reference): cv2.VideoCapture, INTER_AREA, Keras `predict` on batches of 32, SciPy's Wasserstein and KS loops
  over a window of 48 frames each 12; no sensors, and Keras takes all cores

And through Celery: `sentinel up` with a process a core, fed with copies of the
clip, from the first drop to the last verdict. Its ideal is what the sum of the
stages' own times allows. Rows are medians over the runs, taken in turn. Last, what
decoding JPEG at half its size would save and move.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from multiprocessing.synchronize import Barrier
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import cv2
import numpy as np
from scipy import stats

from benchmarks.cameras import measure_cameras
from benchmarks.clips import as_camera, largest_clip
from benchmarks.jpeg import measure_jpeg
from benchmarks.limit import limit
from benchmarks.machine import machine
from benchmarks.results import draw_bars, save
from benchmarks.stack import running_stack
from benchmarks.workbench import cpu_backbone, say
from common.contracts.batches import SourceKind
from common.drift.fitting import fit_baseline
from common.drift.judge import judge
from common.drift.windows import WindowRule
from common.extraction import Extractor
from common.modalities.video.decode import probe, sampled_frames
from common.modalities.video.sensors import MINIMUM_EFFECTS, SENSOR_NAMES, measure
from common.sources.local import Limits

_BATCH = 32
_FRAMES = {720: 300, 1080: 240, 2160: 72}  # of a clip
_STACK_SECONDS = 30.0  # of work that the stack is given
_STACK_HEIGHTS = (720, 1080)
_STREAMS = 4
_GOLDEN, _WINDOW, _STRIDE = 150, 48, 12
_MANY_FRAMES = 10_000
_LEAST_SECONDS = 0.5  # of a stage in one run
STAGES = ("decode", "small", "sensors", "engine", "judge")


@dataclass
class Row:
    """Figures of one size; rates in frames/s."""

    height: int
    rates: dict[str, float]
    stack: float = 0.0
    cpu: dict[str, float] = field(default_factory=dict)
    rss_mb: list[float] = field(default_factory=list)

    @property
    def stages(self) -> float:
        """Frames/s that the sum of the stages' own times allows on all cores."""
        return 1.0 / sum(1.0 / self.rates[name] for name in STAGES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with video clips; none: the virtual camera's")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--weights", default="random:0")
    parser.add_argument("--heights", default="720,1080,2160")
    parser.add_argument("--part", choices=("all", "stages", "cameras"), default="all")
    chosen = parser.parse_args()
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = largest_clip(chosen.data, folder)
        print(f"footage: {source.name}\n", flush=True)
        if chosen.part != "cameras":
            heights = [int(height) for height in chosen.heights.split(",")]
            measure_stages(source, heights, folder, chosen.weights, chosen.runs)
            measure_jpeg(source, chosen.weights, chosen.runs)
        if chosen.part != "stages":
            measure_cameras(source, folder, chosen.weights)


def measure_stages(source: Path, heights: list[int], folder: Path, weights: str, runs: int) -> None:
    cores = os.cpu_count() or 1
    engine = limit(cores, weights, runs)
    say("engine")
    by_hand, rows = hand_written(), []
    for height in heights:
        clip = clip_of(source, height, folder)
        times = stage_times(clip, by_hand, weights, runs)
        row = Row(height, medians(times))
        say(f"{height} lines, stages")
        if height in _STACK_HEIGHTS:
            own = folder / f"stack{height}"
            own.mkdir()
            run_stack(row, clip, own, weights)
            say(f"{height} lines, through Celery")
            # Before and after: a machine that others use too is not as fast all the time.
            for name, more in stage_times(clip, by_hand, weights, runs).items():
                times[name] += more
            row.rates = medians(times)
        rows.append(row)
    report(rows, engine, cores, runs)


def clip_of(source: Path, height: int, folder: Path) -> Path:
    """Return `source` itself where it has `height` lines, else the same footage as a camera of that size sends it."""
    if probe(source, SourceKind.VIDEO, Limits()).height == height:
        return source
    return as_camera(source, folder / f"{height}.mp4", height, frames=_FRAMES[height])


def hand_written() -> Callable[[Path], int]:
    """Return the loop that one would write by hand: decode, resize, predict, compare."""
    import keras

    rng = np.random.default_rng(0)
    golden = rng.normal(size=(_GOLDEN, 1280))
    model = keras.applications.MobileNetV2(include_top=False, pooling="avg", weights=None, input_shape=(224, 224, 3))

    def run(path: Path) -> int:
        capture, batch, count = cv2.VideoCapture(str(path)), [], 0
        seen: list[np.ndarray] = []
        while True:
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


@cache
def stages_of(clip: Path, weights: str) -> dict[str, Callable[[], int]]:
    """Return the stages on `clip`; each works on frames that the stages before it made, and returns how many."""
    extractor = Extractor(cpu_backbone(weights), Limits())

    def frames() -> int:
        chosen = sampled_frames(clip, SourceKind.VIDEO, sample_fps=None, start=0, stop=None, limits=extractor.limits)
        return sum(1 for _ in chosen)

    def pipeline() -> int:
        return len(extractor.extract(clip, SourceKind.VIDEO, uri=str(clip), sample_fps=None))

    kept = sampled_frames(clip, SourceKind.VIDEO, sample_fps=None, start=0, stop=_BATCH, limits=extractor.limits)
    pictures = [frame.picture for frame in kept]
    side = extractor.backbone.input_size
    small = np.stack([picture.small(side) for picture in pictures])
    features = extractor.extract(clip, SourceKind.VIDEO, uri=str(clip), sample_fps=None)
    rule = WindowRule(frames=min(_WINDOW, len(features) // 4), stride=_STRIDE)
    baseline = fit_baseline(
        [("clip", features)],
        name="clip",
        feature_spec=extractor.feature_spec(None),
        rule=rule,
        sensor_names=SENSOR_NAMES,
        minimum_effects=MINIMUM_EFFECTS,
        created_at=0.0,
        libraries={},
    )

    def verdict() -> int:
        judge(baseline, features[: rule.frames])
        return rule.stride  # frames to a verdict

    return {
        "pipeline": pipeline,
        "decode": frames,
        "small": lambda: len([picture.small(side) for picture in pictures]),
        "sensors": lambda: len([measure(picture.planes()) for picture in pictures]),
        "engine": lambda: len(extractor.backbone.embed(small)),
        "judge": verdict,
    }


_together: Barrier


def _join(barrier: Barrier) -> None:
    global _together  # noqa: PLW0603, a barrier can only be handed to a process when it starts
    _together = barrier


def _timed(name: str, clip: Path, weights: str) -> float:
    """Return frames/s of a stage in this process, begun when all processes are ready."""
    stage = stages_of(clip, weights)[name]
    _together.wait()
    began, count = time.perf_counter(), 0
    while not count or time.perf_counter() - began < _LEAST_SECONDS:
        count += stage()
    return count / (time.perf_counter() - began)


def stage_times(clip: Path, by_hand: Callable[[Path], int], weights: str, runs: int) -> dict[str, list[float]]:
    """Return seconds a frame of the stages on one clip, on all cores at once; `runs` of each, taken in turn."""
    cores = os.cpu_count() or 1
    context = multiprocessing.get_context("spawn")
    times: dict[str, list[float]] = {name: [] for name in ("by_hand", "pipeline", *STAGES)}
    with ProcessPoolExecutor(cores, context, _join, (context.Barrier(cores),)) as pool:
        for run in range(runs + 1):
            for name, found in times.items():
                if name == "by_hand":
                    began = time.perf_counter()
                    count = by_hand(clip)
                    seconds = (time.perf_counter() - began) / count
                else:
                    seconds = 1 / sum(pool.map(_timed, [name] * cores, [clip] * cores, [weights] * cores))
                if run:  # the first one warms up
                    found.append(seconds)
    return times


def medians(times: dict[str, list[float]]) -> dict[str, float]:
    """Return frames a second."""
    return {name: 1.0 / statistics.median(found) for name, found in times.items()}


def run_stack(row: Row, clip: Path, folder: Path, weights: str) -> None:
    """Feed copies of `clip` to a whole stack, every frame, and fill in its rate, processor time and memory."""
    cores = os.cpu_count() or 1
    total = sum(1 for _ in sampled_frames(clip, SourceKind.VIDEO, sample_fps=None, start=0, stop=None, limits=Limits()))
    copies = max(_STREAMS, round(_STACK_SECONDS * row.stages / total))
    if row.height == _STACK_HEIGHTS[0]:
        copies = max(copies, -(-_MANY_FRAMES // total))  # enough to see whether memory grows
    settings = {
        "SENTINEL_WEIGHTS": weights,
        "SENTINEL_SAMPLE_FPS": "1000",  # every frame
        "SENTINEL_SETTLE_SECONDS": "0.3",
        "SENTINEL_EMBED_PROCESSES": str(cores),
    }
    with running_stack(folder, clip, **settings) as bench:
        for number in range(_STREAMS):  # the window fills, and every process has met the clip
            bench.drop(clip, f"cam{number}", 0)
        bench.wait_for(_STREAMS)
        row.rss_mb.append(max(bench.embedding_rss()) / 1e6)
        before = bench.cpu_seconds()
        for number in range(1, copies + 1):
            bench.drop(clip, f"cam{number % _STREAMS}", number)
        began = time.perf_counter()
        done = bench.wait_for(copies + _STREAMS)
        # What a file must stand still is no work.
        seconds = time.perf_counter() - began - 0.3
        after = bench.cpu_seconds()
        row.rss_mb.append(max(bench.embedding_rss()) / 1e6)
        frames = sum(report.frames for report in done[_STREAMS:])
        row.stack = frames / seconds
        row.cpu = {name: 1e3 * (after[name] - before.get(name, 0.0)) / frames for name in after}
        row.cpu["frames"] = float(frames)


def report(rows: list[Row], engine: dict[str, float], cores: int, runs: int) -> None:
    print(f"medians of {runs} runs, frames/s on {cores} cores\n")
    print(
        f"engine on {cores} threads {engine['engine']:.0f}, sgemm limit {engine['sgemm']:.0f}: "
        f"{engine['engine'] / engine['sgemm']:.0%}\n"
    )
    print("| lines | decode | small | sensors | engine | judge | sum of stages | pipeline | by hand | through Celery |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for row in rows:
        rates = [*(row.rates[name] for name in STAGES), row.stages, row.rates["pipeline"], row.rates["by_hand"]]
        stack = f"{row.stack:.0f}" if row.stack else "-"
        print(f"| {row.height} | " + " | ".join(f"{rate:.0f}" for rate in rates) + f" | {stack} |")
    print("\n| lines | Celery / sum of stages | Celery / by hand (reference) | pipeline / by hand | sensors / decode |")
    print("|---|---|---|---|---|")
    for row in rows:
        hand, pipeline = row.rates["by_hand"], row.rates["pipeline"]
        through = f"{row.stack / row.stages:.2f} | {row.stack / hand:.1f}" if row.stack else "- | -"
        dearer = row.rates["decode"] / row.rates["sensors"]
        print(f"| {row.height} | {through} | {pipeline / hand:.1f} | {dearer:.2f} |")
    names = ("embedding", "reducing", "celery", "redis", "watching")
    print("\nprocessor milliseconds a frame through Celery, and the worker's resident memory at the start and the end")
    print("| lines | " + " | ".join(names) + " | Celery + Redis, share | frames | MB |")
    print("|---|" + "---|" * (len(names) + 3))
    for row in rows:
        if row.cpu:
            spent = {name: row.cpu.get(name, 0.0) for name in names}
            # What the pool's processes spend beyond the same pipeline on as many cores is Celery's and Redis'.
            own = max(0.0, spent["embedding"] - 1e3 * cores / row.rates["pipeline"])
            share = (spent["celery"] + spent["redis"] + own) / sum(spent.values())
            grown = f"{row.rss_mb[0]:.0f} to {row.rss_mb[-1]:.0f} ({row.rss_mb[-1] / row.rss_mb[0] - 1:+.1%})"
            cells = " | ".join(f"{spent[name]:.2f}" for name in names)
            print(f"| {row.height} | {cells} | {share:.1%} | {row.cpu['frames']:.0f} | {grown} |")
    save("throughput", {"engine": engine, "cores": cores, "rows": [vars(row) for row in rows]})
    drawn = (*STAGES, "pipeline", "by_hand")
    draw_bars(
        "throughput",
        f"frames a second on {cores} cores",
        "frames/s",
        {f"{row.height} lines": {name: row.rates[name] for name in drawn} for row in rows},
    )


if __name__ == "__main__":
    main()
