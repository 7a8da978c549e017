"""Accuracy of detection: false alarms, power, delay and causes on every clip of a folder.

    python -m benchmarks.detection --data FOLDER [--out .sentinel/evaluate]

The first half of each clip is golden footage. The second half is judged: clean,
and with every fault in five severities. The other clips are judged as new
content. A fault is judged on the first full window of the second half. Its delay
is the number of faulty frames in the first window that FAILs, as the window
slides from clean to faulty frames.

Settings (SENTINEL_*) apply as usual. Features are cached below --out, so a
second run only judges. The table is printed; figures and a picture are stored.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from benchmarks.clips import clips_below
from benchmarks.evaluation import Result, evaluate
from benchmarks.footage import SEVERITY_LEVELS, load_all
from benchmarks.machine import machine
from benchmarks.shares import Share, total
from common.drift.confirmation import DAY_SECONDS
from common.drift.intervals import most_per_day
from common.settings import Settings
from simulation.faults import Fault

_MAIN = (Fault.NOISE, Fault.BLUR, Fault.LOW_LIGHT, Fault.COMPRESSION)
_OTHER = tuple(fault for fault in Fault if fault not in _MAIN)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with video clips")
    parser.add_argument("--out", type=Path, default=Path(".sentinel/evaluate"), help="for the cache, table and picture")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    chosen = parser.parse_args()
    settings = Settings()
    clips = clips_below(chosen.data)
    if not clips:
        sys.exit(f"{chosen.data} holds no video files")
    footage = load_all(clips, settings, chosen.out / "features", chosen.processes, _say)
    result = evaluate(footage, settings)
    print(machine())
    print(report(result, settings))
    (chosen.out / "detection.json").write_text(json.dumps(asdict(result), indent=1))
    from benchmarks.pictures import power_picture

    print("picture:", power_picture(result.power, chosen.out / "detection.png"))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def report(result: Result, settings: Settings) -> str:
    """Return the tables as Markdown."""
    return "\n".join(
        [
            f"{len(result.clean_fail)} clips, FAIL at score > {settings.drift_threshold} and p < {settings.p_value}",
            "",
            *_clean_table(result, settings),
            "",
            *_fault_table(result),
            "",
            *_summary_table(result),
            *(["", "left out: " + "; ".join(result.left_out)] if result.left_out else []),
        ]
    )


def _clean_table(result: Result, settings: Settings) -> list[str]:
    clean = total(result.clean_fail.values())
    days = result.clean_seconds / DAY_SECONDS
    return [
        "| clean footage | |",
        "|---|---|",
        f"| windows of second halves that FAIL | {clean} |",
        f"| whole second halves that pass | {sum(v == 'PASS' for v in result.whole.values())}/{len(result.whole)} |",
        f"| p below {settings.p_value} | {result.clean_significant} |",
        f"| windows of other splits (halves swapped, first or last third held out) that FAIL | {result.held_out} |",
        f"| confirmed alarms on this clean footage | {result.alarms} in {days * 24 * 60:.1f} minutes: at most "
        f"{most_per_day(result.alarms, days):.3g} per camera-day at the upper bound of 95% |",
        f"| false alarms per camera-day, second halves resampled | {_spread(result.alarms_per_day)} |",
        f"| the same, other splits resampled | {_spread(result.alarms_per_day_held_out)} |",
        f"| windows of other clips that FAIL | {result.content} |",
    ]


def _fault_table(result: Result) -> list[str]:
    lines = [
        "| fault | "
        + " | ".join(f"severity {s}" for s in SEVERITY_LEVELS)
        + " | cause right, from 3 | delay at 3, frames |",
        "|---|" + "---|" * (len(SEVERITY_LEVELS) + 2),
    ]
    for fault in (*_MAIN, *_OTHER):
        rows = result.power.get(fault, {})
        named = _sum(result.cause.get(fault, {}), 3)
        delays = result.delay.get(fault, {}).get(3, [])
        lines.append(
            f"| {fault} | "
            + " | ".join(f"{rows[s].hits}/{rows[s].count}" for s in SEVERITY_LEVELS if s in rows)
            + f" | {named} | {statistics.median(delays) if delays else float('nan'):.0f} |"
        )
    return lines


def _summary_table(result: Result) -> list[str]:
    causes = total(_sum(shares, 3) for shares in result.cause.values())
    return [
        "| severities and faults | detected |",
        "|---|---|",
        f"| noise, blur, low light, JPEG, from 3 | {_power(result, _MAIN, (3, 4, 5))} |",
        f"| the same, 1 and 2 | {_power(result, _MAIN, (1, 2))} |",
        f"| the other faults, from 3 | {_power(result, _OTHER, (3, 4, 5))} |",
        f"| the other faults, 1 and 2 | {_power(result, _OTHER, (1, 2))} |",
        f"| right cause of the FAILs, from 3 | {causes} |",
    ]


def _spread(rates: dict[str, float]) -> str:
    known = sorted(rate for rate in rates.values() if np.isfinite(rate))
    if not known:
        return "-"
    return f"median {statistics.median(known):.1f}, worst clip {known[-1]:.1f}"


def _sum(shares: dict[int, Share], least: int) -> Share:
    return total(share for severity, share in shares.items() if severity >= least)


def _power(result: Result, faults: Sequence[Fault], severities: Sequence[int]) -> Share:
    return total(result.power[f][s] for f in faults if f in result.power for s in severities if s in result.power[f])


if __name__ == "__main__":
    main()
