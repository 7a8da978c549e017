"""Makes the table of clean drift that video ships, from clips of fixed cameras.

    python -m benchmarks.corpus --data FOLDER[:FOLDER...] [--out common/modalities/video/clean_drift.json]

Each clip is split four ways: a half or two thirds are golden, and disjoint windows of the rest are held against them.
The table holds each window's distances, column by column, with the bounds of the golden part's own variation; see
`common.drift.clean_drift`. Clips must show nothing but what their camera normally sees. Two clips of one camera are
called alike: `dock-2.mp4` is of the camera of `dock.mp4`. Features are cached below --cache.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.rates_footage import Clip, load_clips
from benchmarks.workbench import NO_SPEC
from common.contracts.clean_drift import ClipDrift, DriftTable
from common.drift.baseline import Baseline
from common.drift.clean_drift import CleanDrift, column_names
from common.drift.fitting import fit_baseline
from common.drift.judge import distances
from common.errors import SentinelError
from common.features import FeatureBlock
from common.modalities.video.clean_drift import TABLE
from common.modalities.video.groups import EMBEDDING, feature_groups
from common.settings import Settings

FIRST_HALF = "first half"
_TINY = 1e-9  # a smallest bound that is none


@dataclass(frozen=True)
class Split:
    """A clip in two parts."""

    name: str
    golden: FeatureBlock
    rest: FeatureBlock


def splits(whole: FeatureBlock) -> Iterator[Split]:
    """Yield the four splits of a clip's features."""
    half, third = len(whole) // 2, len(whole) // 3
    yield Split(FIRST_HALF, whole[:half], whole[half:])
    yield Split("second half", whole[half:], whole[:half])
    yield Split("last two thirds", whole[third:], whole[:third])
    yield Split("first two thirds", whole[: 2 * third], whole[2 * third :])


def disjoint(block: FeatureBlock, frames: int) -> Iterator[FeatureBlock]:
    """Yield the windows of a block that do not overlap."""
    for start in range(0, len(block) - frames + 1, frames):
        yield block[start : start + frames]


def drift_of(clip: Clip) -> list[ClipDrift]:
    """Return the clean drift of a clip, one for each split; splits that make no baseline are left out."""
    found = []
    for split in splits(clip.whole):
        try:
            own = _without_effects(clip, split)
        except SentinelError:
            continue
        segment = own.segments[0]
        bounds = [value for group in own.groups for value in segment.groups[group.name].bounds.distance]
        rows = [_rounded(distances(own, window)) for window in disjoint(split.rest, clip.rule.frames)]
        found.append(ClipDrift(camera=clip.camera, golden=split.name, own=_rounded(bounds), windows=tuple(rows)))
    return found


def table_of(clips: Sequence[Clip]) -> DriftTable:
    """Return the table of some clips; raise `BadCorpus` if it would say nothing about other cameras."""
    rows = tuple(row for clip in clips for row in drift_of(clip))
    groups = feature_groups(clips[0].whole.widths[EMBEDDING])
    return CleanDrift(DriftTable(columns=column_names(groups), clips=rows)).table


def _without_effects(clip: Clip, split: Split) -> Baseline:
    """Return a baseline whose bounds are those of the golden part's own variation."""
    groups = tuple(
        group.model_copy(update={"clean_effects": (_TINY,) * len(column_names([group]))})
        for group in feature_groups(split.golden.widths[EMBEDDING])
    )
    return fit_baseline(
        [(clip.name, split.golden)],
        name=clip.name,
        feature_spec=NO_SPEC,
        rule=clip.rule,
        groups=groups,
        created_at=0.0,
        libraries={},
    )


def _rounded(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(float(f"{value:.3g}") for value in values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folders with clips of fixed cameras, separated by colons")
    parser.add_argument("--out", type=Path, default=TABLE)
    parser.add_argument("--cache", type=Path, default=Path(".sentinel/evaluate"))
    chosen = parser.parse_args()
    folders = [Path(folder) for folder in chosen.data.split(os.pathsep)]
    clips = load_clips(folders, Settings(), chosen.cache, _say, faults=False)
    if not clips:
        sys.exit(f"{chosen.data} holds no clip: name folders with video files of fixed cameras")
    try:
        table = table_of(clips)
    except SentinelError as error:
        sys.exit(str(error))
    chosen.out.write_text(written(table), encoding="utf-8")
    windows = sum(len(clip.windows) for clip in table.clips)
    print(f"{chosen.out}: {windows} windows of {len(CleanDrift(table).cameras)} cameras")


def written(table: DriftTable) -> str:
    """Return the table as JSON with a line for each clip and split, which differences can be read in."""
    rows = ",\n".join(clip.to_json() for clip in table.clips)
    head = table.model_copy(update={"clips": ()}).to_json()
    return head.replace('"clips":[]', f'"clips":[\n{rows}\n]') + "\n"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
