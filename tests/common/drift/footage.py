"""Synthetic features that are autocorrelated like those of video."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from common.contracts.batches import FeatureSpec
from common.contracts.verdicts import Judgement
from common.drift.baseline import Baseline
from common.drift.fitting import fit_baseline
from common.drift.judge import judge as judge_any
from common.drift.windows import WindowRule
from common.features import FeatureBlock, FloatArray
from common.modalities.video.diagnosis import diagnose
from common.modalities.video.groups import EMBEDDING, QUALITY, embedding_group, quality_group
from common.modalities.video.modality import VIDEO

SENSORS = ("luma", "noise", "sharpness")
MINIMUM_EFFECTS = (0.04, 0.25, 0.25)
GROUPS = (embedding_group(32), quality_group(SENSORS, MINIMUM_EFFECTS))
RULE = WindowRule(frames=24, stride=6)
FEATURE_SPEC = FeatureSpec(
    backbone="b",
    weights="w",
    precision="f32",
    decode_pipeline=VIDEO.decode_pipeline,
    sensors=VIDEO.sensors_version,
    sample_fps=None,
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
        {EMBEDDING: (series[:, :32] + shift).astype(np.float32), QUALITY: quality.astype(np.float32)},
        np.arange(frames) / 10.0,
        (name,),
        np.zeros(frames, np.int32),
    )


def changed(block: FeatureBlock, **groups: FloatArray) -> FeatureBlock:
    """Return `block` with other values (n, columns) in the groups of these names."""
    return replace(block, groups={**block.groups, **groups})


def judge(baseline: Baseline, window: FeatureBlock, **how: Any) -> Judgement:
    """Judge as `common.drift.judge.judge` does, with the causes of video."""
    return judge_any(baseline, window, diagnose=diagnose, **how)


def fitted(*clips: FeatureBlock, rule: WindowRule = RULE) -> Baseline:
    return fit_baseline(
        [(f"clip{i}", clip) for i, clip in enumerate(clips)],
        name="test",
        feature_spec=FEATURE_SPEC,
        rule=rule,
        groups=GROUPS,
        created_at=0.0,
        libraries={},
    )
