"""Recordings to try Sentinel with: those of the virtual camera, sound and sabotaged.

    python -m simulation.demo_camera FOLDER     films as a camera that goes bad, dropped one after the other

`data_saboteur.py` at the top makes golden and drifted footage of the same kind.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from simulation.faults import Fault
from simulation.saboteur import sabotage
from simulation.virtual_camera import record

_SECONDS, _FPS, _WIDTH, _HEIGHT = 32.0, 20.0, 480, 270  # as the demo's
_SEVERITY = {Fault.NOISE: 4, Fault.COVERED: 3}  # gross enough to be seen with the eye


def film(path: Path, seed: int, seconds: float = _SECONDS) -> None:
    """Record clean footage of the virtual camera at `path`; footage of other seeds differs, and passes against it.

    Raises
    ------
    NoPhotographs
        If scikit-image is not installed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".film-") as staging:  # whole, or not there
        made = Path(staging) / path.name
        record(made, seconds=seconds, fps=_FPS, seed=seed, width=_WIDTH, height=_HEIGHT)
        made.replace(path)


def film_bad(path: Path, fault: Fault, severity: int, seed: int) -> None:
    """Record footage of the virtual camera with a fault at `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".film-") as staging:
        clean, made = Path(staging) / "clean.mp4", Path(staging) / path.name
        record(clean, seconds=_SECONDS, fps=_FPS, seed=seed, width=_WIDTH, height=_HEIGHT)
        sabotage(clean, made, fault, severity)
        made.replace(path)


def main() -> None:
    """Drop three clean recordings into a folder, then one with each fault of the demo."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("folder", type=Path, help="a stream's folder in the watched one")
    folder = parser.parse_args().folder
    for seed in range(3):
        film(folder / f"{seed}-clean.mp4", seed)
    for number, (fault, severity) in enumerate(_SEVERITY.items(), start=3):
        film_bad(folder / f"{number}-{fault.value}.mp4", fault, severity, seed=number)


if __name__ == "__main__":
    main()
