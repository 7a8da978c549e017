"""The retrain worker with a trainer that never tells anything and never ends; its task may take ten seconds.

celery -A tests.common.models.hanging worker -Q retrain
"""

from __future__ import annotations

import time
from importlib.metadata import EntryPoint, EntryPoints
from typing import NoReturn

from common.broker import app
from common.models import kinds
from common.models.vfi import triplets
from tests.common.models import thrifty
from workers import retraining

__all__ = ["KIND", "app"]


class Hanging(thrifty.Thrift):
    """Trains for ever."""

    def fine_tune(self, *given: object, **how: object) -> NoReturn:
        while True:
            time.sleep(0.1)


class HangingKind(thrifty.ThriftyKind):
    def trainer(self) -> Hanging:
        return Hanging()


KIND = HangingKind()
OFFERED = EntryPoints([EntryPoint("vfi", "tests.common.models.hanging:KIND", kinds.GROUP)])
triplets.TRIPLET_SIZE = thrifty.SIZE
kinds.entry_points = lambda *, group: OFFERED.select(group=group)  # type: ignore[assignment]
retraining.retrain.soft_time_limit = 10
