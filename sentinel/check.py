"""The stateless one-shot: sources and a baseline in, a typed verdict out. No Redis, no Celery."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from common.baselines.build import BuildProgress
from common.baselines.reproducible import require_reproducible
from common.baselines.storage import StoredBaseline
from common.contracts.batches import SourceKind
from common.contracts.ids import Message
from common.contracts.policy import Policy, Response
from common.contracts.verdicts import Cause, FrameTime, Status, Verdict, worst
from common.contracts.zones import zones_text
from common.drift.frame_buffer import FrameBuffer
from common.drift.windows import WindowState
from common.errors import BaselineMismatch, WindowNotFull
from common.extraction import Extractor
from common.features import FeatureBlock
from common.judging import BatchPlace, Thresholds, judge_block
from common.printable import encodable
from common.settings import Settings
from common.sources.local import check_modality, describe_kind
from sentinel.album import BLOCK_FRAMES, Album

STREAM = "check"
"""Name of the stream that a one-shot check judges: nobody else sees it."""


class CheckResult(Message):
    """What `sentinel check` found. The whole fails if any window does; its figures are the worst window's."""

    status: Status
    drift_score: float = Field(ge=0, le=1)
    p_value: float = Field(ge=0, le=1)
    cause: Cause | None
    response: Response | None = Field(description="what the policy calls for; None on PASS")
    judged_by: Literal["golden"] = Field(
        "golden", description="a one-shot check has no champion, so the golden baseline alone decides"
    )
    began: FrameTime | None = Field(description="the change that the first failed window saw")
    baseline: str
    baseline_id: str
    frames: int = Field(ge=1)
    windows: tuple[Verdict, ...]


@dataclass(frozen=True)
class Run:
    """Consecutive windows with the same cause."""

    first: Verdict
    last: Verdict
    worst: Verdict
    count: int


def runs(windows: Sequence[Verdict]) -> list[Run]:
    """Group consecutive windows with the same cause."""
    grouped = [list(run) for _, run in itertools.groupby(windows, key=lambda window: window.cause)]
    return [Run(run[0], run[-1], worst(run), len(run)) for run in grouped]


def worst_runs(found: Sequence[Run], most: int) -> list[Run]:
    """Return the runs that a table of `most` rows lists: where there are more, the worst ones, in their order."""
    if len(found) <= most:
        return list(found)
    order = sorted(range(len(found)), key=lambda n: (found[n].worst.cause is not None, found[n].worst.drift_score))
    return [found[n] for n in sorted(order[-most:])]


def check(
    paths: Sequence[Path],
    stored: StoredBaseline,
    extractor: Extractor,
    settings: Settings,
    progress: BuildProgress,
    album: Album | None = None,
) -> CheckResult:
    """Judge the sources at `paths`, one after the other, as one stream.

    Parameters
    ----------
    album : keeps pictures of what fails; None: nobody looks at any

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
    if settings.ignore is not None and settings.ignore != feature_spec.ignore:
        raise BaselineMismatch(
            f"{zones_text(settings.ignore)} are to be ignored, but baseline {stored.baseline.name!r} was made with "
            f"{zones_text(feature_spec.ignore)}: leave --ignore and SENTINEL_IGNORE out to follow it, or build a "
            "baseline with these zones"
        )
    require_reproducible(stored)
    extractor.require(feature_spec)
    stream = _Stream(stored, Thresholds.of(settings), Policy.parse(settings.policy))
    for path in paths:
        kind = describe_kind(path)
        check_modality(path, feature_spec.modality, extractor.limits)
        promised = batch_frames(path, kind, feature_spec.sample_fps, extractor)
        uri = encodable(str(path))
        look = album.opened(uri) if album is not None else None
        with progress.source(path.name, promised) as ticker:
            blocks = extractor.blocks(
                path, kind, uri=uri, sample_fps=feature_spec.sample_fps, size=BLOCK_FRAMES, look=look
            )
            for block, opens, closes in with_edges(blocks, extractor.empty()):
                ticker.advance(len(block))
                judged = stream.enter(block, promised, opens=opens, closes=closes)
                if album is not None:
                    album.judged(judged)
    return stream.result()


def batch_frames(path: Path, kind: SourceKind, sample_fps: float | None, extractor: Extractor) -> int:
    """Return how many sampled frames the source at `path` has, counted as `common.ingest.accept` counts them.

    A batch that fills a window is judged by itself, so near one window's length one frame more or less decides.
    """
    modality, limits = extractor.modality, extractor.limits
    facts = modality.probe(path, kind, limits)
    if kind is SourceKind.RECORDING:
        return modality.chunk(path, sample_fps, BLOCK_FRAMES, limits)[0]
    return facts.frames


class _Stream:
    """The stream that the sources make: its window, and the verdicts so far."""

    def __init__(self, stored: StoredBaseline, thresholds: Thresholds, policy: Policy) -> None:
        self._policy = policy
        self._stored = stored
        self._thresholds = thresholds
        self._state = WindowState()
        self._buffer = FrameBuffer()
        self._verdicts: list[Verdict] = []
        self._frames = 0

    def enter(self, block: FeatureBlock, promised: int, *, opens: bool, closes: bool) -> list[Verdict]:
        """Append the next frames of a source to the window, and return the verdict on each that is complete.

        `promised` is the number of sampled frames expected in the whole source.
        """
        self._frames += len(block)
        self._state, judged = judge_block(
            self._state,
            self._buffer,
            block,
            stored=self._stored,
            thresholds=self._thresholds,
            stream=STREAM,
            place=BatchPlace(promised, opens=opens, closes=closes),
        )
        self._buffer.drop_before(self._state.latest(self._stored.baseline.rule).start)
        verdicts = [row.verdict for row in judged]
        self._verdicts += verdicts
        return verdicts

    def result(self) -> CheckResult:
        """Return what was found; raise `WindowNotFull` if nothing could be judged."""
        baseline = self._stored.baseline
        if not self._verdicts:
            raise WindowNotFull(
                f"{self._frames} frames were sampled, and a window of baseline {baseline.name!r} needs "
                f"{baseline.rule.frames}: give more footage, or rebuild it with a smaller SENTINEL_WINDOW_FRAMES"
            )
        decisive = worst(self._verdicts)
        return CheckResult(
            status=decisive.status,
            drift_score=decisive.drift_score,
            p_value=decisive.p_value,
            cause=decisive.cause,
            response=self._policy.of(decisive.cause) if decisive.cause else None,
            began=next((verdict.began for verdict in self._verdicts if verdict.status is Status.FAIL), None),
            baseline=baseline.name,
            baseline_id=self._stored.id,
            frames=self._frames,
            windows=tuple(self._verdicts),
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
