"""Feeding features to a stream's real reducer, as embedding workers would."""

from __future__ import annotations

import itertools

import numpy as np

from common.baselines.binding import BaselineBinding
from common.contracts.batches import FrameBatch, Source, SourceKind
from common.contracts.ids import content_id
from common.contracts.verdicts import Verdict
from common.features import FeatureBlock
from common.store import Store
from common.store.streams import Committed
from tests.common.drift.footage import footage
from workers import reducer

_NUMBERS = itertools.count()


def feed(store: Store, binding: BaselineBinding, stream: str, features: FeatureBlock) -> list[Verdict]:
    """Let `features` come as one batch of a camera that goes on, have it judged, and return the new verdicts."""
    before = {verdict.id for verdict in verdicts(store, stream)}
    number = next(_NUMBERS)
    batch = FrameBatch(
        id=content_id(stream, number),
        stream=stream,
        source=Source(uri=f"/{number}.jpg", kind=SourceKind.IMAGE, size=1, digest=str(number)),
        expected_frames=1,  # as a camera's single frames, which share windows
        starts=(0,),
        feature_spec=binding.of_stream(stream).baseline.feature_spec,
        received_at=0.0,
    )
    assert store.batches.register(batch)
    (chunk,) = store.batches.release(stream, 8)
    store.chunks.finish(chunk, features)
    reduce(stream)
    return [verdict for verdict in verdicts(store, stream) if verdict.id not in before]


def reduce(stream: str) -> None:
    """Run the stream's reducer until there is nothing left to do."""
    while reducer.move_on(stream) is not Committed.DONE:
        pass


def verdicts(store: Store, stream: str) -> list[Verdict]:
    """Return the verdicts of `stream`, oldest first."""
    return [event.verdict for event in store.event_log.events() if event.stream == stream and hasattr(event, "verdict")]


def normal(frames: int, *, seed: int) -> FeatureBlock:
    """Features like those of `small_baseline`."""
    return _timed(footage(frames, seed=seed, name="/camera.mp4"))


def re_aimed(frames: int, *, seed: int) -> FeatureBlock:
    """Features of another view, as after a camera was turned: so far from golden that two windows confirm it."""
    return _timed(footage(frames, seed=seed, shift=5.0, name="/camera.mp4"))


def noisy(frames: int, *, seed: int) -> FeatureBlock:
    """Features as from a sensor that became noisy."""
    return _timed(footage(frames, seed=seed, noise=2.0, name="/camera.mp4"))


def _timed(block: FeatureBlock) -> FeatureBlock:
    times = 1_700_000_000.0 + np.arange(len(block)) / 10.0
    return FeatureBlock(block.groups, block.times, block.sources, block.source_index, times, block.time_source)
