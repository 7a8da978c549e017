"""A fixed camera: its frames, their features as an embedding worker would compute them, and a baseline of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from common.contracts.batches import SourceKind
from common.drift.baseline import Baseline
from common.drift.fitting import fit_baseline
from common.drift.windows import WindowRule
from common.features import FeatureBlock, Image
from common.modalities.video.decode import Frame, sampled_frames
from common.modalities.video.groups import EMBEDDING, VITALS, feature_groups
from common.modalities.video.modality import VIDEO
from common.modalities.video.vitals_columns import VITALS_COLUMNS
from common.sources.limits import Limits
from tests.common.drift.footage import FEATURE_SPEC

WINDOW, SIDE = 24, 4
GROUPS = feature_groups(3 * SIDE * SIDE)
_FPS = 10.0  # of images by themselves


def camera(count: int, first: int = 0) -> list[Image]:
    """Return frames of a fixed camera: a scene with edges, a thing that moves through it, and a little noise."""
    rng = np.random.default_rng(5)
    coarse = rng.integers(40, 170, (8, 10, 3), dtype=np.uint8)
    scene = cv2.resize(coarse, (320, 240), interpolation=cv2.INTER_CUBIC)
    for _ in range(40):
        x, y = int(rng.integers(320)), int(rng.integers(240))
        cv2.rectangle(scene, (x, y), (x + 30, y + 20), [int(v) for v in rng.integers(20, 200, 3)], -1)
    frames = []
    for number in range(first, first + count):
        frame = scene.copy()
        cv2.rectangle(frame, (7 * number % 320, 100), (7 * number % 320 + 30, 150), (180, 60, 60), -1)
        noise = np.random.default_rng(number).normal(0, 1, frame.shape)
        frames.append(np.clip(np.rint(frame + noise), 0, 255).astype(np.uint8))
    return frames


def of_images(images: Sequence[Image]) -> FeatureBlock:
    """Return the features of pictures that no recording holds."""
    return of_frames([Frame.of(image, number, number / _FPS) for number, image in enumerate(images)])


def of_clip(path: Path) -> FeatureBlock:
    """Return the features of all frames of a recording."""
    limits = Limits()
    return of_frames(
        list(sampled_frames(path, SourceKind.RECORDING, sample_fps=None, start=0, stop=None, limits=limits))
    )


def of_frames(frames: Sequence[Frame]) -> FeatureBlock:
    """Return the features of frames; a thumbnail stands for the embedding."""
    rows = [VIDEO.readings(frame) for frame in frames]
    groups = {name: np.stack([row[name] for row in rows]) for name in rows[0] if name != VITALS}
    groups[EMBEDDING] = np.stack([frame.picture.small(SIDE).ravel() for frame in frames]).astype(np.float32)
    known = [number for number, row in enumerate(rows) if VITALS in row]
    groups[VITALS] = np.array([rows[number][VITALS] for number in known], np.float32).reshape(-1, len(VITALS_COLUMNS))
    times = np.array([frame.time for frame in frames])
    return FeatureBlock(
        groups, times, ("a",), np.zeros(len(frames), np.int32), seen={VITALS: np.array(known, np.int32)}
    )


def fitted(*clips: FeatureBlock) -> Baseline:
    """Return a baseline of golden clips."""
    return fit_baseline(
        [(f"clip {number}", block) for number, block in enumerate(clips)],
        name="camera",
        feature_spec=FEATURE_SPEC,
        rule=WindowRule(frames=WINDOW, stride=6),
        groups=GROUPS,
        created_at=0.0,
        libraries={},
    )
