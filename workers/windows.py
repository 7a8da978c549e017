"""From the features of finished chunks to verdicts, and to the windows that may be learned."""

from __future__ import annotations

import time

from common.baselines.golden import Golden
from common.baselines.learning.watching import watch_block
from common.contracts.verdicts import Status, Verdict
from common.drift.frame_buffer import FrameBuffer
from common.drift.windows import WindowState
from common.features import FeatureBlock
from common.judging import BatchPlace, JudgedWindow, Thresholds, judge_block
from common.settings import Settings
from common.store.streams import FinishedChunk
from common.stream_config import settings_of_stream
from workers import context


def fold(
    golden: Golden,
    stream: str,
    state: WindowState,
    frames: FrameBuffer,
    ready: list[FinishedChunk],
    *,
    latest: float | None,
    settings: Settings,
) -> tuple[WindowState, list[JudgedWindow], list[FeatureBlock]]:
    """Append the features of `ready` to the window and judge each window that becomes complete.

    Chunks that were given up have no frames. A condition that expired before `latest`, the latest capture time that
    was judged, stays so for footage that comes late.

    Returns
    -------
    The new state, the verdicts, and the windows that nothing is wrong with, which may be learned.
    """
    thresholds = Thresholds.of(settings_of_stream(settings, stream))
    now = time.time()
    judged: list[JudgedWindow] = []
    clear: list[FeatureBlock] = []
    golden_scores = context.reference(stream, golden.id)
    conditions = [row for row in context.conditions(stream, golden.id) if latest is None or latest < row.record.expires]
    for done in ready:
        chunk, features = done.chunk, done.features if done.features is not None else empty_like(golden)
        place = BatchPlace(chunk.batch_frames, chunk.opens_batch, chunk.closes_batch, chunk.ends_sparse)
        if golden.stored is None:
            state, fresh, seen = watch_block(state, frames, features, golden=golden, stream=stream, place=place)
            clear += seen
        else:
            state, fresh = judge_block(
                state,
                frames,
                features,
                stored=golden.stored,
                thresholds=thresholds,
                stream=stream,
                place=place,
                conditions=conditions,
                golden_scores=golden_scores,
                now=now,
            )
            clear += [row.features for row in fresh if _is_clear(row.verdict)]
        judged += fresh
    return state, judged, clear


def _is_clear(verdict: Verdict) -> bool:
    """Return whether nothing is wrong with a window. One of pictures of another size is not, nor one whose samples lie
    farther apart: less of them was judged."""
    return (
        verdict.status is Status.PASS
        and verdict.condition is None
        and verdict.resolution is None
        and verdict.spacing is None
    )


def empty_like(golden: Golden) -> FeatureBlock:
    """Return a block of no frames, as wide as the stream's features."""
    return FeatureBlock.empty({group.name: group.size for group in golden.groups})
