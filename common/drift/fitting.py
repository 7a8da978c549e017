"""Fits a baseline to golden footage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from common.contracts.batches import FeatureSpec
from common.contracts.feature_groups import FeatureGroup, GroupKind, check_groups
from common.contracts.verdicts import Status
from common.drift.baseline import Baseline
from common.drift.conditions import frames_needed
from common.drift.judge import judge
from common.drift.scene_change import Mixture, two_scenes
from common.drift.segment import fit_segment
from common.drift.windows import WindowRule
from common.errors import BadBaseline, BaselineTooShort
from common.features import FeatureBlock

_MIN_DISTINCT_FRAMES = 3  # footage that repeats one picture has no variation to calibrate on


def fit_baseline(
    clips: Sequence[tuple[str, FeatureBlock]],
    *,
    name: str,
    feature_spec: FeatureSpec,
    rule: WindowRule,
    groups: tuple[FeatureGroup, ...],
    created_at: float,
    libraries: Mapping[str, str],
    clean_ratios: tuple[float, ...] = (),
) -> Baseline:
    """Return a baseline of golden clips.

    Parameters
    ----------
    clips : name and features of each clip, frames in order
    name, feature_spec, rule, groups, created_at, libraries, clean_ratios : see `Baseline`

    Raises
    ------
    BaselineTooShort
        If a clip is too short to estimate its null; the message says how long it must be.
    BadBaseline
        If there is no clip, or one repeats a single picture or shows two scenes.
    BadMessage
        If features are not finite.
    """
    if not clips:
        raise BadBaseline("there is no golden clip: give at least one")
    for clip, block in clips:
        _check_length(clip, block, rule.frames)
        _check_content(clip, block, groups, rule.frames)
    segments = [fit_segment(clip, block, window=rule.frames, groups=groups) for clip, block in clips]
    baseline = Baseline(
        name=name,
        feature_spec=feature_spec,
        rule=rule,
        groups=check_groups(groups),
        segments=tuple(segments),
        clean_ratios=clean_ratios,
        null_false_alarms=0.0,
        libraries=dict(libraries),
        created_at=created_at,
    )
    return replace(baseline, null_false_alarms=_own_failures(baseline, clips))


def _check_length(clip: str, block: FeatureBlock, window: int) -> None:
    needed = frames_needed(window)
    if len(block) >= needed:
        return
    seconds = float(block.times[-1] - block.times[0]) / max(len(block) - 1, 1) * needed if len(block) > 1 else 0.0
    length = f"{needed} frames" + (f" (about {seconds:.0f} s at this sampling)" if seconds else "")
    raise BaselineTooShort(
        f"{clip} has {len(block)} sampled frames; a baseline with windows of {window} frames needs {length}: "
        "give longer footage, or set SENTINEL_WINDOW_FRAMES lower or SENTINEL_SAMPLE_FPS higher"
    )


def _check_content(clip: str, block: FeatureBlock, groups: Sequence[FeatureGroup], window: int) -> None:
    readings = [block.groups[group.name] for group in groups if group.kind is GroupKind.COLUMNS and not group.delivery]
    if any(len(np.unique(values, axis=0)) < _MIN_DISTINCT_FRAMES for values in readings):
        raise BadBaseline(
            f"{clip} has the same picture or readings all the time: golden footage must come from a live source"
        )
    found = two_scenes(block, groups, window)
    if found is None:
        return
    mixture, frame = found
    if mixture is Mixture.ALTERNATING:
        raise BadBaseline(
            f"{clip} alternates between frames of two scenes: give the footage of each camera as a clip of its own"
        )
    raise BadBaseline(
        f"{clip} shows another scene from {block.times[frame]:.1f} s on: of two cameras, build a baseline "
        "each; of one camera, cut the clip there and give both parts, each becomes a segment of its own"
    )


def _own_failures(baseline: Baseline, clips: Sequence[tuple[str, FeatureBlock]]) -> float:
    """Return the share of the clips' own windows that fail; the baseline has seen them, so the true rate is higher."""
    window = baseline.rule.frames
    statuses = [
        judge(baseline, block[start : start + window]).status
        for _, block in clips
        for start in range(0, len(block) - window + 1, window)
    ]
    return statuses.count(Status.FAIL) / max(len(statuses), 1)
