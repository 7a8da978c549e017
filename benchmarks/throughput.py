"""Throughput from frames to verdicts, by stage and through Celery, and the number of cameras per core.

    python -m benchmarks.throughput [--data FOLDER] [--runs 3] [--weights random:0] [--heights 720,1080,2160]

Every frame of the same footage is processed, as H.264 of several sizes. Each
stage runs in one process per core at the same time, as in operation, because
cores compete for memory, cache and the host, which is no cost of the queue.

- sgemm: the machine's single-precision matrix product, in frames/s of the backbone (0.6 GFLOP per frame)
- engine: the backbone on prepared frames, on one thread and on all cores
- decode, small (scaled for the backbone), sensors, judge: the other stages of a frame; small and engine count all the
  frames of which the backbone sees one (SENTINEL_EMBED_EVERY)
- pipeline: Sentinel's extractor, which is all stages but the judge
- by hand (reference): cv2.VideoCapture, INTER_AREA, Keras `predict` on batches of 32, SciPy's Wasserstein and KS loops
  over a window of 48 frames every 12 frames; without sensors; Keras uses all cores

"Through Celery" is `sentinel up` with one process per core, fed with copies of
the clip, from the first drop to the last verdict. Its upper limit follows from
the sum of the stages' times. Rows are medians over the runs, which are taken in
turn. Last, the effect of decoding JPEG at half size.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

from benchmarks.cameras import measure_cameras
from benchmarks.clips import as_camera, largest_clip
from benchmarks.jpeg import measure_jpeg
from benchmarks.limit import limit
from benchmarks.machine import machine
from benchmarks.results import draw_bars, save
from benchmarks.stack import running_stack
from benchmarks.stages import STAGES, hand_written, median_rates, stage_times
from benchmarks.workbench import say
from common.contracts.batches import SourceKind
from common.modalities.video.decode import probe, sampled_frames
from common.sources.limits import Limits

_FRAMES = {720: 300, 1080: 240, 2160: 72}  # per clip, by height
_STACK_SECONDS = 30.0  # of work for the stack
_STACK_HEIGHTS = (720, 1080)
_STREAMS = 4
_MANY_FRAMES = 10_000  # enough to see whether memory grows


@dataclass
class Row:
    """Figures of one size.

    Attributes
    ----------
    height : of the frames, pixels
    rates : frames/s on all cores, by stage
    stack : frames/s through Celery; 0: not measured
    cpu : processor milliseconds per frame through Celery, by role; and the number of frames
    rss_mb : resident memory of the largest embedding process, before and after
    """

    height: int
    rates: dict[str, float]
    stack: float = 0.0
    cpu: dict[str, float] = field(default_factory=dict)
    rss_mb: list[float] = field(default_factory=list)

    @property
    def stages(self) -> float:
        """Frames/s on all cores that follow from the sum of the stages' times."""
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
        row = Row(height, median_rates(times))
        say(f"{height} lines, stages")
        if height in _STACK_HEIGHTS:
            own = folder / f"stack{height}"
            own.mkdir()
            run_stack(row, clip, own, weights)
            say(f"{height} lines, through Celery")
            # Measured before and after the stack, because the speed of a shared machine varies.
            for name, more in stage_times(clip, by_hand, weights, runs).items():
                times[name] += more
            row.rates = median_rates(times)
        rows.append(row)
    report(rows, engine, cores, runs)


def clip_of(source: Path, height: int, folder: Path) -> Path:
    """Return `source` if it has `height` lines, else the same footage as a camera of that size would send it."""
    if probe(source, SourceKind.RECORDING, Limits()).height == height:
        return source
    return as_camera(source, folder / f"{height}.mp4", height, frames=_FRAMES[height])


def run_stack(row: Row, clip: Path, folder: Path, weights: str) -> None:
    """Feed copies of `clip`, every frame, to a whole stack, and set the rate, processor time and memory of `row`."""
    cores = os.cpu_count() or 1
    total = sum(
        1 for _ in sampled_frames(clip, SourceKind.RECORDING, sample_fps=None, start=0, stop=None, limits=Limits())
    )
    copies = max(_STREAMS, round(_STACK_SECONDS * row.stages / total))
    if row.height == _STACK_HEIGHTS[0]:
        copies = max(copies, -(-_MANY_FRAMES // total))
    settings = {
        "SENTINEL_WEIGHTS": weights,
        "SENTINEL_SAMPLE_FPS": "1000",  # every frame
        "SENTINEL_SETTLE_SECONDS": "0.3",
        "SENTINEL_EMBED_PROCESSES": str(cores),
    }
    with running_stack(folder, clip, **settings) as bench:
        for number in range(_STREAMS):  # warm up: fill the windows, and let every process read the clip
            bench.drop(clip, f"cam{number}", 0)
        bench.wait_for(_STREAMS)
        row.rss_mb.append(max(bench.embedding_rss()) / 1e6)
        before = bench.cpu_seconds()
        for number in range(1, copies + 1):
            bench.drop(clip, f"cam{number % _STREAMS}", number)
        began = time.perf_counter()
        done = bench.wait_for(copies + _STREAMS)
        seconds = time.perf_counter() - began - 0.3  # less the settle delay
        after = bench.cpu_seconds()
        row.rss_mb.append(max(bench.embedding_rss()) / 1e6)
        frames = sum(report.frames for report in done[_STREAMS:])
        row.stack = frames / seconds
        row.cpu = {name: 1e3 * (after[name] - before.get(name, 0.0)) / frames for name in after}
        row.cpu["frames"] = float(frames)


def report(rows: list[Row], engine: dict[str, float], cores: int, runs: int) -> None:
    """Print the tables, and store figures and picture."""
    print_rates(rows, engine, cores, runs)
    print_costs(rows, cores)
    save("throughput", {"engine": engine, "cores": cores, "rows": [vars(row) for row in rows]})
    drawn = (*STAGES, "pipeline", "by_hand")
    draw_bars(
        "throughput",
        f"frames per second on {cores} cores",
        "frames/s",
        {f"{row.height} lines": {name: row.rates[name] for name in drawn} for row in rows},
    )


def print_rates(rows: list[Row], engine: dict[str, float], cores: int, runs: int) -> None:
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
        sensors = row.rates["decode"] / row.rates["sensors"]
        print(f"| {row.height} | {through} | {pipeline / hand:.1f} | {sensors:.2f} |")


def print_costs(rows: list[Row], cores: int) -> None:
    names = ("embedding", "reducing", "celery", "redis", "other")
    print("\nprocessor milliseconds per frame through Celery, and resident memory of a worker before and after")
    print("| lines | " + " | ".join(names) + " | Celery + Redis, share | frames | MB |")
    print("|---|" + "---|" * (len(names) + 3))
    for row in rows:
        if row.cpu:
            spent = {name: row.cpu.get(name, 0.0) for name in names}
            # Time of the pool's processes beyond that of the bare pipeline counts as overhead of Celery and Redis.
            own = max(0.0, spent["embedding"] - 1e3 * cores / row.rates["pipeline"])
            share = (spent["celery"] + spent["redis"] + own) / sum(spent.values())
            grown = f"{row.rss_mb[0]:.0f} to {row.rss_mb[-1]:.0f} ({row.rss_mb[-1] / row.rss_mb[0] - 1:+.1%})"
            cells = " | ".join(f"{spent[name]:.2f}" for name in names)
            print(f"| {row.height} | {cells} | {share:.1%} | {row.cpu['frames']:.0f} | {grown} |")


if __name__ == "__main__":
    main()
