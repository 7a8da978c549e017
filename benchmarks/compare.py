"""Two versions side by side on the same footage: do they say the same, and at what price?

    python -m benchmarks.compare --base COMMIT [--data FOLDER] [--runs 3] [--clips 2] [--faults noise,blur,low_light]

COMMIT is checked out beside the present tree and removed afterwards; both run with this interpreter and its libraries,
in turn (base, new, new, base, ...). Compared, every digit of every field that the older version has:

- the arrays of a baseline that each builds from the same golden footage
- `sentinel check --json` of clean and sabotaged clips, by the older version's baseline (the newer one has to open it)
- verdicts on `sentinel:events` for the same files dropped into the watched folder of a whole stack

Any difference is listed, and the exit code is 1. Fields that the newer version adds are named and are no difference;
those that it calls otherwise or does without stand in `compare_values.RENAMED` and `GONE`. Last, medians over the runs
with the ratio new / base, marked beyond 5%: throughput (from the last drop of all files to the last batch completed),
latency (a file of one window on an idle stack, drop to verdict), processor time of all of a stack's processes per
frame. The settle delay is taken off. Beside the ratio stands how far the base's own runs lie apart: a ratio within that
says nothing. What is assumed of a version stands in `compare_stack`.

Where the newer version makes features in another way on purpose, `--own-baselines` has each version's stack judge by
the baseline that it built itself. Of each verdict only status and cause are then compared, and nothing of `check`.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.compare_footage import WINDOW_FRAMES, Shot, prepare
from benchmarks.compare_stack import Load, StackRun, run_stack
from benchmarks.compare_trees import Tree, commit_of, two_trees
from benchmarks.compare_values import Comparison, compare_arrays, compare_values
from benchmarks.machine import machine
from benchmarks.results import save
from benchmarks.workbench import say
from simulation.faults import Fault

_BAR = 0.05  # a ratio beyond this is marked; what differs less may be the machine
_SMALL_FILES = 8  # dropped for the latency of one run
_HIGHER_IS_BETTER = ("throughput, frames/s",)


@dataclass
class Findings:
    """What was compared so far, and figures by what and by version."""

    compared: Comparison = field(default_factory=Comparison)
    rows: list[tuple[str, str]] = field(default_factory=list)
    figures: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def add(self, what: str, found: Comparison, detail: str = "") -> None:
        """Count a comparison in, with its row of the table."""
        self.compared.include(found, what)
        verdict = f"{len(found.differences)} differences" if found.differences else "the same"
        self.rows.append((what, f"{verdict} ({found.same} values){detail}"))

    def measure(self, label: str, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            self.figures.setdefault(name, {}).setdefault(label, []).append(value)


def main() -> None:
    chosen = arguments()
    faults = [Fault(name) for name in chosen.faults.split(",") if name]
    settings = {"SENTINEL_WEIGHTS": chosen.weights, "SENTINEL_WINDOW_FRAMES": str(WINDOW_FRAMES)}
    findings = Findings()
    with tempfile.TemporaryDirectory(prefix="sentinel-compare-") as name:
        folder = Path(name).resolve()
        shots = prepare(chosen.data, folder / "footage", faults, chosen.severity, chosen.clips)
        say("footage")
        with two_trees(chosen.base, folder) as trees:
            print(machine())
            print(f"base: {commit_of(trees[0].code)}, new: {commit_of(trees[1].code)}")
            print(f"footage: {', '.join(shot.name for shot in shots)}; {', '.join(faults)} at {chosen.severity}\n")
            baselines = build(trees, shots, folder, settings, None if chosen.own_baselines else findings)
            if chosen.part != "stack" and not chosen.own_baselines:
                check(trees, shots, baselines["base"], settings, findings)
            if chosen.part != "check":
                judges = baselines if chosen.own_baselines else dict.fromkeys(baselines, baselines["base"])
                loads = {label: load_of(shots, own, chosen.copies, settings) for label, own in judges.items()}
                said = status_and_cause if chosen.own_baselines else None
                stacks(trees, loads, chosen.runs, folder, findings, said)
    report(findings)
    sys.exit(1 if findings.compared.differences else 0)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", required=True, help="commit to compare the present tree with")
    parser.add_argument("--data", type=Path, help="folder with video clips; none: the virtual camera's")
    parser.add_argument("--runs", type=int, default=3, help="of each version's stack")
    parser.add_argument("--clips", type=int, default=2, help="most clips, the smallest files first")
    parser.add_argument(
        "--faults", default="noise,blur,low_light", help="as `sentinel sabotage --fault list` names them"
    )
    parser.add_argument("--severity", type=int, choices=range(1, 6), default=2)
    parser.add_argument("--copies", type=int, default=2, help="of each clip that a stack is fed at once")
    parser.add_argument("--weights", default="random:0")
    parser.add_argument("--own-baselines", action="store_true", help="each stack judges by its own version's baselines")
    parser.add_argument("--part", choices=("all", "check", "stack"), default="all")
    return parser.parse_args()


def in_turn(trees: tuple[Tree, Tree], number: int) -> tuple[Tree, Tree]:
    """Return base and new in the order of this turn: a machine that grows slower or faster favours neither."""
    return trees if number % 2 == 0 else (trees[1], trees[0])


def build(
    trees: tuple[Tree, Tree], shots: list[Shot], folder: Path, settings: dict[str, str], findings: Findings | None
) -> dict[str, dict[str, Path]]:
    """Build the baselines of all shots with both versions and compare them, if `findings` are asked for.

    They are returned by the version's label and the shot's name.
    """
    found: dict[str, dict[str, Path]] = {tree.label: {} for tree in trees}
    for number, shot in enumerate(shots):
        for tree in in_turn(trees, number):
            where = folder / f"baselines-{tree.label}"
            found[tree.label][shot.name] = tree.build(shot.golden, shot.name, where, settings)
        if findings is not None:
            compared = compare_arrays(found["base"][shot.name], found["new"][shot.name])
            findings.add(f"baseline {shot.name}, arrays", compared)
    say("baselines")
    return found


def check(
    trees: tuple[Tree, Tree],
    shots: list[Shot],
    baselines: dict[str, Path],
    settings: dict[str, str],
    findings: Findings,
) -> None:
    """Compare what `sentinel check --json` prints of each clip."""
    for shot in shots:
        for number, (fault, clip) in enumerate(shot.clips.items()):
            printed: dict[str, dict[str, Any]] = {}
            for tree in in_turn(trees, number):
                printed[tree.label], seconds = tree.check(clip, baselines[shot.name], settings)
                findings.measure(tree.label, {"check, s": seconds})
            base = printed["base"]
            detail = f", {base['status']} {base['drift_score']:.3f}, {len(base['windows'])} windows"
            findings.add(f"check {shot.name} {fault}", compare_values(base, printed["new"]), detail)
        say(f"checks of {shot.name}")


def load_of(shots: list[Shot], baselines: dict[str, Path], copies: int, settings: dict[str, str]) -> Load:
    """Return what a stack is fed: each copy of a clip in a stream of its own, so that no order can matter."""
    files, judges = dict[str, Path](), dict[str, Path]()
    for shot in shots:
        for fault, clip in shot.clips.items():
            for copy in range(copies):
                stream = f"{shot.name}/{fault}/{copy}"
                files[stream], judges[stream] = clip, baselines[shot.name]
    first = shots[0]
    # The window is the baseline's: no stack needs it said.
    own = {name: value for name, value in settings.items() if name != "SENTINEL_WINDOW_FRAMES"}
    return Load(files, judges, first.small, baselines[first.name], _SMALL_FILES, own)


_Verdicts = dict[str, list[dict[str, Any]]]


def status_and_cause(verdicts: _Verdicts) -> _Verdicts:
    """Return of each verdict its status and cause."""
    return {
        stream: [{name: row[name] for name in ("status", "cause")} for row in rows] for stream, rows in verdicts.items()
    }


def stacks(
    trees: tuple[Tree, Tree],
    loads: Mapping[str, Load],
    runs: int,
    folder: Path,
    findings: Findings,
    said: Callable[[_Verdicts], _Verdicts] | None,
) -> None:
    """Run both versions' stacks in turn, and compare all verdicts with those of the base's first run.

    Parameters
    ----------
    loads : by the version's label
    said : returns what is compared of the verdicts; None: everything
    """
    done: dict[str, list[StackRun]] = {"base": [], "new": []}
    for number in range(runs):
        for tree in in_turn(trees, number):
            # Names of one length, whatever the version: verdicts hold paths.
            run = run_stack(tree, folder / f"{tree.label:_<4}{number:04d}", loads[tree.label])
            done[tree.label].append(run)
            findings.measure(tree.label, run.figures)
            say(f"stack of {tree.label}, run {number + 1} of {runs}")
    said = said or (lambda verdicts: verdicts)
    reference = said(done["base"][0].verdicts)
    detail = f", {sum(len(rows) for rows in reference.values())} verdicts of {len(reference)} streams"
    for label, first in (("base", 1), ("new", 0)):
        for number, run in enumerate(done[label][first:], first + 1):
            what = f"stack verdicts, {label} run {number}" + (" (base against itself)" if label == "base" else "")
            findings.add(what, compare_values(reference, said(run.verdicts)), detail)


def report(findings: Findings) -> None:
    """Print what was the same, what was not, and the medians."""
    print("| compared | result |\n|---|---|")
    for what, result in findings.rows:
        print(f"| {what} | {result} |")
    if findings.compared.added:
        print(f"\nadded by the newer version, no difference: {', '.join(sorted(findings.compared.added))}")
    if findings.compared.differences:
        print("\nDIFFERENCES")
        print("\n".join(findings.compared.differences))
    middle: Callable[[list[float]], float] = statistics.median
    print("\n| medians | base | new | new / base | base, largest / smallest | runs |\n|---|---|---|---|---|---|")
    for name, figures in findings.figures.items():
        base, new = middle(figures["base"]), middle(figures["new"])
        spread = max(figures["base"]) / min(figures["base"])
        print(
            f"| {name} | {base:.4g} | {new:.4g} | {new / base:.3f}{mark(name, new / base, spread)} | {spread:.3f} "
            f"| {len(figures['new'])} |"
        )
    found = findings.compared
    save("compare", {"figures": findings.figures, "same": found.same, "differences": found.differences})


def mark(name: str, ratio: float, spread: float) -> str:
    """Return what is to be said of a ratio beyond the bar: better or worse, or that the machine was too restless."""
    if abs(ratio - 1) <= _BAR:
        return ""
    if 1 / spread <= ratio <= spread:
        return f" (beyond {_BAR:.0%}, as are the base's own runs)"
    return f" (beyond {_BAR:.0%}: {'better' if (ratio > 1) == (name in _HIGHER_IS_BETTER) else 'WORSE'})"


if __name__ == "__main__":
    main()
