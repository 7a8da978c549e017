"""Turns incidents into retrainings: a model is called once the cool-down after the first confirmed FAIL is over.

    sentinel:events  --confirmed FAIL that the policy trains on-->  streams that wait  --cool-down-->  queue retrain

A window that matches a condition in the second half of the condition's life lets its stream wait too: the
condition is then proved again on fresh footage, before it expires. What is true of frames (`TruthJudged`) lets it wait
where the stream is bound to a model that Sentinel can retrain.

A process of its own: that producers wait while Redis is full must never hold a FAIL back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from common import broker
from common.contracts.events import Event, TruthJudged, WindowFailed, WindowPassed
from common.contracts.policy import Policy
from common.contracts.verdicts import Cause
from common.settings import Settings
from common.store import Store, open_store
from common.stream_config import model_of
from consumers.listener import Listener, keep_running

GROUP = "retrain"
"""The consumer group. Version 0.1 had it too, so what that had read is not read again."""

_LOST_TASK_SECONDS = 60.0  # a model is called again after this if no retraining of it has come to an end


class RetrainTrigger:
    """One process of the retrain trigger. Any number may run: the consumer group shares the events out."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._policy = Policy.parse(store.settings.policy)
        self._listener = Listener(store, GROUP, self._note)

    def run(self, stop: threading.Event, beat: Callable[[], None] = lambda: None) -> None:
        """Work until `stop` is set; while Redis is away, wait and go on. Each turn calls `beat`, for others to see."""
        keep_running(self.step, stop, beat)

    def step(self) -> int:
        """Note the streams that wait, and call the models that are due; return the number of events read."""
        read = self._listener.step()
        champions = self._store.champions
        for model in champions.take_due(again_after=_LOST_TASK_SECONDS):
            if champions.waiting_count(model):
                broker.send_retrain(model)
            else:  # a line of version 0.2, whose FAILs waited under other keys
                champions.settle(model, {}, ended=False)
        return read

    def _note(self, event: Event) -> None:
        if isinstance(event, WindowFailed) and event.verdict.confirmed and event.verdict.cause:
            waits = self._policy.of(event.verdict.cause).trains
        elif isinstance(event, TruthJudged):
            retrains = event.verdict.confirmed and bool(event.verdict.score.healed_as)
            waits = retrains and self._policy.of(Cause.MODEL_DECAY).trains
        else:
            waits = isinstance(event, WindowPassed) and self._wants_proof(event)
        if waits and self._store.streams.is_known(event.stream):
            self._store.champions.note_waiting(model_of(self._store.settings, event.stream), event.stream)

    def _wants_proof(self, event: WindowPassed) -> bool:
        """Return whether the window matches a condition whose life is more than half over."""
        match = event.verdict.condition
        champion = self._store.champions.champion(model_of(self._store.settings, event.stream)) if match else None
        if match is None or champion is None:
            return False
        taken_at = event.verdict.taken_to or event.time
        return any(
            condition.id == match.id and taken_at > (condition.proved + condition.expires) / 2
            for condition in champion.conditions
        )


def main(settings: Settings, stop: threading.Event, beat: Callable[[], None]) -> None:
    """Run one process of the retrain trigger until `stop` is set."""
    RetrainTrigger(open_store(settings)).run(stop, beat)
