"""The machine's limit and the bare engine, on a given number of threads; runs in its own process.

    OMP_NUM_THREADS=2 python -m benchmarks.limit THREADS WEIGHTS RUNS

Prints JSON: the frames/s that sgemm allows, and those that the backbone reaches on prepared frames.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time

_FRAME_FLOP = 0.6e9  # of MobileNetV2 at 224 pixels: 300 million multiply-adds (Sandler et al., 2018)
_SIZE = 3072  # of the matrices
_BATCH = 64


def limit(threads: int, weights: str, runs: int) -> dict[str, float]:
    """Return the medians of sgemm and engine in frames/s, measured in turn in a process with `threads` threads."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(names, str(threads))}
    command = [sys.executable, "-m", "benchmarks.limit", str(threads), weights, str(runs)]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main(threads: int, weights: str, runs: int) -> None:
    import numpy as np

    from benchmarks.workbench import cpu_backbone

    backbone = cpu_backbone(weights, threads)
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (_BATCH, backbone.input_size, backbone.input_size, 3), dtype=np.uint8)
    left, right = rng.random((_SIZE, _SIZE), np.float32), rng.random((_SIZE, _SIZE), np.float32)
    rates: dict[str, list[float]] = {"sgemm": [], "engine": []}
    for run in range(runs + 1):
        began = time.perf_counter()
        np.matmul(left, right)
        between = time.perf_counter()
        backbone.embed(frames)
        ended = time.perf_counter()
        if run:  # the first run warms up
            rates["sgemm"].append(2.0 * _SIZE**3 / _FRAME_FLOP / (between - began))
            rates["engine"].append(_BATCH / (ended - between))
    print(json.dumps({name: statistics.median(found) for name, found in rates.items()}))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
