"""Do the judge's rates hold on cameras that it has not seen? Measured on every clip of folders of fixed cameras.

    python -m benchmarks.rates --data FOLDER[:FOLDER...] [--cache .sentinel/evaluate]

Each camera is left out of the table of clean drift while it is judged; the table is made of the same clips.
Clean footage: the four splits of each clip, windows at the judge's stride and windows that do not overlap. Faults: the
first half is golden; each of the saboteur's faults at severities 1, 3 and 5 in the first window of the second half,
and the footage time until an alarm is confirmed, with two windows of the fault shown over and over. Counts come with
95% bounds (Clopper and Pearson; per day, Garwood). These take windows for independent, which those of one camera are
not: look at the clips, too.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.corpus import FIRST_HALF, disjoint, splits, table_of
from benchmarks.machine import machine
from benchmarks.rates_footage import LEVELS, Clip, load_clips
from benchmarks.shares import AlarmCount, Share, total
from benchmarks.workbench import fit, judged
from common.contracts.verdicts import Judgement, Status
from common.drift.baseline import Baseline
from common.drift.clean_drift import CleanDrift
from common.drift.confirmation import DAY_SECONDS, AlarmRule
from common.drift.intervals import most_per_day
from common.errors import SentinelError
from common.features import FeatureBlock
from common.settings import Settings
from simulation.faults import Fault

_LONGEST_SECONDS = 600.0  # of footage, in which an alarm is waited for
_SMALL_P = 0.001


@dataclass
class ClipResult:
    """What was found on one clip.

    Attributes
    ----------
    overlapping, disjoint : clean windows that FAIL
    significant, tiny : clean windows that do not overlap with p below the setting, and below 0.001
    alarms : confirmed alarms on clean footage
    seconds : of clean footage that was judged
    found : by fault and severity, whether the first window FAILs
    confirmed : by fault and severity, seconds of footage until an alarm was confirmed; infinite: not within ten minutes
    two_windows : seconds of two windows that do not overlap
    cause : by fault and severity, whether the cause of the FAIL is right
    notes : FAILs of clean footage and what was missed, in words
    """

    overlapping: Share = field(default_factory=Share)
    disjoint: Share = field(default_factory=Share)
    significant: Share = field(default_factory=Share)
    tiny: Share = field(default_factory=Share)
    alarms: int = 0
    seconds: float = 0.0
    found: dict[tuple[Fault, int], bool] = field(default_factory=dict)
    confirmed: dict[tuple[Fault, int], float] = field(default_factory=dict)
    two_windows: float = 0.0
    cause: dict[tuple[Fault, int], bool] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def measure(clip: Clip, drift: CleanDrift, settings: Settings) -> ClipResult:
    """Judge one clip by a table of clean drift that its camera is not in."""
    frames, stride = clip.rule.frames, clip.rule.stride
    # The first verdict by which two windows that share no frame have been judged.
    result = ClipResult(two_windows=(frames + math.ceil(frames / stride) * stride) / clip.fps)
    for split in splits(clip.whole):
        try:
            baseline = fit(clip.name, [(clip.name, split.golden)], clip.rule, drift=drift)
        except SentinelError as error:
            result.notes.append(f"{split.name}: {error}")
            continue
        _clean(result, clip, baseline, split.name, split.rest, settings)
        if split.name == FIRST_HALF:
            for (fault, severity), block in clip.faulty.items():
                _faulty(result, clip, baseline, fault, severity, block, settings)
    return result


def _clean(
    result: ClipResult, clip: Clip, baseline: Baseline, split: str, rest: FeatureBlock, settings: Settings
) -> None:
    frames, stride = clip.rule.frames, clip.rule.stride
    rule = AlarmRule.of(settings.false_alarms_per_day, frames, baseline.frames_per_second)
    alarms = AlarmCount(rule)
    result.seconds += len(rest) / clip.fps
    for start in range(0, len(rest) - frames + 1, stride):
        judgement = judged(baseline, rest[start : start + frames], settings)
        failed = judgement.status is Status.FAIL
        result.overlapping.add(failed)
        alarms.add(judgement, range(start, start + frames))
        if failed:
            result.notes.append(f"clean, {split}, frame {start}: {_told(judgement)}")
    result.alarms += alarms.alarms
    for window in disjoint(rest, frames):
        judgement = judged(baseline, window, settings)
        result.disjoint.add(judgement.status is Status.FAIL)
        result.significant.add(judgement.p_value < settings.p_value)
        result.tiny.add(judgement.p_value < _SMALL_P)


def _faulty(
    result: ClipResult,
    clip: Clip,
    baseline: Baseline,
    fault: Fault,
    severity: int,
    block: FeatureBlock,
    settings: Settings,
) -> None:
    frames, stride = clip.rule.frames, clip.rule.stride
    rule = AlarmRule.of(settings.false_alarms_per_day, frames, baseline.frames_per_second)
    known: dict[int, Judgement] = {}

    def at(start: int) -> Judgement:
        place = start % len(block)
        if place not in known:
            both = FeatureBlock.concatenate([block, block])
            known[place] = judged(baseline, both[place : place + frames], settings)
        return known[place]

    first = at(0)
    key = fault, severity
    result.found[key] = first.status is Status.FAIL
    if result.found[key]:
        result.cause[key] = fault.cause in {None, first.cause}
    if not result.found[key] or not result.cause[key]:
        result.notes.append(f"{fault} {severity}: {first.status} {_told(first)}")
    alarms, start = AlarmCount(rule), 0
    while not alarms.confirmed and (start + frames) / clip.fps <= _LONGEST_SECONDS:
        alarms.add(at(start), range(start, start + frames))
        start += stride
    result.confirmed[key] = (start - stride + frames) / clip.fps if alarms.confirmed else float("inf")


def _told(judgement: Judgement) -> str:
    moved = ", ".join(
        f"{row.feature} {row.baseline_value:.3f} -> {row.window_value:.3f}" for row in judgement.leading_features[:4]
    )
    return f"score {judgement.drift_score:.2f}, p {judgement.p_value:.3f}, {judgement.cause or 'no cause'} ({moved})"


def report(results: dict[str, ClipResult], cameras: int) -> str:
    """Return the tables as Markdown."""
    return "\n".join([*_clean_tables(results, cameras), "", *_fault_tables(results)])


def _clean_tables(results: dict[str, ClipResult], cameras: int) -> Iterator[str]:
    rows = list(results.values())
    alarms, days = sum(row.alarms for row in rows), sum(row.seconds for row in rows) / DAY_SECONDS
    yield f"| clean footage of {cameras} cameras, each left out of the table; four splits | |"
    yield "|---|---|"
    yield f"| windows that FAIL | {total(row.overlapping for row in rows)} |"
    yield f"| disjoint windows that FAIL | {total(row.disjoint for row in rows)} |"
    yield f"| disjoint windows with p below the setting | {total(row.significant for row in rows)} |"
    yield f"| disjoint windows with p < {_SMALL_P} | {total(row.tiny for row in rows)} |"
    yield (
        f"| confirmed alarms | {alarms} in {days * 24 * 60:.1f} minutes: at most {most_per_day(alarms, days):.0f} "
        "per camera-day at the upper bound of 95% |"
    )
    yield ""
    yield "| clip | windows that FAIL | disjoint windows that FAIL | alarms |"
    yield "|---|---|---|---|"
    for name, row in results.items():
        yield f"| {name} | {row.overlapping} | {row.disjoint} | {row.alarms} |"


def _fault_tables(results: dict[str, ClipResult]) -> Iterator[str]:
    yield "| fault | " + " | ".join(f"severity {level} | cause right" for level in LEVELS) + " |"
    yield "|---|" + "---|---|" * len(LEVELS)
    for fault in (*Fault, None):
        cells = []
        for level in LEVELS:
            faults = [fault] if fault else list(Fault)
            found = total(_of(row.found, faults, level) for row in results.values())
            cause = total(_of(row.cause, faults, level) for row in results.values())
            cells += (
                [f"{found.hits}/{found.count}", f"{cause.hits}/{cause.count}"] if fault else [str(found), str(cause)]
            )
        yield f"| {fault or 'all'} | " + " | ".join(cells) + " |"
    yield ""
    yield "| footage until an alarm is confirmed | two disjoint windows | 1 minute | 4 minutes | 8 minutes | median |"
    yield "|---|---|---|---|---|---|"
    no_history = [Fault.BLACK, Fault.FROZEN]
    for label, faults, level in [
        *((f"severity {level}", list(Fault), level) for level in LEVELS),
        *((f"black, frozen, severity {level}", no_history, level) for level in LEVELS),
    ]:
        cells = [
            str(total(_within(row, faults, level, limit) for row in results.values()))
            for limit in (0.0, 60.0, 240.0, 480.0)
        ]
        waits = [
            row.confirmed[fault, level]
            for row in results.values()
            for fault in faults
            if (fault, level) in row.confirmed
        ]
        yield f"| {label} | " + " | ".join(cells) + f" | {np.median(waits) if waits else float('nan'):.0f} s |"


def _of(found: dict[tuple[Fault, int], bool], faults: Sequence[Fault], level: int) -> Share:
    kept = [found[fault, level] for fault in faults if (fault, level) in found]
    return Share(sum(kept), len(kept))


def _within(row: ClipResult, faults: Sequence[Fault], level: int, seconds: float) -> Share:
    """Count the faults that are confirmed within some seconds, or within two disjoint windows if these take longer."""
    waits = [row.confirmed[fault, level] for fault in faults if (fault, level) in row.confirmed]
    return Share(sum(wait <= max(seconds, row.two_windows + 1e-6) for wait in waits), len(waits))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folders with clips of fixed cameras, separated by colons")
    parser.add_argument("--cache", type=Path, default=Path(".sentinel/evaluate"))
    parser.add_argument("--notes", action="store_true", help="say what failed and what was missed")
    chosen = parser.parse_args()
    settings = Settings()
    clips = load_clips([Path(folder) for folder in chosen.data.split(os.pathsep)], settings, chosen.cache, _say)
    if not clips:
        sys.exit(f"{chosen.data} holds no clip: name folders with video files of fixed cameras")
    try:
        drift = CleanDrift(table_of(clips))
        results = {}
        for clip in clips:
            results[clip.name] = measure(clip, drift.without(clip.camera), settings)
            _say(f"{clip.name} judged")
    except SentinelError as error:
        sys.exit(str(error))
    print(machine())
    print(report(results, len(drift.cameras)))
    if chosen.notes:
        print("\n".join(f"{name}: {note}" for name, row in results.items() for note in row.notes))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
