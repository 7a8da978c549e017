"""Readings of detectors that look at frames. Run by benchmarks/peer_comparison.py in the peers' environment.

For each line on standard input, the word `golden` or `judged` and three paths, separated by tabs, reads a golden frame
(h, w, 3) and consecutive frames (n, h, w, 3) uint8, RGB, from the first two, writes the readings of each frame to the
third, and answers with an empty line. Of golden frames only the last kind is read:

- `health` (n, 1), camera-health: 100 minus the score of its Monitor, which compares with the golden frame;
- `rejected` (n, 1), VigilCV: 1 where its VisionSentinel rejects the frame;
- `moments` (n, f), VigilCV: what its drift is computed from.
"""

from __future__ import annotations

import os
import sys
import warnings
from typing import Any

import numpy as np
from camera_health import Monitor
from vigilcv import VisionSentinel
from vigilcv.core import extract_spatial_color_moments

warnings.filterwarnings("ignore")


def main() -> None:
    os.nice(19)
    guard = VisionSentinel(raise_on_fail=False)
    for line in sys.stdin:
        part, reference, source, target = line.rstrip("\n").split("\t")
        frames = np.load(source, mmap_mode="r")
        found = {"moments": np.stack([extract_spatial_color_moments(np.array(frame)) for frame in frames])}
        if part == "judged":
            monitor = Monitor(reference=np.load(reference))
            found["health"] = np.array([[100.0 - monitor.update(np.array(frame)).score] for frame in frames])
            found["rejected"] = np.array([[not guard.audit(np.array(frame)).is_valid] for frame in frames])
        arrays: dict[str, Any] = {kind: values.astype(np.float32) for kind, values in found.items()}
        np.savez(target, **arrays)
        print(flush=True)


if __name__ == "__main__":
    main()
