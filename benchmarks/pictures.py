"""The picture of the detection benchmark."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

_DARK = 0.9  # the colour map is dark above this share, and below 1 minus it


class _Share(Protocol):
    hits: int
    count: int


def power_picture(power: Mapping[str, Mapping[int, _Share]], path: Path) -> Path:
    """Draw the share of clips in which each fault is detected, by severity, to `path`, and return it."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    faults = list(power)
    severities = sorted({severity for shares in power.values() for severity in shares})
    shares = [[power[f][s].hits / power[f][s].count if s in power[f] else 0.0 for s in severities] for f in faults]
    figure, axes = plt.subplots(figsize=(7, 0.42 * len(faults) + 1.6))
    axes.imshow(shares, cmap="RdYlGn", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(severities)), [str(s) for s in severities])
    axes.set_yticks(range(len(faults)), [fault.replace("_", " ") for fault in faults])
    axes.set_xlabel("severity, 1 mild to 5 gross")
    axes.set_title("share of clips whose first faulty window FAILs")
    for row, _ in enumerate(faults):
        for column, _ in enumerate(severities):
            ink = "white" if shares[row][column] > _DARK or shares[row][column] < 1 - _DARK else "black"
            axes.text(column, row, f"{shares[row][column]:.0%}", ha="center", va="center", color=ink)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path
