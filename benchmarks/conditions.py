"""Does a condition blind the judge? Measured on every clip of a folder, by the judge alone.

    python -m benchmarks.conditions --data FOLDER [--out .sentinel/evaluate]

The first half of a clip is golden. Its third quarter with a fault of severity 3 becomes a
condition, for each fault that the default policy trains on. The last quarter is judged: with
the condition's own fault at severities 1, 3 and 5, and with every fault at severities 1, 3 and 5
beside all conditions together. At last blur grows from nothing to severity 3: the first step that
fails becomes a condition, as if a model were proved on it, and the later steps are judged beside it.
Features are cached below --out.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from benchmarks.clips import clips_below
from benchmarks.machine import machine
from benchmarks.workbench import fit
from common.baselines.build import choose_rule, choose_sampling
from common.contracts.batches import SourceKind
from common.contracts.conditions import ConditionRecord
from common.contracts.policy import Policy
from common.contracts.verdicts import Cause, Judgement, Status
from common.drift.baseline import Baseline
from common.drift.conditions import Condition, fit_condition, frames_needed
from common.drift.judge import judge
from common.drift.windows import WindowRule
from common.errors import SentinelError
from common.extraction import Extractor, load_extractor
from common.features import FeatureBlock, Image
from common.modalities.video.decode import Frame, sampled_frames
from common.modalities.video.frame_converter import StillPicture
from common.modalities.video.modality import VIDEO
from common.settings import Settings
from simulation.faults import Fault, sabotage_frames

_SEED = 7
_SEVERITIES = (1, 3, 5)
_TRAINED_AT = 3
_GROWING_BLUR = (0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.6, 2.0)  # standard deviation, pixels; up to severity 3
_SEVERITY_2 = 1.2
# One fault for each cause, because a stream has one live condition of a cause.
_TRAINABLE = tuple(
    fault for fault in Fault if fault.cause and fault.value == fault.cause.value and Policy().of(fault.cause).trains
)
_BLOCK_FRAMES = 32

Counts = Counter[tuple[str, str]]
"""(row of the table, "hits" or "count") -> windows."""


class Footage:
    """Features of the parts of one clip, read from the cache or extracted when they are first asked for."""

    def __init__(self, clip: Path, extractor: Extractor, settings: Settings, cache: Path) -> None:
        info = VIDEO.probe(clip, SourceKind.RECORDING, extractor.limits)
        half = replace(info, duration=info.duration / 2, frames=max(1, info.frames // 2))
        self.fps = choose_sampling([half], settings.window_frames, settings.sample_fps)
        self.count = info.sampled_count(self.fps)
        chosen = choose_rule([replace(half, frames=self.count // 2, fps=self.fps or info.fps)], None, settings)
        frames = chosen.frames
        while frames_needed(frames) > self.count // 4:  # a quarter has to be long enough for a condition
            frames -= 1
        self.rule = WindowRule(frames=frames, stride=max(1, frames // 4))
        self._clip, self._extractor = clip, extractor
        spec = extractor.feature_spec(self.fps).digest("")
        content = hashlib.blake2b(clip.read_bytes() + spec, digest_size=8).hexdigest()
        self._cache = cache / f"conditions-{clip.stem}-{content}"
        self._cache.mkdir(parents=True, exist_ok=True)

    def part(self, start: float, stop: float, fault: Fault | None = None, severity: int = 0) -> FeatureBlock:
        """Return the features of the frames between two shares of the clip, with a fault in each or without."""

        def sabotage(images: Iterator[Image]) -> Iterator[Image]:
            return images if fault is None else sabotage_frames(images, fault, severity, _SEED)

        return self._features(f"{start}-{stop}-{fault}-{severity}", start, stop, sabotage)

    def blurred(self, start: float, stop: float, sigma: float) -> FeatureBlock:
        """Return the same with blur of standard deviation `sigma`, pixels."""

        def blur(images: Iterator[Image]) -> Iterator[Image]:
            return (np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8) for image in images)

        return self._features(f"{start}-{stop}-sigma-{sigma}", start, stop, blur)

    def _features(
        self, name: str, start: float, stop: float, change: Callable[[Iterator[Image]], Iterator[Image]]
    ) -> FeatureBlock:
        stored = self._cache / f"{name}.bin"
        if not stored.exists():
            read = list(self._frames(int(start * self.count), int(stop * self.count)))
            images = change(frame.image for frame in read)
            frames = (replace(f, picture=StillPicture(i)) for f, i in zip(read, images, strict=True))
            blocks = list(self._extractor.features(frames, self._clip.stem, _BLOCK_FRAMES))
            stored.write_bytes(FeatureBlock.concatenate(blocks).to_bytes())
        return FeatureBlock.from_bytes(stored.read_bytes())

    def _frames(self, start: int, stop: int) -> Iterator[Frame]:
        limits = self._extractor.limits
        return sampled_frames(
            self._clip, SourceKind.RECORDING, sample_fps=self.fps, start=start, stop=stop, limits=limits
        )


def windows(block: FeatureBlock, rule: WindowRule) -> Iterator[FeatureBlock]:
    """Yield windows at the rule's stride."""
    for start in range(0, len(block) - rule.frames + 1, rule.stride):
        yield block[start : start + rule.frames]


