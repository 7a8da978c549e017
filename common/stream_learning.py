"""What streams have learned, as `status` and `streams show` say it."""

from __future__ import annotations

from common.contracts.learning import LearningProgress, epoch_id, progress_of
from common.store import Store
from common.store.golden import StoredBinding
from common.store.incidents import open_incidents
from common.store.streams import Window


def learning_progress(store: Store, stream: str, window: Window) -> LearningProgress | None:
    """Return what `stream` has learned; None if it is judged by a baseline that somebody made."""
    return progress_under(store, stream, window, store.golden.bound(stream))


def progress_under(store: Store, stream: str, window: Window, bound: StoredBinding) -> LearningProgress | None:
    """Return the same, where what says by what it is judged was read already."""
    learning = bound.learning
    if learning.id is None:
        return None
    epoch = learning.epoch(bound.latest)
    if window.verdict is not None and window.verdict.baseline_id != epoch_id(learning.id, epoch):
        return None
    failing = (row.cause for row in open_incidents(window.incidents) if row.is_of_footage)
    return progress_of(
        learning.status(epoch),
        learning.coverage(epoch),
        waiting=store.learning.waiting(stream),
        blind_by=next(failing, ""),
        stream=stream,
    )
