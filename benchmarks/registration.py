"""Is a camera that was moved found, by the registration of its view alone?

    python -m benchmarks.registration --data FOLDER[:FOLDER...] [--cache .sentinel/evaluate]

A camera is known for the first half of its clip, and left out of the table of clean drift; two disjoint windows of the
second half are judged with each move. Only the feature group of the view is compared. Shift, rotation and zoom are cut
from the inner 80% of the picture, golden footage too, so that true content comes into view; the saboteur fills what
comes into view with a mirror image. Clean windows are those of the four splits of `benchmarks.rates`, and nothing of
light, noise or blur may be taken for a move. A clip without a steady view is held against none, and left out of what
follows the clean windows; one whose inner part has none is left out there.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from benchmarks.clip_features import ClipFeatures, changed, open_all
from benchmarks.corpus import FIRST_HALF, disjoint, splits
from benchmarks.machine import machine
from benchmarks.nuisances import NUISANCES
from benchmarks.shares import Share, total
from benchmarks.workbench import fit
from common.contracts.verdicts import Status
from common.drift.baseline import Baseline
from common.drift.judge import judge
from common.errors import SentinelError
from common.features import FeatureBlock, Image
from common.modalities.video.decode import Frame
from common.modalities.video.groups import EMBEDDING, VIEW, feature_groups
from common.modalities.video.view import view_of
from common.settings import Settings
from simulation.faults import Fault, sabotage_frames

_INNER = 0.8  # of width and height
_SHIFT, _DIRECTIONS, _FIRST_DIRECTION = 0.035, 5, 20.0  # share of the width; evenly spread, from so many degrees on
_ROTATION = 2.0  # degrees
_ZOOM = 1.05
_WINDOWS = 2
_SEED = 7  # of the saboteur
_MOVED = (1, 2, 3, 4, 5)  # severities of the saboteur
_STILL = {
    Fault.NOISE: (1, 3, 5),
    Fault.BLUR: (1, 3),
    Fault.LOW_LIGHT: (1, 3),
    Fault.LOW_CONTRAST: (1, 3),
    Fault.MOTION_BLUR: (1, 3),
}
"""Faults that move nothing, and the severities at which the view has to be found where it was."""

_Change = Callable[[Image], Image]


def _inner(image: Image, right: float = 0.0, down: float = 0.0) -> Image:
    """Return the inner part of a picture, or one that lies `right` and `down` of it by shares of its own width."""
    height, width = image.shape[:2]
    size = round(width * _INNER), round(height * _INNER)
    left, top = (width - size[0]) // 2 + round(right * size[0]), (height - size[1]) // 2 + round(down * size[0])
    return np.ascontiguousarray(image[top : top + size[1], left : left + size[0]])


def _turned(image: Image, degrees: float, zoom: float) -> Image:
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, zoom)
    return _inner(np.asarray(cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR), np.uint8))


def _flipped(image: Image, way: int) -> Image:
    return np.ascontiguousarray(cv2.flip(image, way))


def _directions() -> Iterator[tuple[float, float]]:
    for number in range(_DIRECTIONS):
        angle = math.radians(_FIRST_DIRECTION + number * 360 / _DIRECTIONS)
        yield _SHIFT * math.cos(angle), _SHIFT * math.sin(angle)


INNER: dict[str, list[_Change]] = {
    "inner 80%, not moved": [_inner],
    f"shift of {_SHIFT:.1%} of the width, {_DIRECTIONS} directions": [
        partial(_inner, right=right, down=down) for right, down in _directions()
    ],
    f"rotation of {_ROTATION:g} degrees, both ways": [
        partial(_turned, degrees=degrees, zoom=1.0) for degrees in (_ROTATION, -_ROTATION)
    ],
    f"zoom of {_ZOOM - 1:.0%}, both ways": [partial(_turned, degrees=0.0, zoom=zoom) for zoom in (_ZOOM, 1 / _ZOOM)],
}
"""What is cut from the inner part of the picture."""
TURNED: dict[str, list[_Change]] = {
    "mirrored, upside down, turned by 180 degrees": [partial(_flipped, way=way) for way in (1, 0, -1)]
}
LIGHT = "light .91 and 1.10, white balance, haze of 10%, a moving shadow, a clock overlay"
CLEAN = "clean, four splits"


def measure(clip: ClipFeatures, settings: Settings) -> dict[str, Share]:
    """Return by row of the table how many windows FAIL; raises `SentinelError` if the clip gives no baseline."""
    view = tuple(group for group in feature_groups(clip.whole.widths[EMBEDDING]) if group.name == VIEW)
    found: dict[str, Share] = {CLEAN: Share()}

    def known(golden: FeatureBlock) -> Baseline:
        return fit(clip.camera, [(clip.name, golden)], clip.rule, groups=view)

    def add(row: str, baseline: Baseline, block: FeatureBlock) -> None:
        for window in disjoint(block, clip.rule.frames):
            verdict = judge(baseline, window, threshold=settings.drift_threshold, p_value=settings.p_value)
            found.setdefault(row, Share()).add(verdict.status is Status.FAIL)

    whole = _only_view(clip.whole)
    for split in splits(whole):
        try:
            baseline = known(split.golden)
        except SentinelError:
            if split.name == FIRST_HALF:
                raise
            continue
        add(CLEAN, baseline, split.rest)
    baseline = known(whole[: clip.half])
    if not _has_view(baseline):
        return found
    first = clip.after_half(_WINDOWS)
    inner = known(_views(changed_one_by_one(clip.frames(0, clip.half), _inner), clip.name))
    for row, changes in INNER.items() if _has_view(inner) else ():
        for change in changes:
            add(row, inner, _views(changed_one_by_one(first, change), clip.name))
    for row, changes in TURNED.items():
        for change in changes:
            add(row, baseline, _views(changed_one_by_one(first, change), clip.name))
    faults = [(Fault.CAMERA_MOVED, severity) for severity in _MOVED]
    faults += [(fault, severity) for fault, severities in _STILL.items() for severity in severities]
    for fault, severity in faults:
        row = f"{fault} of the saboteur, severity {severity}"
        images = sabotage_frames((frame.image for frame in first), fault, severity, _SEED)
        add(row, baseline, _views(changed(first, images), clip.name))
    for nuisance in NUISANCES.values():
        images = (nuisance(frame.image, n / len(first), n) for n, frame in enumerate(first))
        add(LIGHT, baseline, _views(changed(first, images), clip.name))
    return found


def _has_view(baseline: Baseline) -> bool:
    views = baseline.segments[0].groups[VIEW].views
    return views is not None and len(views) > 0


def changed_one_by_one(frames: Iterable[Frame], change: _Change) -> Iterator[Frame]:
    """Yield frames with changed pictures."""
    return (Frame.of(change(frame.image), frame.index, frame.time) for frame in frames)


def _only_view(block: FeatureBlock) -> FeatureBlock:
    return FeatureBlock({VIEW: block.groups[VIEW]}, block.times, block.sources, block.source_index)


def _views(frames: Iterable[Frame], name: str) -> FeatureBlock:
    """Return the views of frames, without any other group."""
    rows = [(view_of(frame.picture.planes()), frame.time) for frame in frames]
    views = np.stack([view for view, _ in rows])
    return FeatureBlock({VIEW: views}, np.array([at for _, at in rows]), (name,), np.zeros(len(rows), np.int32))


def report(found: dict[str, dict[str, Share]]) -> Iterator[str]:
    """Yield the lines of the table, as Markdown."""
    for what, row in (("view", f"{Fault.CAMERA_MOVED} of the saboteur, severity 1"), ("inner view", next(iter(INNER)))):
        steady = [name for name, rows in found.items() if row in rows]
        yield f"{len(found)} clips, {len(steady)} with a steady {what}: {', '.join(steady)}"
    yield ""
    yield "| by the view alone | windows that FAIL | clips that differ from most |"
    yield "|---|---|---|"
    for row in dict.fromkeys(row for rows in sorted(found.values(), key=len, reverse=True) for row in rows):
        shares = {name: rows[row] for name, rows in found.items() if row in rows}
        every = total(shares.values())
        mostly = every.hits * 2 > every.count
        others = [f"{name} {s}" for name, s in shares.items() if (s.hits < s.count if mostly else s.hits)]
        yield f"| {row} | {every} | {', '.join(others)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folders with clips of fixed cameras, separated by colons")
    parser.add_argument("--cache", type=Path, default=Path(".sentinel/evaluate"))
    chosen = parser.parse_args()
    settings = Settings()
    found = {}
    for clip in open_all([Path(folder) for folder in chosen.data.split(os.pathsep)], settings, chosen.cache, _say):
        try:
            found[clip.name] = measure(clip, settings)
        except SentinelError as error:
            _say(f"{clip.name} left out: {error}")
        else:
            _say(f"{clip.name} judged")
    if not found:
        sys.exit(f"{chosen.data} holds no clip that could be judged: name folders with video files of fixed cameras")
    print(machine())
    print("\n".join(report(found)))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
