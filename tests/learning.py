"""Streams that learn, fed with the features of real small pictures, as embedding workers would feed them."""

from __future__ import annotations

import itertools
import math
from functools import cache

import numpy as np

from common.baselines.learning.epoch import Epoch, epoch_folder, learned_root
from common.contracts.batches import FeatureSpec, FrameBatch, Source, SourceKind
from common.contracts.ids import content_id
from common.contracts.learning import LearningPlan
from common.features import FeatureBlock, TimeSource, time_source_code, to_half_precision
from common.modalities.video.frame import Frame
from common.modalities.video.groups import EMBEDDING, QUALITY, VIEW, VITALS, feature_groups
from common.modalities.video.modality import VIDEO
from common.modalities.video.vitals_columns import VITALS_COLUMNS
from common.settings import Settings
from common.store import Store
from tests.feeding import reduce
from tests.footage import scene

HOUR, DAY = 3600.0, 86_400.0
MORNING = 1_767_247_200.0
"""The first of January 2026, six o'clock in the morning, in UTC."""
GROUPS = feature_groups(16)
FRAMES = 12  # of a window
FEATURE_SPEC = FeatureSpec(
    backbone="learning",
    weights="w",
    precision="f32",
    decode_pipeline=VIDEO.decode_pipeline,
    sensors=VIDEO.sensors_version,
    sample_fps=None,
)
_NUMBERS = itertools.count()


def begin(store: Store, stream: str, stride: int = FRAMES) -> LearningPlan:
    """Let `stream` begin to learn, as its first source would."""
    return store.learning.begin(
        LearningPlan(
            id=content_id("learned", stream, next(_NUMBERS)),
            stream=stream,
            feature_spec=FEATURE_SPEC,
            groups=GROUPS,
            libraries={},
            window_frames=FRAMES,
            window_stride=stride,
            source=f"/{stream}.mp4",
            began_at=0.0,
        )
    )


@cache
def _readings(picture: str) -> dict[str, np.ndarray]:
    """Return the (n, columns) readings of small real pictures, by group: of a scene that moves, or of nothing."""
    frames = scene(FRAMES, seed=1)
    if picture == "black":
        frames = [np.zeros_like(frame) for frame in frames]
    if picture == "covered":
        rng = np.random.default_rng(0)
        frames = [rng.integers(18, 24, frame.shape, np.uint8) for frame in frames]
    if picture == "noisy":
        rng = np.random.default_rng(0)
        frames = [np.clip(f + rng.normal(0, 40, f.shape), 0, 255).astype(np.uint8) for f in frames]
    rows = [VIDEO.readings(Frame.of(frame, 0, 0.0)) for frame in frames]
    return {name: np.stack([row[name] for row in rows]) for name in (QUALITY, VIEW)}


def shot(at: float, *, picture: str = "scene", seed: int = 0, windows: int = 1) -> FeatureBlock:
    """Return the features of some windows that were taken from `at` on, a frame a second, brightest at noon."""
    rng = np.random.default_rng(seed + int(at))
    count = FRAMES * windows
    read = _readings("scene" if picture == "frozen" else picture)
    readings, view = (np.tile(read[name], (windows, 1)) for name in (QUALITY, VIEW))
    embedding = to_half_precision(rng.normal(size=(count, 16)).astype(np.float32))
    if picture == "frozen":
        readings, embedding, view = (np.repeat(rows[:1], count, axis=0) for rows in (readings, embedding, view))
    else:
        light = np.array([name.startswith("luma") for name in GROUPS[1].columns])
        readings = readings + 0.3 * math.sin((at % DAY / HOUR - 6.0) / 24.0 * 2 * math.pi) * light
        readings = readings + rng.normal(0.0, 0.002, readings.shape)
    return FeatureBlock(
        {
            EMBEDDING: embedding,
            QUALITY: readings.astype(np.float32),
            VIEW: view.astype(np.float32),
            VITALS: np.zeros((0, len(VITALS_COLUMNS)), np.float32),
        },
        np.arange(count, dtype=np.float64),
        (f"/{at:.0f}.mp4",),
        np.zeros(count, np.int32),
        at + np.arange(count, dtype=np.float64),
        np.full(count, time_source_code(TimeSource.NAME), np.uint8),
        {VITALS: np.zeros(0, np.int32)},
    )


def epoch(store: Store, own: Settings, stream: str, name: str = "0") -> Epoch:
    """Return the files of an epoch of `stream`."""
    plan_id = store.learning.stored(stream).id or ""
    return Epoch(epoch_folder(learned_root(own.state_dir, stream), plan_id, name), GROUPS)


def send(store: Store, stream: str, block: FeatureBlock, kind: SourceKind = SourceKind.RECORDING) -> FrameBatch:
    """Let `block` come as one source whose features are computed; the reducer has not seen it yet."""
    number = next(_NUMBERS)
    batch = FrameBatch(
        id=content_id(stream, number),
        stream=stream,
        source=Source(uri=block.sources[0], kind=kind, size=1, digest=str(number)),
        expected_frames=len(block),
        starts=(0,),
        feature_spec=FEATURE_SPEC,
        received_at=0.0,
    )
    assert store.batches.register(batch)
    (chunk,) = store.batches.release(stream, 8)
    store.chunks.finish(chunk, block)
    return batch


def show(store: Store, stream: str, block: FeatureBlock) -> None:
    """Let `block` come as one recording, and have it judged."""
    send(store, stream, block)
    reduce(stream)
