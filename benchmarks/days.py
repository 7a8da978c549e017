"""A camera that is learned over days, judged: synthetic days of clips, and a folder of stills of a real webcam.

    python -m benchmarks.days --data FOLDER [--stills FOLDER] [--backbone]

Every clip below --data is rendered as five days of one camera (`simulation.synthetic_day`), a burst every half
hour. Three are learned; the other two are judged clean, and hours of the fourth with every fault and nuisance. The
golden and the judged days come from one process, which flatters. Stills are judged rolling: five days learned, the
next one judged, in windows of up to four pictures.

Features are cached below --out. Without --backbone, thumbnails stand in for its embedding, which finds new content
and no faults, and takes half of the time.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.clips import clips_below
from benchmarks.days_footage import (
    CREEP_DAYS,
    CREEP_HALVES,
    CREEP_SIGMA,
    DAYS,
    FAULT_DAY,
    FAULT_HALVES,
    FAULT_SEVERITIES,
    FPS,
    FRAMES,
    LEARNED_DAYS,
    NUISANCES,
    Embedder,
    SyntheticCamera,
    Thumbnails,
    contaminated,
    load,
)
from benchmarks.days_stills import judge_stills
from benchmarks.days_table import Table
from benchmarks.machine import machine
from benchmarks.workbench import fit_bursts, say
from common.backbones import load_backbone
from common.contracts.verdicts import Cause, Judgement, Status
from common.drift.baseline import Baseline
from common.drift.bursts import Burst
from common.drift.coverage import wants
from common.drift.judge import judge
from common.drift.windows import WindowRule
from common.features import FeatureBlock
from common.modalities.video.diagnosis import diagnose
from common.modalities.video.groups import EMBEDDING, feature_groups
from common.settings import Settings
from simulation.faults import Fault
from simulation.synthetic_day import light_at

_RULE = WindowRule(frames=FRAMES, stride=FRAMES // 4)
_LONG_RULE = WindowRule(frames=48, stride=12)  # steps are looked for in windows of this length
_NEEDS_NO_HISTORY = frozenset({Cause.BLACK, Cause.FROZEN})
_NOON = 24
_CREEP_LEARNED = 4  # days that are learned without being judged
_HALF_MINUTE = round(30 * FPS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with clips of fixed cameras")
    parser.add_argument("--stills", type=Path, help="folder with a week of a webcam's pictures")
    parser.add_argument("--out", type=Path, default=Path(".sentinel/days"), help="for the cache of features")
    parser.add_argument("--backbone", action="store_true", help="embed with the backbone of the settings")
    chosen = parser.parse_args()
    if chosen.data is None and chosen.stills is None:
        sys.exit("say --data FOLDER, with clips of fixed cameras, --stills FOLDER, with a webcam's pictures, or both")
    backbone: Embedder = load_backbone(Settings(), None) if chosen.backbone else Thumbnails()
    print(machine())
    if chosen.data is not None:
        clips = clips_below(chosen.data)
        if not clips:
            sys.exit(f"{chosen.data} holds no video files")
        cameras = [load(clip, seed, chosen.out, backbone, say) for seed, clip in enumerate(clips, 1)]
        print(report(cameras))
    if chosen.stills is not None:
        print(judge_stills(chosen.stills, chosen.out, backbone, say))


def report(cameras: Sequence[SyntheticCamera]) -> str:
    """Return the tables of all cameras together."""
    tables = [Table(f"{len(cameras)} cameras: {', '.join(camera.name for camera in cameras)}")]
    for camera in cameras:
        _judge_days(tables[0], camera)
    return "\n\n".join(str(table) for table in tables)


def _judge_days(table: Table, camera: SyntheticCamera) -> None:
    after_three = fit(camera.clean(range(LEARNED_DAYS)), camera.name)
    _faults(table, "three days", after_three, camera)
    for day in range(LEARNED_DAYS, DAYS):
        _clean(table, "three days", after_three, camera.clean([day]), camera.name)
    for name in NUISANCES:
        for half in FAULT_HALVES:
            if "colour" in name and light_at(FAULT_DAY, half / 2, camera.seed).infrared:
                continue  # a picture by infra-red light has no colour temperature
            result = _judge(after_three, camera.blocks[f"nuisance-{name}-{half}"])
            table.add(f"FAIL: {name}", "three days", result.status is Status.FAIL)
    after_one = fit(camera.clean([LEARNED_DAYS - 1]), camera.name)
    _faults(table, "one day", after_one, camera)
    for day in range(LEARNED_DAYS, DAYS):
        _clean(table, "one day", after_one, camera.clean([day]), camera.name)
    _contamination(table, camera)
    _clouds(table, camera)
    _creeping(table, camera)


def fit(blocks: Sequence[FeatureBlock], camera: str, rule: WindowRule = _RULE) -> Baseline:
    """Return a baseline of bursts of `camera`."""
    groups = feature_groups(blocks[0].widths[EMBEDDING])
    return fit_bursts([Burst.of(block, groups) for block in blocks], camera, groups, rule)


def _judge(baseline: Baseline, window: FeatureBlock) -> Judgement:
    return judge(baseline, window, diagnose=diagnose)


def _clean(table: Table, column: str, baseline: Baseline, blocks: Sequence[FeatureBlock], name: str) -> None:
    for block in blocks:
        result = _judge(baseline, block)
        table.add("clean windows that FAIL", column, result.status is Status.FAIL)
        if result.status is Status.FAIL:
            led = ", ".join(feature.feature for feature in result.leading_features[:3])
            table.note(f"{name}, {column}: clean {block.sources[0]} FAILs at {result.drift_score:.2f} by {led}")


def _faults(table: Table, column: str, baseline: Baseline, camera: SyntheticCamera) -> None:
    for severity in FAULT_SEVERITIES:
        for fault in Fault:
            for half in FAULT_HALVES:
                result = _judge(baseline, camera.blocks[f"fault-{fault}-{severity}-{half}"])
                found = result.status is Status.FAIL
                table.add(f"severity {severity}, all faults", column, found)
                table.add(f"severity {severity}: {fault}", column, found)
                if found and fault.cause is not None:
                    table.add(f"severity {severity}, cause right", column, result.cause is fault.cause)


def _contamination(table: Table, camera: SyntheticCamera) -> None:
    bad = {f"clean-{day}-{half}": f"bad-{day}-{half}" for day, half in contaminated()}
    blocks = [
        camera.blocks[bad.get(name, name)]
        for name in (f"clean-{day}-{half}" for day in range(LEARNED_DAYS) for half in range(48))
    ]
    column = "a tenth bad"
    baseline = fit(blocks, camera.name)
    _faults(table, column, baseline, camera)
    for day in range(LEARNED_DAYS, DAYS):
        _clean(table, column, baseline, camera.clean([day]), camera.name)
    assert baseline.learned is not None
    kept = {burst.source for burst in baseline.learned.bursts}
    for name in bad.values():
        table.add("bad bursts kept", column, camera.blocks[name].sources[0] in kept)
    for name in (block.sources[0] for block in blocks):
        if "/clean-" in name:
            table.add("good bursts left out", column, name not in kept)


def _clouds(table: Table, camera: SyntheticCamera) -> None:
    """Judge two minutes under clouds by half a minute of noon."""
    block = camera.blocks["under-clouds"]
    size = _LONG_RULE.frames
    known = [block[start : start + size] for start in range(0, _HALF_MINUTE - size + 1, size)]
    baseline = fit(known, camera.name, _LONG_RULE)
    for start in range(_HALF_MINUTE, len(block) - size + 1, _LONG_RULE.stride):
        result = _judge(baseline, block[start : start + size])
        needs_history = result.status is Status.FAIL and result.cause not in _NEEDS_NO_HISTORY
        table.add("FAIL: clouds, half a minute known", "provisional", needs_history)
    noon = fit(camera.clean([0])[_NOON : _NOON + 1], camera.name)
    column = "noon alone known"
    for day in range(1, DAYS):
        _clean(table, column, noon, camera.clean([day], every=4), camera.name)
    _faults(table, column, noon, camera)


def _creeping(table: Table, camera: SyntheticCamera) -> None:
    """Learn fourteen days in which blur grows: at first everything, then what passes and is wanted."""
    groups = feature_groups(camera.blocks["creep-0-17"].widths[EMBEDDING])
    bursts: list[Burst] = []
    for day in range(CREEP_DAYS):
        blocks = [camera.blocks[f"creep-{day}-{half}"] for half in CREEP_HALVES]
        if day < _CREEP_LEARNED:
            bursts += [Burst.of(block, groups) for block in blocks]
            continue
        baseline = fit_bursts(bursts, camera.name, groups, _RULE)
        results = [_judge(baseline, block).status for block in blocks]
        if results.count(Status.FAIL) > len(results) // 2:
            sigma = CREEP_SIGMA * (day + 1)
            table.note(
                f"{camera.name}: blur that grows FAILs from day {day + 1} on, at {sigma:.2f} pixels (severity 2: 1.2)"
            )
            return
        for block, status in zip(blocks, results, strict=True):
            burst = Burst.of(block, groups)
            if status is Status.PASS and wants(bursts, burst):
                bursts.append(burst)
    table.note(f"{camera.name}: blur that grows to {CREEP_SIGMA * CREEP_DAYS:.1f} pixels never FAILs in most windows")


if __name__ == "__main__":
    main()
