"""The embedding and reducing workers, but that a chunk of stream `hangs` takes for ever, deaf to the soft time limit.

celery -A tests.workers.hanging worker -Q embed,reduce
"""

from __future__ import annotations

import time

from celery.signals import worker_process_init

from common.broker import app
from common.contracts.batches import Chunk
from common.extraction import Look
from common.features import FeatureBlock
from workers import embedding, reducer

__all__ = ["app", "reducer"]

worker_process_init.disconnect(embedding.warm_up)  # no chunk is embedded here


def hang(chunk: Chunk, look: Look | None = None) -> FeatureBlock:
    while True:
        try:
            time.sleep(1)
        except Exception:
            continue


embedding.extract = hang
