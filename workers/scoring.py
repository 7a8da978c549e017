"""Live scores of champions, made after the features of a chunk, and the task that makes what they are held against."""

from __future__ import annotations

import logging
from pathlib import Path

import redis
from billiard.exceptions import SoftTimeLimitExceeded

from common.broker import REFER_TASK, app, send_canary, send_refer
from common.contracts.batches import Chunk, SourceKind
from common.errors import SentinelError
from common.features import FeatureBlock
from workers import context

log = logging.getLogger(__name__)

_TASK_SECONDS = 300  # about a hundred examples, each a fraction of a second


def with_live_scores(chunk: Chunk, path: Path, features: FeatureBlock) -> FeatureBlock:
    """Return the features of a chunk with the live scores of its stream's champion, where there are any.

    Stills are no recording, and have none. Whatever goes wrong costs the scores and never the features.
    """
    if chunk.source.kind is not SourceKind.RECORDING or not len(features):
        return features
    try:
        scored = context.live_scoring().scored(chunk.stream, path, features, chunk.start, chunk.id)
        if scored.refer:
            send_refer(chunk.stream)
        if scored.worse is not None:
            send_canary(scored.worse)
        return scored.features
    except redis.RedisError:
        raise
    except SentinelError as error:
        log.warning("stream %s: a chunk has no live scores: %s", chunk.stream, error)
    except (Exception, SoftTimeLimitExceeded):
        log.exception("stream %s: a chunk has no live scores", chunk.stream)
    return features


@app.task(name=REFER_TASK, soft_time_limit=_TASK_SECONDS, time_limit=_TASK_SECONDS + 60)
def refer(stream: str) -> None:
    """Score the champion of `stream` on its golden footage, unless that was done.

    Any client of the queue can send this task: it does what the stream's own footage would have asked for.
    """
    if not isinstance(stream, str) or not context.store().streams.is_known(stream):
        return
    try:
        context.live_scoring().refer(stream)
    except SentinelError as error:
        context.store().golden_scores.postpone(stream)
        log.warning("decay of the model of stream %s cannot be seen: %s", stream, error)
