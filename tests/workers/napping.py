"""The retraining worker with one more task, which takes its time: `celery -A tests.workers.napping worker`."""

from __future__ import annotations

import time

from common.broker import app
from workers import retraining  # noqa: F401, whose worker may end by itself


@app.task(name="nap")
def nap(seconds: float) -> None:
    time.sleep(seconds)
