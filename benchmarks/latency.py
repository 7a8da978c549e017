"""How soon a dropped file has its verdict, on an idle stack.

    python -m benchmarks.latency [--runs 10] [--weights random:0]

Batches of 10 frames are dropped into a watched folder one at a time. Reported
is the time from the rename that makes a file appear to its verdict on
sentinel:events, less SENTINEL_SETTLE_SECONDS, which a file must stand still.
The reference is the one-process pipeline on the same file, without queues.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.machine import machine
from benchmarks.results import draw_bars, save
from benchmarks.stack import running_stack
from common.backbones import load_backbone
from common.contracts import SourceKind
from common.extraction import Extractor
from common.frames.sources import Limits
from common.settings import Settings
from sentinel.virtual_camera import record

_FRAMES, _FPS, _SETTLE = 10, 10.0, 0.5
_WARM = 8  # batches that fill the window and warm everything up


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--weights", default="random:0")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        golden, batch = folder / "golden.mp4", folder / "batch.mp4"
        record(golden, seconds=30, fps=_FPS, seed=1)
        record(batch, seconds=_FRAMES / _FPS, fps=_FPS, seed=2)
        extractor = Extractor(load_backbone(Settings(_env_file=None, weights=chosen.weights)), Limits())
        alone = []
        for _ in range(chosen.runs):
            began = time.perf_counter()
            extractor.extract(batch, SourceKind.VIDEO, uri="batch", sample_fps=None)
            alone.append(time.perf_counter() - began)
        settings = {
            "SENTINEL_WEIGHTS": chosen.weights,
            "SENTINEL_SETTLE_SECONDS": str(_SETTLE),
            "SENTINEL_WINDOW_STRIDE": str(_FRAMES),
        }
        with running_stack(folder, golden, **settings) as bench:
            waits = []
            for number in range(_WARM + chosen.runs):
                bench.drop(batch, "cam", number)
                began = time.perf_counter()
                bench.wait_for(number + 1)  # a batch's verdict and its completion are one commit
                if number >= _WARM:
                    waits.append(time.perf_counter() - began - _SETTLE)
                time.sleep(0.3)
    middle, reference = statistics.median(waits), statistics.median(alone)
    print(machine())
    print(f"medians of {chosen.runs} runs, batches of {_FRAMES} frames of 640 x 360, settle delay {_SETTLE} s\n")
    print("| | s | ratio |\n|---|---|---|")
    print(f"| features of the batch in one process (reference) | {reference:.3f} | 1 |")
    print(f"| drop to verdict, beyond the settle delay | {middle:.3f} | {middle / reference:.1f} |")
    print(f"| the slowest of them | {max(waits):.3f} | {max(waits) / reference:.1f} |")
    figures = {"features alone": reference, "drop to verdict": middle, "the slowest": max(waits)}
    save("latency", {"seconds": figures, "waits": waits})
    draw_bars("latency", f"a batch of {_FRAMES} frames on an idle stack", "s", {"s": figures})


if __name__ == "__main__":
    main()
