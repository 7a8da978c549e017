"""Time per verdict: Sentinel's exact distances compared with SciPy's, in the same run on one thread.

    python -m benchmarks.judge [--runs 5]

The reference calls scipy.stats.ks_2samp and wasserstein_distance for each
dimension in a loop. Both get the same arrays, and their results are compared.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np
from scipy import stats

from benchmarks.machine import machine
from benchmarks.results import draw_bars, save
from benchmarks.workbench import fit
from common.drift.baseline import Baseline
from common.drift.judge import judge
from common.drift.statistics import kolmogorov_smirnov, sort_reference, wasserstein
from common.drift.windows import WindowRule
from common.features import FeatureBlock
from common.modalities.video.groups import EMBEDDING, QUALITY
from common.modalities.video.sensors import SENSOR_NAMES

_REFERENCE, _WINDOW, _WIDTH = 2000, 256, 1280


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    rng = np.random.default_rng(0)
    golden = rng.normal(size=(_REFERENCE, _WIDTH)).astype(np.float32)
    window = rng.normal(0.1, 1.1, (_WINDOW, _WIDTH)).astype(np.float32)
    window[:, ::2] = window[:, ::2].round(1)  # with ties
    reference = sort_reference(golden)

    def scipy_loops() -> np.ndarray:
        columns = list(zip(golden.T, window.T, strict=True))
        distances = [stats.wasserstein_distance(a, b) for a, b in columns]
        return np.array([distances, [stats.ks_2samp(a, b, method="asymp").statistic for a, b in columns]])

    def exact() -> np.ndarray:
        return np.stack([wasserstein(reference, window), kolmogorov_smirnov(reference, window)])

    baseline, block = baseline_and_window(rng)

    def verdict() -> None:
        judge(baseline, block)

    difference = float(np.abs(scipy_loops() - exact()).max())
    scipy_ms, exact_ms, verdict_ms = medians([scipy_loops, exact, verdict], runs)
    print(machine())
    print(f"medians of {runs} runs, one thread, {_REFERENCE} x {_WIDTH} against {_WINDOW} x {_WIDTH}\n")
    print("| | ms | ratio |\n|---|---|---|")
    print(f"| SciPy loops, Wasserstein + KS (reference) | {scipy_ms:.0f} | 1 |")
    print(f"| Sentinel, the same distances | {exact_ms:.1f} | 1/{scipy_ms / exact_ms:.0f} |")
    print(
        f"| a whole verdict: {_REFERENCE} golden frames, window of 48, "
        f"{_WIDTH} + {len(SENSOR_NAMES)} features | {verdict_ms:.1f} | |"
    )
    print(f"\nlargest difference: {difference:.1e}")
    figures = {"SciPy loops": scipy_ms, "the same distances": exact_ms, "a whole verdict": verdict_ms}
    save("judge", {"milliseconds": figures, "largest_difference": difference})
    draw_bars("judge", "a window against 2000 golden frames, one thread", "ms", {"ms": figures})


def baseline_and_window(rng: np.random.Generator) -> tuple[Baseline, FeatureBlock]:
    """Return a baseline of 2000 frames and a window, both of random features."""

    def features(count: int) -> FeatureBlock:
        return FeatureBlock(
            {
                EMBEDDING: rng.normal(size=(count, _WIDTH)).astype(np.float32),
                QUALITY: rng.normal(size=(count, len(SENSOR_NAMES))).astype(np.float32),
            },
            np.arange(count) / 5.0,
            ("random",),
            np.zeros(count, np.int32),
        )

    rule = WindowRule(frames=48, stride=12)
    return fit("random", [("random", features(_REFERENCE))], rule), features(rule.frames)


def medians(stages: list[Callable[[], object]], runs: int) -> list[float]:
    """Return the median milliseconds of each stage over `runs` runs; the stages are run in turn."""
    times: list[list[float]] = [[] for _ in stages]
    for _ in range(runs):
        for stage, found in zip(stages, times, strict=True):
            began = time.perf_counter()
            stage()
            found.append((time.perf_counter() - began) * 1e3)
    return [statistics.median(found) for found in times]


if __name__ == "__main__":
    main()
