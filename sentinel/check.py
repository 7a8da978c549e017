"""The stateless one-shot: sources and a baseline in, a typed verdict out. No Redis, no Celery."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import Field

from common.baselines.storage import StoredBaseline
from common.contracts.ids import Message
from common.contracts.verdicts import Cause, FrameTime, Remedy, Status, Verdict, worst
from common.drift.frame_buffer import FrameBuffer
from common.drift.windows import WindowState
from common.errors import BaselineMismatch, WindowNotFull
from common.extraction import Extractor
from common.features import FeatureBlock
from common.judging import Thresholds, judge_block
from common.modalities.video.decode import probe
from common.modalities.video.sampling import sampled_count
from common.settings import Settings
from common.sources.local import describe_kind
from sentinel.cli.console import FrameProgress

STREAM = "check"
"""Name of the stream that a one-shot check judges: nobody else sees it."""
_BLOCK_FRAMES = 64  # frames a step: bounds memory and moves the progress bar


class CheckResult(Message):
    """What `sentinel check` found. The whole fails if any window does; its figures are the worst window's."""

    status: Status
    drift_score: float = Field(ge=0, le=1)
    p_value: float = Field(ge=0, le=1)
    cause: Cause | None
    remedy: Remedy | None
    began: FrameTime | None = Field(description="the change that the first failed window saw")
    baseline: str
    baseline_id: str
    frames: int = Field(ge=1)
    windows: tuple[Verdict, ...]


class CheckFailure(Message):
    """What is written in place of a result when there is none: `status` is ERROR."""

    status: str = "ERROR"
    error: str
    message: str


def check(
    paths: Sequence[Path], stored: StoredBaseline, extractor: Extractor, settings: Settings, progress: FrameProgress
) -> CheckResult:
    """Judge the sources at `paths`, one after the other, as one stream.

    Raises
    ------
    BaselineMismatch
        If this machine cannot make the features that the baseline is made of.
    BadSource
        If a source cannot be read.
    WindowNotFull
        If all sources together do not fill one window.
    """
    feature_spec = stored.baseline.feature_spec
    if settings.sample_fps is not None and settings.sample_fps != feature_spec.sample_fps:
        raise BaselineMismatch(
            f"SENTINEL_SAMPLE_FPS is {settings.sample_fps:g}, but the baseline was sampled at "
            f"{feature_spec.sample_fps or 'every frame'}: unset it, or build a baseline at that rate"
        )
    extractor.require(feature_spec)
    state, frames_so_far, verdicts, frames = WindowState(), FrameBuffer(), list[Verdict](), 0
    for path in paths:
        kind = describe_kind(path)
        promised = sampled_count(probe(path, kind, extractor.limits), feature_spec.sample_fps)
        with progress.source(path.name, promised) as ticker:
            blocks = extractor.blocks(path, kind, uri=str(path), sample_fps=feature_spec.sample_fps, size=_BLOCK_FRAMES)
            for block, opens, closes in with_edges(blocks, extractor.empty()):
                ticker.advance(len(block))
                frames += len(block)
                state, judged = judge_block(
                    state,
                    frames_so_far,
                    block,
                    stored=stored,
                    thresholds=Thresholds.of(settings),
                    stream=STREAM,
                    batch_frames=promised,
                    opens_batch=opens,
                    closes_batch=closes,
                )
                frames_so_far.drop_before(state.latest(stored.baseline.rule).start)
                verdicts += [row.verdict for row in judged]
    if not verdicts:
        raise WindowNotFull(
            f"{frames} frames were sampled, and a window of baseline {stored.baseline.name!r} needs "
            f"{stored.baseline.rule.frames}: give more footage, or rebuild it with a smaller SENTINEL_WINDOW_FRAMES"
        )
    speaker = worst(verdicts)
    return CheckResult(
        status=speaker.status,
        drift_score=speaker.drift_score,
        p_value=speaker.p_value,
        cause=speaker.cause,
        remedy=speaker.remedy,
        began=next((verdict.began for verdict in verdicts if verdict.status is Status.FAIL), None),
        baseline=stored.baseline.name,
        baseline_id=stored.id,
        frames=frames,
        windows=tuple(verdicts),
    )


def with_edges(blocks: Iterator[FeatureBlock], empty: FeatureBlock) -> Iterator[tuple[FeatureBlock, bool, bool]]:
    """Yield each block with whether it is the first and whether it is the last; one empty block if there is none."""
    before: FeatureBlock | None = None
    first = True
    for block in blocks:
        if before is not None:
            yield before, first, False
            first = False
        before = block
    yield (before if before is not None else empty), first, True
