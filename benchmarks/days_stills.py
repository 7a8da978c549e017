"""A week of a webcam's pictures, judged rolling: five days learned, the next one judged, clean and with faults."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.days_footage import Embedder
from benchmarks.days_table import Table
from benchmarks.workbench import fit_bursts
from common.contracts.batches import SourceKind
from common.contracts.ids import content_id
from common.contracts.verdicts import Status
from common.drift.baseline import Baseline
from common.drift.bursts import DAY_SECONDS, HOUR_SECONDS, Burst
from common.drift.judge import judge
from common.drift.windows import WindowRule
from common.errors import SentinelError
from common.extraction import Extractor
from common.features import FeatureBlock, Image
from common.modalities.video.decode import Frame
from common.modalities.video.diagnosis import diagnose
from common.modalities.video.groups import EMBEDDING, feature_groups
from common.modalities.video.modality import VIDEO
from common.modalities.video.stills import decode_file
from common.sources.capture_time import CaptureTimes
from common.sources.limits import Limits
from common.sources.local import images_in
from simulation.faults import SEVERITIES, Fault, sabotage_frames

_PICTURES = 4  # of a window: what an hour holds
_RULE = WindowRule(frames=_PICTURES, stride=1)
_LONGEST_SECONDS = 2 * HOUR_SECONDS
_LEARNED_DAYS = 5
_SEVERITIES = (1, 3)
_EVERY = 20  # pictures between two windows that faults are put into
_SEED = 7
_BETWEEN_FRAMES = {Fault.FLICKER, Fault.BANDING, Fault.HUNTING_EXPOSURE}
"""Faults that show in how the light changes from frame to frame: pictures a quarter of an hour apart show none."""
Change = Callable[[Iterator[Image]], Iterator[Image]]


def judge_stills(folder: Path, cache: Path, backbone: Embedder, say: Callable[[str], None]) -> str:
    """Return the table of a folder of stills whose capture times are known."""
    extractor = Extractor(VIDEO, backbone, Limits())  # type: ignore[arg-type]
    paths = images_in(folder, extractor.limits)
    times = VIDEO.probe(folder, SourceKind.FOLDER, extractor.limits).times
    made_by = (VIDEO.sensors_version, VIDEO.decode_pipeline, backbone.weights_digest)
    own = cache / f"stills-{content_id(*made_by, *(path.name for path in paths))[:12]}-{backbone.name}"
    own.mkdir(parents=True, exist_ok=True)
    clean = _cached(own / "clean.bin", extractor, paths, times, range(len(paths)), lambda images: images)
    say("stills: clean")
    table = Table(f"{folder.name}: {len(paths)} pictures, {_LEARNED_DAYS} days learned, rolling")
    baselines = dict(_rolling(clean))
    for start in range(0, len(clean) - _PICTURES + 1, _PICTURES):
        _judge(table, "clean windows that FAIL", baselines, clean[start : start + _PICTURES])
    # Where a baseline exists: the pictures after the learned days.
    first = next((i for i in range(len(clean)) if _day(clean, i) in baselines), len(clean))
    starts = range(first, len(clean) - _PICTURES + 1, _EVERY)
    chosen = [start + step for start in starts for step in range(_PICTURES)]
    for fault in (fault for fault in Fault if fault not in _BETWEEN_FRAMES):
        for severity in _SEVERITIES:
            path = own / f"{fault}-{severity}-{SEVERITIES[fault][severity - 1]}.bin"
            faulty = _cached(path, extractor, paths, times, chosen, _with_fault(fault, severity))
            for number in range(0, len(faulty), _PICTURES):
                window = faulty[number : number + _PICTURES]
                at = chosen[number]
                if _are_equal(window, clean[at : at + _PICTURES]):
                    continue  # a fault in a share of the pictures may be in none of these
                _judge(table, f"severity {severity}, all faults", baselines, window)
                _judge(table, f"severity {severity}: {fault}", baselines, window, fault)
        say(f"stills: {fault}")
    return str(table)


def _rolling(clean: FeatureBlock) -> Iterator[tuple[int, Baseline]]:
    """Yield each day that can be judged, with a baseline of the days before it."""
    groups = feature_groups(clean.widths[EMBEDDING])
    days = sorted({_day(clean, number) for number in range(len(clean))})
    for day in days[_LEARNED_DAYS:]:
        bursts = []
        known = [i for i in range(len(clean)) if day - _LEARNED_DAYS <= _day(clean, i) < day]
        block = clean[known[0] : known[-1] + 1]
        for start in range(0, len(block) - _PICTURES + 1, _PICTURES):
            part = block[start : start + _PICTURES]
            if part.taken_at[-1] - part.taken_at[0] <= _LONGEST_SECONDS:
                bursts.append(Burst.of(part, groups))
        try:
            yield day, fit_bursts(bursts, "stills", groups, _RULE)
        except SentinelError:  # a day without pictures before it
            continue


def _judge(
    table: Table, row: str, baselines: dict[int, Baseline], window: FeatureBlock, fault: Fault | None = None
) -> None:
    baseline = baselines.get(_day(window, 0))
    if baseline is None or window.taken_at[-1] - window.taken_at[0] > _LONGEST_SECONDS:
        return
    result = judge(baseline, window, diagnose=diagnose)
    failed = result.status is Status.FAIL
    table.add(row, "found" if fault or "severity" in row else "FAIL", failed)
    if fault is not None and failed and fault.cause is not None:
        table.add("cause right", "found", result.cause is fault.cause)


def _with_fault(fault: Fault, severity: int) -> Change:
    return lambda images: sabotage_frames(images, fault, severity, _SEED)


def _are_equal(one: FeatureBlock, other: FeatureBlock) -> bool:
    """Return whether two windows show the same pictures; a backbone's features depend on the batch in the last bits."""
    return all(np.array_equal(values, other.groups[name]) for name, values in one.groups.items() if name != EMBEDDING)


def _day(block: FeatureBlock, number: int) -> int:
    return int(block.taken_at[number] // DAY_SECONDS)


def _cached(
    path: Path,
    extractor: Extractor,
    paths: Sequence[Path],
    times: CaptureTimes,
    chosen: Sequence[int],
    change: Change,
) -> FeatureBlock:
    """Return the features of some pictures after a change, from the cache if they are in it."""
    if path.exists():
        return FeatureBlock.from_bytes(path.read_bytes())
    images = change(decode_file(paths[number], extractor.limits) for number in chosen)
    frames = (Frame.of(image, number, float(number)) for number, image in enumerate(images))
    own = replace(times, stills=tuple(times.stills[number] for number in chosen))
    blocks = list(extractor.features(frames, "stills", 32, own))
    found = FeatureBlock.concatenate(blocks)
    path.write_bytes(found.to_bytes())
    return found
