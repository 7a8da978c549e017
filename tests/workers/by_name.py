"""The embedding and reducing workers, but that features are made up: one frame of each chunk, without a backbone.

celery -A tests.workers.by_name worker -Q embed,reduce
"""

from __future__ import annotations

from celery.signals import worker_process_init

from common.broker import app
from common.contracts.batches import Chunk
from common.extraction import Look
from common.features import FeatureBlock
from tests.common.drift.footage import footage
from workers import embedding, reducer

__all__ = ["app", "reducer"]

worker_process_init.disconnect(embedding.warm_up)


def made_up(chunk: Chunk, look: Look | None = None) -> FeatureBlock:
    return footage(1, seed=0, name=chunk.source.uri)


embedding.extract = made_up
