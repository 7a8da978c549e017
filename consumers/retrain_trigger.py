"""Turns FAILs into retrainings: a model is called once the cool-down after its first confirmed FAIL is over.

    sentinel:events  --FAIL-->  FAILs that wait  --cool-down-->  queue retrain

A process of its own: that producers wait while Redis is full must never hold a FAIL back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from common import broker
from common.contracts.events import Event, WindowFailed
from common.errors import BadMessage
from common.store import Store
from consumers.listener import Listener, keep_running

GROUP = "retrain"
"""The consumer group. Version 0.1 had it too, so what that had read is not read again."""

_LOST_TASK_SECONDS = 60.0  # a model is called again after this if no retraining of it has come to an end


class RetrainTrigger:
    """One process of the retrain trigger. Any number may run: the consumer group shares the events out."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._listener = Listener(store, GROUP, self._note)

    def run(self, stop: threading.Event, beat: Callable[[], None] = lambda: None) -> None:
        """Work until `stop` is set; while Redis is away, wait and go on. Each turn calls `beat`, for others to see."""
        keep_running(self.step, stop, beat)

    def step(self) -> int:
        """Note the FAILs that are there, and call the models that are due; return the number of events read."""
        read = self._listener.step()
        for model in self._store.champions.take_due(again_after=_LOST_TASK_SECONDS):
            broker.send_retrain(model)
        return read

    def _note(self, event: Event) -> None:
        if not isinstance(event, WindowFailed):
            return
        if self._store.champions.champion(event.model) is None:
            raise BadMessage(
                f"a FAIL of model {event.model[:200]!r}, which has no champion: only the reducer may write verdicts, "
                "and it registers the model first"
            )
        self._store.champions.note_fail(event.model, event.id, event.verdict)