def evaluate(footage: Footage, name: str, counts: Counts, per_clip: list[str]) -> None:
    """Add the windows of one clip to `counts`, and its line to `per_clip`."""
    baseline = fit(name, [("golden", footage.part(0.0, 0.5))], footage.rule)
    conditions = {fault: _condition(footage, baseline, fault) for fault in _TRAINABLE}
    clean = [judge(baseline, window).status for window in windows(footage.part(0.75, 1.0), footage.rule)]
    clean_passes = clean.count(Status.PASS) / max(len(clean), 1)
    _add(counts, "clean, with all conditions: PASS as without", [
        judge(baseline, window, conditions=list(conditions.values())).status is status
        for window, status in zip(windows(footage.part(0.75, 1.0), footage.rule), clean, strict=True)
    ])  # fmt: skip
    lost: list[str] = []
    for fault in Fault:
        for severity in _SEVERITIES:
            rows = list(windows(footage.part(0.75, 1.0, fault, severity), footage.rule))
            _own(counts, conditions.get(fault), baseline, rows, severity, clean_passes)
            own = fault in conditions and severity == _TRAINED_AT
            others = [c for f, c in conditions.items() if f is not fault or not own]
            found = [row for row in rows if judge(baseline, row).status is Status.FAIL]
            still = [judge(baseline, row, conditions=others).status is Status.FAIL for row in found]
            _add(counts, "faults found before that are found beside the other conditions", still)
            if not all(still):
                lost.append(f"{fault} {severity} ({still.count(False)}/{len(still)})")
    grown = _growing_blur(footage, baseline, counts)
    per_clip.append(
        f"{name}: clean {clean.count(Status.PASS)}/{len(clean)} pass, {len(conditions)} conditions"
        + f"; blur that grows {grown}"
        + (f"; lost: {', '.join(lost)}" if lost else "")
    )


def _growing_blur(footage: Footage, baseline: Baseline, counts: Counts) -> str:
    """Let blur grow, and add to `counts` whether it fails early; return what happens beside a condition of it."""
    fails = {
        sigma: [judge(baseline, row).status for row in windows(footage.blurred(0.75, 1.0, sigma), footage.rule)]
        for sigma in _GROWING_BLUR
    }
    first = next((sigma for sigma, found in fails.items() if Status.FAIL in found), None)
    _add(counts, "clips on which blur that grows FAILs before severity 2", [first is not None and first < _SEVERITY_2])
    if first is None:
        return "is not found"
    block = footage.blurred(0.5, 0.75, first)
    condition = _fitted(block, baseline, Fault.BLUR, Cause.BLUR)
    beside = {
        sigma: Status.FAIL in [
            judge(baseline, row, conditions=[condition]).status
            for row in windows(footage.blurred(0.75, 1.0, sigma), footage.rule)
        ]
        for sigma in _GROWING_BLUR
        if sigma > first
    }  # fmt: skip
    _add(
        counts,
        "clips on which it FAILs again by severity 3, beside a condition of its first FAIL",
        [any(beside.values())],
    )
    again = next((sigma for sigma, failed in beside.items() if failed), None)
    return f"FAILs at sigma {first}, and beside a condition of that " + (f"at {again}" if again else "no more")


def _own(
    counts: Counts,
    condition: Condition | None,
    baseline: Baseline,
    rows: list[FeatureBlock],
    severity: int,
    clean_passes: float,
) -> None:
    if condition is None:
        return
    judged: list[Judgement] = [judge(baseline, row, conditions=[condition]) for row in rows]
    if severity == _TRAINED_AT:
        kind = "" if clean_passes == 1.0 else " where clean footage does not always"
        _add(counts, f"later footage of a condition that passes{kind}", [j.status is Status.PASS for j in judged])
    else:
        _add(counts, f"its severity {severity} that FAILs", [j.status is Status.FAIL for j in judged])


def _condition(footage: Footage, baseline: Baseline, fault: Fault) -> Condition:
    assert fault.cause is not None
    return _fitted(footage.part(0.5, 0.75, fault, _TRAINED_AT), baseline, fault, fault.cause)


def _fitted(block: FeatureBlock, baseline: Baseline, fault: Fault, cause: Cause) -> Condition:
    record = ConditionRecord(
        id=fault.value, stream="s", cause=cause, incident="-", golden_id="-", path="-", digest="-",
        gain_db=0.0, proved=0.0, expires=1.0,
    )  # fmt: skip
    return Condition(record, fit_condition(fault.value, block, baseline, baseline.segments[0].summary.name))


def _add(counts: Counts, row: str, results: list[bool]) -> None:
    counts[row, "hits"] += sum(results)
    counts[row, "count"] += len(results)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with video clips")
    parser.add_argument("--out", type=Path, default=Path(".sentinel/evaluate"), help="for the cache")
    chosen = parser.parse_args()
    settings = Settings()
    extractor = load_extractor(settings, VIDEO, None)
    counts: Counts = Counter()
    per_clip: list[str] = []
    for clip in clips_below(chosen.data):
        try:
            evaluate(Footage(clip, extractor, settings, chosen.out), clip.stem, counts, per_clip)
        except SentinelError as error:
            per_clip.append(f"{clip.stem}: left out, {error}")
        print(per_clip[-1], file=sys.stderr, flush=True)
    print(machine())
    print("\n".join(per_clip))
    print("\n| windows | |\n|---|---|")
    for row in dict.fromkeys(row for row, _ in counts):
        hits, count = counts[row, "hits"], counts[row, "count"]
        print(f"| {row} | {hits}/{count} ({hits / max(count, 1):.0%}) |")


if __name__ == "__main__":
    main()
