"""Synthetic features that are autocorrelated like those of video."""

from __future__ import annotations

import numpy as np

from common.contracts.batches import FeatureSpec
from common.drift.baseline import Baseline
from common.drift.fitting import fit_baseline
from common.drift.windows import WindowRule
from common.features import FeatureBlock

SENSORS = ("luma", "noise", "sharpness")
MINIMUM_EFFECTS = (0.04, 0.25, 0.25)
RULE = WindowRule(frames=24, stride=6)
FEATURE_SPEC = FeatureSpec(
    backbone="b", weights="w", precision="f32", decode_pipeline="r", sensors="s", sample_fps=None
)


def footage(
    frames: int, *, seed: int, shift: float = 0.0, noise: float = 0.0, correlation: float = 0.7, name: str = "/a.mp4"
) -> FeatureBlock:
    """Return AR(1) features at 10 frames per second.

    Parameters
    ----------
    shift : added to each dimension of the embedding, whose standard deviation is 1
    noise : added to the reading of the noise sensor, whose standard deviation is 0.08
    correlation : between consecutive frames, 0 to 1
    """
    rng = np.random.default_rng(seed)
    innovations = rng.standard_normal((frames + 50, 32 + len(SENSORS)))
    series = np.zeros_like(innovations)
    for t in range(1, len(series)):
        series[t] = correlation * series[t - 1] + np.sqrt(1 - correlation**2) * innovations[t]
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
    return fit_baseline(
        [(f"clip{i}", clip) for i, clip in enumerate(clips)],
        name="test",
        feature_spec=FEATURE_SPEC,
        rule=rule,
        sensor_names=SENSORS,
        minimum_effects=MINIMUM_EFFECTS,
        created_at=0.0,
        libraries={},
    )
