"""How a stream learns, chosen from its first source."""

from __future__ import annotations

import time

from common.baselines.build import choose_rule, choose_sampling
from common.contracts.batches import SourceKind
from common.contracts.ids import content_id
from common.contracts.learning import LearningPlan, PreparedFeatures
from common.drift.windows import WindowRule
from common.modalities.modality import SourceFacts
from common.settings import Settings


def choose_plan(
    stream: str,
    source: str,
    facts: SourceFacts,
    key_seconds: float | None,
    prepared: PreparedFeatures,
    settings: Settings,
) -> LearningPlan:
    """Return how `stream` learns: sampling and window as `baseline build` would choose them for its first source.

    Parameters
    ----------
    source : URI of the first source
    facts : what it declares
    key_seconds : interval between its key frames, s; None: unknown, or no recording
    """
    fps = choose_sampling([facts], settings.window_frames, settings.sample_fps, [key_seconds])
    rule = choose_rule([facts], fps, settings) if facts.kind is SourceKind.RECORDING else _rule_of_stills(settings)
    began = time.time()
    return LearningPlan(
        id=content_id("learned", stream, began),
        stream=stream,
        feature_spec=prepared.feature_spec.model_copy(update={"sample_fps": fps}),
        groups=prepared.groups,
        libraries=prepared.libraries,
        window_frames=rule.frames,
        window_stride=rule.stride,
        source=source,
        began_at=began,
    )


def _rule_of_stills(settings: Settings) -> WindowRule:
    """Return the window for stills, of which one says nothing about how many will come."""
    frames = settings.window_frames
    return WindowRule(frames=frames, stride=min(settings.window_stride or max(1, frames // 4), frames))
