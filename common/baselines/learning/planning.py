"""How a stream learns, chosen from its first source."""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt

from common.baselines.build import choose_rule, choose_sampling, sees_enough
from common.baselines.days import rule_of_stills
from common.contracts.batches import SourceKind
from common.contracts.ids import content_id
from common.contracts.learning import LearningPlan, PreparedFeatures
from common.drift.windows import WindowRule
from common.features import FeatureBlock
from common.modalities.modality import SourceFacts
from common.settings import Settings

_GAPS_NEEDED = 2  # between stills


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
    settings : of the stream
    """
    fps = choose_sampling([facts], settings.window_frames, settings.sample_fps, [key_seconds], windows=1)
    if facts.kind is SourceKind.RECORDING:
        rule = choose_rule([facts], fps, settings, windows=1)
    else:
        rule = suited_to(np.array(facts.times.stills), _rule_of_stills(settings), settings)
    began, made = time.time(), prepared.feature_spec
    every = settings.embed_every if made.backbone and sees_enough(settings.embed_every, rule) else 1
    return LearningPlan(
        id=content_id("learned", stream, began),
        stream=stream,
        feature_spec=made.model_copy(update={"sample_fps": fps, "embed_every": every, "ignore": settings.ignore or ()}),
        groups=prepared.groups,
        clean_ratios=prepared.clean_ratios,
        libraries=prepared.libraries,
        window_frames=rule.frames,
        window_stride=rule.stride,
        source=source,
        began_at=began,
    )


def _rule_of_stills(settings: Settings) -> WindowRule:
    frames = settings.window_frames
    return WindowRule(frames=frames, stride=min(settings.window_stride or max(1, frames // 4), frames))


def suited_to(taken_at: npt.NDArray[np.float64], rule: WindowRule, settings: Settings) -> WindowRule:
    """Return the window for stills: `rule`, or a few pictures if the camera takes one every few minutes only.

    Parameters
    ----------
    taken_at : (n,) capture times of stills, seconds since the epoch; fewer than three say nothing
    """
    gaps = np.diff(taken_at[np.isfinite(taken_at)])
    if len(gaps) < _GAPS_NEEDED or "window_frames" in settings.model_fields_set:
        return rule
    return rule_of_stills(float(np.median(np.abs(gaps))), rule)


def replanned(plan: LearningPlan, frames: FeatureBlock, settings: Settings) -> LearningPlan | None:
    """Return the plan with a window that suits single stills which have come so far; None if it does already.

    A first still says nothing about when the next ones come.
    """
    if len(frames.sources) < len(frames):
        return None
    rule = suited_to(frames.taken_at, WindowRule(frames=plan.window_frames, stride=plan.window_stride), settings)
    if rule.frames == plan.window_frames:
        return None
    return plan.model_copy(update={"window_frames": rule.frames, "window_stride": rule.stride})
