"""The reducer on a real Redis: however frames come, the same windows are judged, and entering costs little."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from common.baselines.golden import ComesFrom, Golden
from common.baselines.storage import StoredBaseline
from common.contracts.batches import FrameBatch, Source, SourceKind
from common.contracts.events import EventType
from common.contracts.ids import content_id
from common.contracts.verdicts import Verdict
from common.features import FeatureBlock, to_half_precision
from common.ingest.accept import Ingestor
from common.store import Store
from common.store.streams import Committed
from tests.common.drift.footage import judge
from workers import context, reducer


def footage(ingestor: Ingestor, frames: int) -> FeatureBlock:
    baseline = ingestor.baselines.of_stream("cam").baseline
    rng = np.random.default_rng(0)
    return FeatureBlock(
        {
            name: to_half_precision(rng.normal(size=(frames, width)).astype(np.float32))
            for name, width in baseline.widths.items()
        },
        np.arange(frames, dtype=np.float64),
        ("/cam.mp4",),
        np.zeros(frames, np.int32),
    )


def golden(stored: StoredBaseline) -> Golden:
    """Return what a binding says of a stream that is judged by `stored`."""
    return Golden(stored, ComesFrom.SETTINGS, stored.id, None)


def feed(ingestor: Ingestor, store: Store, name: str, frames: FeatureBlock) -> None:
    """Let `frames` come as one short batch."""
    batch = FrameBatch(
        id=content_id("cam", name),
        stream="cam",
        source=Source(uri=f"/{name}.jpg", kind=SourceKind.IMAGE, size=1, digest=name),
        expected_frames=len(frames),
        starts=(0,),
        feature_spec=ingestor.baselines.of_stream("cam").baseline.feature_spec,
        received_at=0.0,
    )
    store.batches.register(batch)
    (chunk,) = store.batches.release("cam", 8)
    store.chunks.finish(chunk, frames)
    assert reducer.move_on("cam") is Committed.DONE


def verdicts(store: Store) -> list[Verdict]:
    kinds = {EventType.VERDICT_PASS, EventType.VERDICT_FAIL}
    return [event.verdict for event in store.event_log.events() if event.type in kinds]


@pytest.mark.parametrize("size", [1, 3])
def test_frame_by_frame_the_same_windows_are_judged_as_cut_from_the_whole(
    ingestor: Ingestor, store: Store, size: int
) -> None:
    baseline = ingestor.baselines.of_stream("cam").baseline
    rule = baseline.rule
    whole = footage(ingestor, rule.frames + 3 * rule.stride + 1)
    blocks = []
    for start in range(0, len(whole), size):
        feed(ingestor, store, str(start), whole[start : start + size])
        blocks.append(store.client.llen("sentinel:{cam}:frames"))
    found = verdicts(store)
    assert len(found) == 4
    for verdict in found:
        direct = judge(baseline, whole[verdict.stop - rule.frames : verdict.stop])
        assert (verdict.drift_score, verdict.p_value) == (direct.drift_score, direct.p_value)
    assert blocks.count(1) >= len(found), "a verdict leaves one block, its window"
    assert max(blocks[rule.frames // size :]) <= rule.stride // size + 2, "between verdicts only new frames are added"


def test_a_baseline_with_a_longer_window_starts_a_new_one(
    ingestor: Ingestor, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = ingestor.baselines.of_stream("cam")
    rule = stored.baseline.rule
    whole = footage(ingestor, 6 * rule.frames)
    half = rule.frames // 2

    def feed_to(stop: int) -> None:
        for start in range(fed[-1], stop, half):
            feed(ingestor, store, str(start), whole[start : start + half])
        fed.append(stop)

    fed = [0]
    feed_to(2 * rule.frames)
    assert verdicts(store)[0].stop == rule.frames
    before = len(verdicts(store))
    longer = rule.model_copy(update={"frames": 3 * rule.frames})
    changed = replace(stored, baseline=replace(stored.baseline, rule=longer))
    monkeypatch.setattr(context, "baselines", lambda: SimpleNamespace(current=lambda stream: golden(changed)))
    feed_to(6 * rule.frames)
    assert verdicts(store)[before].stop == 2 * rule.frames + longer.frames, "what a longer one needs is not kept"


def test_a_stream_whose_modality_is_not_installed_waits_and_goes_on_once_it_is(
    ingestor: Ingestor, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = ingestor.baselines.of_stream("cam")
    spec = stored.baseline.feature_spec.model_copy(update={"modality": "nowhere"})
    strange = replace(stored, baseline=replace(stored.baseline, feature_spec=spec))
    monkeypatch.setattr(context, "baselines", lambda: SimpleNamespace(current=lambda stream: golden(strange)))
    feed(ingestor, store, "first", footage(ingestor, stored.baseline.rule.frames))
    (letter,) = store.event_log.dead_letters()
    assert "its finished frames are kept: no entry point offers modality 'nowhere'" in letter.reason
    assert verdicts(store) == []
    monkeypatch.setattr(context, "baselines", lambda: ingestor.baselines)
    assert reducer.move_on("cam") is Committed.DONE
    assert len(verdicts(store)) == 1
