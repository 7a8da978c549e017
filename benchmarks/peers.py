"""Other drift detectors. Run by benchmarks/peer_comparison.py in a separate environment.

    python peers.py FOLDER

The libraries of the peers need NumPy 1, so this module imports nothing of Sentinel. It reads an npz file for each
clip: `rule` (frames of a window), `effects` (q,), and arrays called KIND:PART, (n, columns), where a part is `golden`,
`clean` or FAULT-SEVERITY, and a kind is `embedding`, `sensors` (the readings of Sentinel's sensors), or what
benchmarks/peer_frames.py reads from frames. It prints as JSON what each peer found.

The threshold of each peer is set in its favour: for each clip it is the largest score of the clip's own disjoint clean
windows, so none of these is a false alarm.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

warnings.filterwarnings("ignore")
Score = Callable[[np.ndarray], float]
"""Window (n, columns) -> how far it is from golden."""
Build = Callable[[np.ndarray, np.ndarray], Score]
"""Golden footage (m, columns) and smallest spreads of sensors (q,) -> the score."""
_ALLOWANCE = 0.5  # of CUSUM, in standard deviations: the textbook value, for a shift of one
_WEIGHT = 0.1  # of the newest frame in EWMA
_TIE = 1e-3  # of a second score, which decides between equal ones


def alibi_ks(golden: np.ndarray, _effects: np.ndarray) -> Score:
    """alibi-detect's KSDrift: minus the logarithm of the smallest p-value of all features; where one is as small as it
    can be, the mean distance tells windows apart."""
    from alibi_detect.cd import KSDrift

    detector = KSDrift(golden, p_val=0.05)

    def score(window: np.ndarray) -> float:
        found = detector.predict(window)["data"]
        return -float(np.log(found["p_val"].min() + 1e-300)) + _TIE * float(found["distance"].mean())

    return score


def alibi_mmd(golden: np.ndarray, _effects: np.ndarray) -> Score:
    """alibi-detect's MMDDrift: the squared distance."""
    from alibi_detect.cd import MMDDrift

    detector = MMDDrift(golden, p_val=0.05, backend="tensorflow", n_permutations=1)
    return lambda window: float(detector.predict(window)["data"]["distance"])


def evidently(method: str) -> Build:
    """Evidently's embedding drift by one of its methods."""

    def build(golden: np.ndarray, _effects: np.ndarray) -> Score:
        import pandas as pd
        from evidently.legacy.metrics.data_drift import embedding_drift_methods as methods

        detect = {"model": methods.model, "ratio": methods.ratio, "distance": methods.distance}[method]()
        reference = pd.DataFrame(golden).rename(columns=str)
        return lambda window: float(detect(pd.DataFrame(window).rename(columns=str), reference)[0])

    return build


def frouros_mmd(golden: np.ndarray, _effects: np.ndarray) -> Score:
    """Frouros' MMD with its default kernel."""
    from frouros.detectors.data_drift import MMD

    detector = MMD()
    detector.fit(X=golden)
    return lambda window: float(detector.compare(X=window)[0].distance)


def vigilcv_drift(measure: str) -> Build:
    """VigilCV's drift of its colour moments, by one of its distances."""

    def build(golden: np.ndarray, _effects: np.ndarray) -> Score:
        from vigilcv.core import compute_distribution_drift

        return lambda window: float(getattr(compute_distribution_drift(golden, window), measure))

    return build


def mean_reading(_golden: np.ndarray, _effects: np.ndarray) -> Score:
    """The mean over the window of a score that a library gives each frame."""
    return lambda window: float(window.mean())


def cusum(golden: np.ndarray, effects: np.ndarray) -> Score:
    """Two-sided CUSUM of each sensor, from the window's first frame on; the largest of all sensors and frames."""
    standard = _standardised(golden, effects)

    def score(window: np.ndarray) -> float:
        largest = 0.0
        up = down = np.zeros(golden.shape[1])
        for row in standard(window):
            up, down = np.maximum(up + row - _ALLOWANCE, 0), np.maximum(down - row - _ALLOWANCE, 0)
            largest = max(largest, float(up.max()), float(down.max()))
        return largest

    return score


def ewma(golden: np.ndarray, effects: np.ndarray) -> Score:
    """EWMA of each sensor, from the window's first frame on; the largest deviation of all sensors and frames."""
    standard = _standardised(golden, effects)

    def score(window: np.ndarray) -> float:
        largest, level = 0.0, np.zeros(golden.shape[1])
        for row in standard(window):
            level = (1 - _WEIGHT) * level + _WEIGHT * row
            largest = max(largest, float(np.abs(level).max()))
        return largest

    return score


def _standardised(golden: np.ndarray, effects: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return what gives readings in golden standard deviations, each at least the minimum effect of its sensor: without
    that, a sensor that golden footage hardly moves decides alone."""
    mean, spread = golden.mean(axis=0), np.maximum(golden.std(axis=0), effects)
    return lambda window: np.asarray((window - mean) / spread)


PEERS: dict[str, tuple[str, Build]] = {
    "alibi-detect KSDrift": ("embedding", alibi_ks),
    "alibi-detect MMDDrift": ("embedding", alibi_mmd),
    "Evidently model": ("embedding", evidently("model")),
    "Evidently ratio": ("embedding", evidently("ratio")),
    "Evidently distance": ("embedding", evidently("distance")),
    "frouros MMD": ("embedding", frouros_mmd),
    "camera-health score": ("health", mean_reading),
    "VigilCV rejected frames": ("rejected", mean_reading),
    "VigilCV drift, MMD": ("moments", vigilcv_drift("mmd_score")),
    "VigilCV drift, Wasserstein": ("moments", vigilcv_drift("wasserstein_distance")),
    "CUSUM on Sentinel's sensors": ("sensors", cusum),
    "EWMA on Sentinel's sensors": ("sensors", ewma),
}
"""By name: the kind of features that it is given, and what makes its score."""


def found_by(peer: str, clip: dict[str, np.ndarray]) -> dict[str, bool]:
    """Return by fault and severity whether a peer finds the fault in its first window."""
    kind, build = PEERS[peer]
    parts = {
        name.partition(":")[2]: values.astype(np.float32)
        for name, values in clip.items()
        if name.startswith(f"{kind}:")
    }
    size, clean = int(clip["rule"]), parts.pop("clean")
    score = build(parts.pop("golden", clean), clip["effects"])
    threshold = max(score(clean[start : start + size]) for start in range(0, len(clean) - size + 1, size))
    return {name: bool(score(window) > threshold) for name, window in parts.items()}


def main(folder: Path) -> None:
    os.nice(19)
    clips = {path.stem: dict(np.load(path)) for path in sorted(folder.glob("*.npz"))}
    results = {}
    for peer in PEERS:
        began = time.monotonic()
        try:
            results[peer] = {"found": {name: found_by(peer, clip) for name, clip in clips.items()}, "error": ""}
        except Exception as error:  # a peer that does not run here must not prevent the others
            results[peer] = {"found": {}, "error": f"{type(error).__name__}: {str(error)[:80]}"}
        print(f"{peer}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    print(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
