"""Makes bad data: python data_saboteur.py [--source FOOTAGE] [--fault noise] [--severity 3].

Golden footage goes to data/golden_frames and a sabotaged recording to data/drifted_frames, where the one-shot container
looks for it (docs/containers.md). Without --source both are of a virtual camera.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

try:
    from common.errors import SentinelError
    from simulation.demo_camera import film
    from simulation.saboteur import Fault, copy_name, sabotage
except ImportError as error:
    sys.exit(f"{error.name} is not installed here: say `make install`, then .venv/bin/python data_saboteur.py")


def main() -> int:
    """Make the footage; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, help="good footage: an image, a folder of images, or a video")
    parser.add_argument("--golden", type=Path, default=Path("data/golden_frames"), help="folder for good footage")
    parser.add_argument("--out", type=Path, default=Path("data/drifted_frames"), help="folder for the sabotaged")
    parser.add_argument("--fault", choices=[fault.value for fault in Fault], default="noise")
    parser.add_argument("--severity", type=int, choices=range(1, 6), default=3, help="1 mild to 5 gross")
    chosen = parser.parse_args()
    try:
        drifted = drift(chosen.source, chosen.golden, chosen.out, Fault(chosen.fault), chosen.severity)
    except (SentinelError, OSError) as error:
        print(error, file=sys.stderr)  # noqa: T201, a script's
        return 3
    print(f"golden   {chosen.golden}\ndrifted  {drifted}")  # noqa: T201
    return 0


def drift(source: Path | None, golden: Path, out: Path, fault: Fault, severity: int) -> Path:
    """Make both folders; return what was sabotaged."""
    out.mkdir(parents=True, exist_ok=True)
    if left := sorted(path.name for path in out.iterdir()):
        raise SentinelError(f"{out} holds {left[0]}, which would be judged along: empty it, or name another --out")
    if source is not None:
        target = out / copy_name(source, fault, severity)
        sabotage(source, target, fault, severity)
        return target
    golden.mkdir(parents=True, exist_ok=True)
    if not any(golden.iterdir()):
        film(golden / "golden.mp4", seed=1, seconds=60)
    clean = out / "clean.mp4"
    film(clean, seed=2)
    target = out / copy_name(clean, fault, severity)
    sabotage(clean, target, fault, severity)
    clean.unlink()
    return target


if __name__ == "__main__":
    sys.exit(main())
