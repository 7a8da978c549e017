"""The task of the embedding workers that says by which features a stream that begins to learn is learned."""

from __future__ import annotations

import logging

from common.baselines.learning.preparing import make_features, preparation_key
from common.broker import PREPARE_TASK, app
from common.errors import SentinelError
from common.settings import get_settings
from workers import context

log = logging.getLogger(__name__)

_TASK_SECONDS = 600  # the first time, the backbone is downloaded and converted


@app.task(name=PREPARE_TASK, soft_time_limit=_TASK_SECONDS, time_limit=_TASK_SECONDS + 60)
def prepare(modality: str) -> None:
    """Say which features this worker makes of `modality`, or why it makes none."""
    settings = get_settings()
    key = preparation_key(settings, modality)
    try:
        context.store().learning.answer(key, make_features(settings, modality))
    except SentinelError as error:
        log.error("no stream can begin to learn: %s", error)
        context.store().learning.answer(key, str(error))
