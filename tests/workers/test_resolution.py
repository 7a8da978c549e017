"""Pictures of another size: announced once per change, shown, and no incident."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from common.baselines.storage import save_baseline
from common.contracts.events import ResolutionChanged
from common.contracts.verdicts import Status
from common.features import FeatureBlock
from common.ingest.accept import Ingestor
from common.queries import latest_events, stream_status
from common.responses import resolution_text
from common.store import Store
from sentinel.cli.streams import summary
from tests.common.modalities.video.fixed_camera import WINDOW, camera, fitted, of_images
from tests.feeding import feed


def shown(first: int, size: tuple[int, int] | None = None) -> FeatureBlock:
    """Return a window of frames from number `first` on, scaled to `size`."""
    images = camera(WINDOW, first=first)
    if size is not None:
        images = [np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8) for image in images]
    block = of_images(images)
    return replace(block, taken_at=1_700_000_000.0 + first + block.times)


def announced(store: Store) -> list[ResolutionChanged]:
    return [event for event in latest_events(store, 1000) if isinstance(event, ResolutionChanged)]


def test_a_change_of_resolution_is_announced_once_and_so_is_its_end(
    ingestor: Ingestor, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = ingestor.baselines.settings.baselines_dir / "test"
    save_baseline(fitted(of_images(camera(80))), folder)
    feed(store, ingestor.baselines, "dock", shown(200))
    assert announced(store) == []
    verdicts = feed(
        store, ingestor.baselines, "dock", FeatureBlock.concatenate([shown(230 + n, (160, 120)) for n in (0, 30)])
    )
    assert {verdict.status for verdict in verdicts} == {Status.PASS}
    (event,) = announced(store)
    assert event.notice.resolution is not None and event.notice.resolution.text == "320x240 to 160x120"
    assert "320x240 to 160x120" in summary(event)
    row = stream_status(store, "dock", 0.0)
    assert row.resolution == event.notice.resolution and row.incidents == ()
    assert "sentinel streams bind dock" in resolution_text(row.resolution, "dock")
    feed(store, ingestor.baselines, "dock", FeatureBlock.concatenate([shown(300), shown(330)]))
    assert [event.notice.resolution is None for event in announced(store)] == [False, True]
    assert stream_status(store, "dock", 0.0).resolution is None


def test_which_of_golden_s_sizes_a_window_resembles_is_no_change_of_the_pictures(
    ingestor: Ingestor, store: Store
) -> None:
    dark = [image // 3 for image in camera(80)]
    small = [np.asarray(cv2.resize(image, (160, 120), interpolation=cv2.INTER_AREA), np.uint8) for image in dark]
    folder = ingestor.baselines.settings.baselines_dir / "test"
    save_baseline(fitted(of_images(camera(80)), of_images(small)), folder)
    light = shown(200, (640, 480))
    night = [np.asarray(cv2.resize(i // 3, (640, 480)), np.uint8) for i in camera(WINDOW, first=230)]
    night_block = replace(of_images(night), taken_at=1_700_000_300.0 + light.times)
    verdicts = feed(store, ingestor.baselines, "dock", FeatureBlock.concatenate([light, night_block]))
    named = {verdict.resolution.before for verdict in verdicts if verdict.resolution is not None}
    assert named == {(320, 240), (160, 120)}
    assert len(announced(store)) == 1
