"""Small real messages for tests."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from common.contracts.batches import FeatureSpec, FrameBatch, Source, SourceKind
from common.contracts.conditions import ConditionRecord
from common.contracts.ids import content_id
from common.contracts.models import ChampionRecord
from common.contracts.verdicts import Cause, ConditionMatch, Judgement, Status, Verdict
from common.features import FeatureBlock
from common.modalities.video.groups import VIEW, VIEW_HEADER
from common.modalities.video.modality import VIDEO
from common.models.names import DEFAULT_MODEL

TWO_GROUPS: Mapping[str, int] = {"embedding": 4, "quality": 3}

FEATURE_SPEC = FeatureSpec(
    backbone="mobilenet_v2",
    weights="aa",
    precision="f32",
    decode_pipeline=VIDEO.decode_pipeline,
    sensors=VIDEO.sensors_version,
    sample_fps=None,
)


def block(frames: int, *, start: int = 0, uri: str = "/a.mp4", widths: Mapping[str, int] = TWO_GROUPS) -> FeatureBlock:
    """Features of groups of these widths, whose values tell which frame of which source they belong to."""
    index = np.arange(start, start + frames)
    groups = {name: np.repeat(index[:, None], width, axis=1).astype(np.float32) for name, width in widths.items()}
    if VIEW in groups:
        groups[VIEW][:, :VIEW_HEADER] = 96, 54
    return FeatureBlock(
        groups,
        index.astype(np.float64),
        (uri,) if frames else (),
        np.zeros(frames, np.int32),
    )


def batch(stream: str = "dock", *, name: str = "a", frames: int = 100, chunk_frames: int = 40) -> FrameBatch:
    return FrameBatch(
        id=content_id(stream, name),
        stream=stream,
        source=Source(uri=f"/{name}.mp4", kind=SourceKind.RECORDING, size=1, digest=name),
        expected_frames=frames,
        starts=tuple(range(0, frames, chunk_frames)),
        feature_spec=FEATURE_SPEC,
        received_at=0.0,
    )


def verdict(
    *,
    stream: str = "dock",
    stop: int = 48,
    status: Status = Status.FAIL,
    cause: Cause = Cause.NOISE,
    condition: ConditionRecord | None = None,
    baseline_id: str = "b1",
    confirmed: bool = True,
    since: int = 0,
) -> Verdict:
    """A verdict on 48 frames; one that matches `condition` departs from the golden baseline as a FAIL would."""
    match = None
    if condition is not None:
        status = Status.PASS
        match = ConditionMatch(
            id=condition.id, cause=condition.cause, golden_score=0.6, golden_p_value=0.01, golden_cause=cause
        )
    departs = status is Status.FAIL or match is not None
    judgement = Judgement(
        status=status,
        drift_score=0.1 if match else 0.6,
        p_value=0.4 if match else 0.01,
        cause=cause if status is Status.FAIL else None,
        segment="golden.mp4",
        condition=match,
        feature_groups=(),
        leading_features=(),
        worst_frames=(),
    )
    return Verdict.place(
        judgement,
        block(48),
        stream=stream,
        baseline="dock",
        baseline_id=baseline_id,
        stop=stop,
        failing_since=since if departs else None,
        confirmed=confirmed and departs,
    )


def condition_record(
    name: str = "a",
    *,
    stream: str = "dock",
    cause: Cause = Cause.NOISE,
    path: str = "/c",
    digest: str = "d",
    proved: float = 0.0,
    expires: float = 1e12,
) -> ConditionRecord:
    return ConditionRecord(
        id=content_id("condition", stream, name),
        stream=stream,
        cause=cause,
        incident=content_id("incident", stream),
        golden_id="b1",
        path=path,
        digest=digest,
        gain_db=0.5,
        proved=proved,
        expires=expires,
    )


def record(
    version: int,
    *,
    model: str = DEFAULT_MODEL,
    parent: int | None = None,
    model_path: str | None = None,
    model_digest: str | None = "w",
    conditions: tuple[ConditionRecord, ...] = (),
) -> ChampionRecord:
    return ChampionRecord(
        model=model,
        version=version,
        model_path=model_path,
        model_digest=model_digest,
        parent=parent,
        reason="test",
        gain_db=None,
        loss_db=None,
        created_at=0.0,
        conditions=conditions,
    )
