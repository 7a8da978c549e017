"""Stores the figures of a benchmark as JSON and as a picture."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.machine import machine

FOLDER = Path(__file__).parent / "results"


def save(name: str, figures: Mapping[str, object]) -> None:
    """Write `figures` and the machine's description to results/NAME.json."""
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{name}.json"
    path.write_text(json.dumps({"machine": machine(), **figures}, indent=1), encoding="utf-8")
    print(f"\nJSON: {path}")


def draw_bars(name: str, title: str, unit: str, groups: Mapping[str, Mapping[str, float]]) -> None:
    """Draw `groups`, values by label and group, as grouped bars to results/NAME.png."""
    from matplotlib import pyplot as plt

    labels = list(next(iter(groups.values())))
    figure, axes = plt.subplots(figsize=(1.6 + 1.1 * len(labels), 4))
    width = 0.8 / len(groups)
    for number, (group, values) in enumerate(groups.items()):
        positions = [label + number * width for label in range(len(labels))]
        bars = axes.bar(positions, [values[label] for label in labels], width, label=group)
        axes.bar_label(bars, fmt="%.3g", fontsize=8)
    axes.set_xticks([label + 0.4 - width / 2 for label in range(len(labels))], labels, rotation=20, ha="right")
    axes.set_ylabel(unit)
    axes.set_title(title)
    if len(groups) > 1:
        axes.legend()
    _store(figure, name)


def draw_lines(
    name: str, title: str, x: str, y: str, lines: Mapping[str, Sequence[tuple[float, float]]], *, logarithmic: str = ""
) -> None:
    """Draw `lines`, points (x, y) by label, to results/NAME.png; `logarithmic` lists the logarithmic axes, as "xy"."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6.5, 4))
    for label, points in lines.items():
        axes.plot([at for at, _ in points], [value for _, value in points], "o-", label=label)
    if "x" in logarithmic:
        axes.set_xscale("log")
    if "y" in logarithmic:
        axes.set_yscale("log")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_ylim(bottom=None if "y" in logarithmic else 0)
    axes.grid(alpha=0.3)
    axes.set_title(title)
    if len(lines) > 1:
        axes.legend()
    _store(figure, name)


def _store(figure: object, name: str) -> None:
    from matplotlib.figure import Figure

    assert isinstance(figure, Figure)
    FOLDER.mkdir(exist_ok=True)
    figure.tight_layout()
    path = FOLDER / f"{name}.png"
    figure.savefig(path, dpi=110)
    print(f"picture: {path}")
