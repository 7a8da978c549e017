"""Features that behave like those of video: each frame remembers the one before."""

from __future__ import annotations

import numpy as np

from common.contracts.batches import FeatureSpec
from common.drift.baseline import Baseline
from common.drift.windows import WindowRule
from common.features import FeatureBlock

SENSORS = ("luma", "noise", "sharpness")
FLOORS = (0.04, 0.25, 0.25)
RULE = WindowRule(frames=24, stride=6)
FEATURE_SPEC = FeatureSpec(
    backbone="b", weights="w", precision="f32", decode_pipeline="r", sensors="s", sample_fps=None
)


def footage(
    frames: int, *, seed: int, shift: float = 0.0, noise: float = 0.0, memory: float = 0.7, name: str = "/a.mp4"
) -> FeatureBlock:
    """Return AR(1) features: `shift` moves the embedding, `noise` the noise sensor, in their own spreads."""
    rng = np.random.default_rng(seed)
    innovations = rng.standard_normal((frames + 50, 32 + len(SENSORS)))
    series = np.zeros_like(innovations)
    for t in range(1, len(series)):
        series[t] = memory * series[t - 1] + np.sqrt(1 - memory**2) * innovations[t]
    series = series[50:]
    quality = series[:, 32:] * np.array([0.03, 0.08, 0.08]) + np.array([0.5, 0.7, 2.0])
    quality[:, 1] += noise
    return FeatureBlock(
        (series[:, :32] + shift).astype(np.float32),
        quality.astype(np.float32),
        np.arange(frames) / 10.0,
        (name,),
        np.zeros(frames, np.int32),
    )


def fitted(*clips: FeatureBlock, rule: WindowRule = RULE) -> Baseline:
    return Baseline.fit(
        [(f"clip{i}", clip) for i, clip in enumerate(clips)],
        name="test",
        feature_spec=FEATURE_SPEC,
        rule=rule,
        sensor_names=SENSORS,
        minimum_effects=FLOORS,
        created_at=0.0,
        libraries={},
    )
