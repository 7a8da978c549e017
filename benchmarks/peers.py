"""Other drift detectors on the same embeddings. Run by benchmarks/detection.py in a separate environment.

The libraries of the peers need NumPy 1, so this module imports nothing of
Sentinel and reads features from npz files: `golden`, `clean`, `FAULT-SEVERITY`.

The threshold of each peer is set in its favour. For each clip it is the largest
score of the clip's own clean windows, so there are no false alarms.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

warnings.filterwarnings("ignore")
Score = Callable[[np.ndarray], float]
_SEVERITIES = (1, 3)


def alibi_ks(reference: np.ndarray) -> Score:
    """alibi-detect's KSDrift: minus the logarithm of the smallest p-value of all features."""
    from alibi_detect.cd import KSDrift

    detector = KSDrift(reference, p_val=0.05)
    return lambda window: -float(np.log(detector.predict(window)["data"]["p_val"].min() + 1e-300))


def alibi_mmd(reference: np.ndarray) -> Score:
    """alibi-detect's MMDDrift: the squared distance."""
    from alibi_detect.cd import MMDDrift

    detector = MMDDrift(reference, p_val=0.05, backend="tensorflow", n_permutations=1)
    return lambda window: float(detector.predict(window)["data"]["distance"])


def evidently(method: str) -> Callable[[np.ndarray], Score]:
    """Evidently's embedding drift by one of its methods."""

    def build(reference: np.ndarray) -> Score:
        import pandas as pd
        from evidently.legacy.metrics.data_drift import embedding_drift_methods as methods

        detect = {"model": methods.model, "ratio": methods.ratio, "distance": methods.distance}[method]()
        golden = pd.DataFrame(reference).rename(columns=str)
        return lambda window: float(detect(pd.DataFrame(window).rename(columns=str), golden)[0])

    return build


def frouros_mmd(reference: np.ndarray) -> Score:
    """Frouros' MMD with its default kernel."""
    from frouros.detectors.data_drift import MMD

    detector = MMD()
    detector.fit(X=reference)
    return lambda window: float(detector.compare(X=window)[0].distance)


PEERS: dict[str, Callable[[np.ndarray], Score]] = {
    "alibi-detect KSDrift": alibi_ks,
    "alibi-detect MMDDrift": alibi_mmd,
    "Evidently model": evidently("model"),
    "Evidently ratio": evidently("ratio"),
    "Evidently distance": evidently("distance"),
    "frouros MMD": frouros_mmd,
}


def main(folder: Path) -> None:
    clips = {path.stem: dict(np.load(path)) for path in sorted(folder.glob("*.npz"))}
    faults = sorted({name.rsplit("-", 1)[0] for arrays in clips.values() for name in arrays if "-" in name})
    print("\n| peer, no false alarm allowed | " + " | ".join(f"{f} {s}" for s in _SEVERITIES for f in faults) + " |")
    print("|---|" + "---|" * (len(faults) * len(_SEVERITIES)))
    for peer, build in PEERS.items():
        seen: dict[str, list[bool]] = {}
        began = time.monotonic()
        try:
            for arrays in clips.values():
                score = build(arrays["golden"].astype(np.float32))
                size, stride = (int(n) for n in arrays["rule"])
                clean = arrays["clean"].astype(np.float32)
                starts = range(0, len(clean) - size + 1, stride)
                threshold = max(score(clean[start : start + size]) for start in starts)
                for fault in faults:
                    for severity in _SEVERITIES:
                        window = arrays[f"{fault}-{severity}"].astype(np.float32)
                        seen.setdefault(f"{fault}-{severity}", []).append(score(window) > threshold)
        except Exception as error:  # a peer that does not run here must not prevent the others
            print(f"| {peer} | did not run: {type(error).__name__}: {str(error)[:80]} |")
            continue
        cells = [seen[f"{fault}-{severity}"] for severity in _SEVERITIES for fault in faults]
        print(f"| {peer} | " + " | ".join(f"{sum(cell)}/{len(cell)}" for cell in cells) + " |", flush=True)
        print(f"{peer}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
