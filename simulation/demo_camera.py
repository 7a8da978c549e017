"""Recordings to try Sentinel with: those of the virtual camera, sound and sabotaged.

    python -m simulation.demo_camera FOLDER     films as a camera that goes bad, dropped one after the other

`data_saboteur.py` at the top makes golden and drifted footage of the same kind.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from common.whole_files import whole_file
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
    with whole_file(path) as made:
        record(made, seconds=seconds, fps=_FPS, seed=seed, width=_WIDTH, height=_HEIGHT)


def film_bad(path: Path, fault: Fault, severity: int, seed: int) -> None:
    """Record footage of the virtual camera with a fault at `path`."""
    with whole_file(path) as made:
        clean = made.with_name(f"clean{made.suffix}")  # goes with the folder that `made` is in
        film(clean, seed)
        sabotage(clean, made, fault, severity)


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
