"""Windows, evidence and retention run on capture time: a fortnight of footage can be judged in an hour."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from common.contracts.events import WindowFailed, WindowPassed
from common.features import FeatureBlock, TimeSource, time_source_code
from common.ingest.accept import Ingestor
from common.store import Store
from common.store.ingest import offer
from producers.camera_events import CameraEvents
from tests.common.builders import batch
from tests.footage import stills
from tests.producers.events import EVENT
from workers import maintenance, reducer

DAY = 86_400.0
FIRST = datetime(2024, 11, 1, tzinfo=UTC).timestamp()


def feed(ingestor: Ingestor, store: Store, stream: str, days: list[float], *, faulty: bool) -> None:
    """Let one window of frames per day enter `stream`, as an embedding worker leaves them."""
    stored = ingestor.baselines.of_stream(stream)
    frames = stored.baseline.rule.frames
    rng = np.random.default_rng(0)
    for day in days:
        work = batch(stream, name=f"{stream}-{day}", frames=frames, chunk_frames=frames)
        work = work.model_copy(update={"feature_spec": stored.baseline.feature_spec})
        store.batches.register(work)
        store.batches.release(stream, 8)
        groups = {
            name: rng.normal(50.0 if faulty else 0.0, 1.0, (frames, width)).astype(np.float32)
            for name, width in stored.baseline.widths.items()
        }
        block = FeatureBlock(
            groups,
            np.arange(frames, dtype=np.float64),
            (f"/{stream}/{day}.mp4",),
            np.zeros(frames, np.int32),
            FIRST + day * DAY + np.arange(frames, dtype=np.float64),
            np.full(frames, time_source_code(TimeSource.NAME), np.uint8),
        )
        store.chunks.finish(work.chunks()[0], block)
        reducer.reduce(stream)


def windows(store: Store, stream: str) -> list[WindowPassed | WindowFailed]:
    found = [event for event in store.event_log.events() if isinstance(event, WindowPassed | WindowFailed)]
    return [event for event in found if event.stream == stream]


def test_a_verdict_says_when_its_frames_were_taken_and_how_that_is_known(ingestor: Ingestor, store: Store) -> None:
    feed(ingestor, store, "dock", [3.0], faulty=False)
    (event,) = windows(store, "dock")
    assert event.verdict.taken_from == FIRST + 3 * DAY
    assert event.verdict.taken_to == FIRST + 3 * DAY + event.verdict.stop - 1
    assert event.verdict.time_source is TimeSource.NAME


def test_evidence_ages_with_the_stream_and_not_with_the_clock_on_the_wall(ingestor: Ingestor, store: Store) -> None:
    feed(ingestor, store, "dock", [float(day) for day in range(14)], faulty=True)
    fails = windows(store, "dock")
    assert len(fails) == 14
    kept = [event.verdict.taken_from for event in fails if store.streams.evidence("dock", event.id) is not None]
    assert kept == [FIRST + day * DAY for day in range(6, 14)], (
        "seven days of the camera's life, SENTINEL_RETENTION_DAYS"
    )


def test_retention_forgets_what_is_old_on_its_streams_own_clock(
    ingestor: Ingestor, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "get_settings", lambda: ingestor.settings)
    feed(ingestor, store, "fast", [0.0, 3.0, 9.0, 13.0], faulty=False)
    feed(ingestor, store, "old", [-400.0, -399.0], faulty=False)
    maintenance.retention()
    assert [event.verdict.taken_from for event in windows(store, "fast")] == [FIRST + 9 * DAY, FIRST + 13 * DAY]
    assert len(windows(store, "old")) == 2, "footage of last year that was judged today is kept"


def test_the_time_in_a_camera_event_is_the_frames_capture_time(ingestor: Ingestor, store: Store) -> None:
    folder = ingestor.settings.watch_dir / "cam7"
    stills(folder, ["a.png", "b.png", "c.png"])
    cameras = CameraEvents(store, ingestor)
    for name, said in (("a", "2024-11-24T06:15:00Z"), ("b", "2024-11-24T07:15:01+01:00"), ("c", None)):
        fields = {name: value for name, value in EVENT.items() if name != "time"}
        fields |= {"id": name, "dataref": str(folder / f"{name}.png")} | ({"time": said} if said else {})
        offer(store.client, fields)
    cameras.step()
    sources = [chunk.source for chunk in store.batches.overdue("cam7", -1.0, 8)]
    taken = datetime(2024, 11, 24, 6, 15, tzinfo=UTC).timestamp()
    assert [(s.taken_at, s.time_source) for s in sources[:2]] == [
        (taken, TimeSource.EVENT),
        (taken + 1, TimeSource.EVENT),
    ]
    assert sources[2].time_source is TimeSource.FILE


def test_a_camera_event_whose_time_is_none_is_a_dead_letter(ingestor: Ingestor, store: Store) -> None:
    folder = ingestor.settings.watch_dir / "cam7"
    stills(folder, ["a.png"])
    offer(store.client, {**EVENT, "dataref": str(folder / "a.png"), "time": "this morning"})
    CameraEvents(store, ingestor).step()
    (letter,) = store.event_log.dead_letters()
    assert "RFC 3339" in letter.reason
