"""What beat hands in: each source once, new content once more, and trouble as one dead letter per day."""

from __future__ import annotations

import json
import os
import shutil
import time
from datetime import datetime
from pathlib import Path

import pytest

from common.broker import HAND_IN_TASK
from common.contracts.dead_letters import DeadLetterKind, RawTask
from common.ingest.retry import retry
from common.settings import Settings
from common.store import Store, keys
from producers.camera_events import CameraEvents
from tests.producers.scheduled_streams import batches, bridge, configure_streams, own, run_schedule, still, video
from workers import scheduled

__all__ = ["bridge", "own"]  # fixtures


def test_every_source_in_the_folder_is_counted_once_and_new_content_once_more(
    own: Settings, store: Store, bridge: CameraEvents, tmp_path: Path
) -> None:
    folder = tmp_path / "rec" / "dock"
    configure_streams(own, "[streams.\"site/dock 3\"]\nsource = 'rec/dock'\nschedule = '0 6 * * *'\n")
    video(folder / "mon.mp4", 1)
    video(folder / "deep" / "tue.mp4", 2)
    still(folder / "burst" / "1.png", 0)
    still(folder / "burst" / "2.png", 1)
    still(folder / "poster.png", 2)  # beside videos: no footage
    assert run_schedule("site/dock 3", bridge) == 3
    assert batches(store, "site/dock 3") == 3
    assert run_schedule("site/dock 3", bridge) == 0, "unchanged files are not even offered"
    os.utime(folder / "mon.mp4", (time.time() - 99,) * 2)
    assert run_schedule("site/dock 3", bridge) == 1
    assert batches(store, "site/dock 3") == 3, "a touched file is the same content"
    store.client.delete(keys.stream_key("site/dock 3", "handed-in"))
    assert run_schedule("site/dock 3", bridge) == 3
    assert batches(store, "site/dock 3") == 3, "offered again, as after a crash, nothing counts twice"
    video(folder / "mon.mp4", 3)
    still(folder / "burst" / "3.png", 3)
    assert run_schedule("site/dock 3", bridge) == 2
    assert batches(store, "site/dock 3") == 5, "the rewritten video, and the image that is new"
    assert list(store.event_log.dead_letters()) == []


def test_a_file_that_is_still_being_written_waits_for_the_next_time(
    own: Settings, store: Store, bridge: CameraEvents, tmp_path: Path
) -> None:
    configure_streams(own, "[streams.a]\nsource = 'rec'\nschedule = '0 6 * * *'\n")
    still(tmp_path / "rec" / "x" / "1.png", 0)
    still(tmp_path / "rec" / "y" / "1.png", 5, age=0.0)
    assert run_schedule("a", bridge) == 1
    still(tmp_path / "rec" / "y" / "1.png", 5)
    assert run_schedule("a", bridge) == 1
    assert batches(store, "a") == 2


@pytest.mark.parametrize("trouble", ["missing", "empty", "outside"])
def test_a_source_that_is_not_there_is_one_dead_letter_a_day_that_a_retry_hands_in(
    own: Settings, store: Store, bridge: CameraEvents, tmp_path: Path, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / ("rec/dock" if trouble != "outside" else "elsewhere")
    configure_streams(own, f"[streams.dock]\nsource = '{source}'\nschedule = '0 * * * *'\n")
    if trouble != "missing":
        source.mkdir(parents=True)
    for _ in range(3):
        scheduled.hand_in_scheduled("dock")
    (letter,) = store.event_log.dead_letters()
    assert (letter.kind, letter.stream, letter.subject) == (DeadLetterKind.TASK, "dock", str(source))
    assert "scheduled source not handed in" in letter.reason
    assert str(source) in letter.reason
    monkeypatch.setattr(scheduled, "datetime", Tomorrow)
    scheduled.hand_in_scheduled("dock")
    assert len(list(store.event_log.dead_letters())) == 2

    retry(letter, store, bridge.ingestor)
    sent = json.loads(store.client.lindex("reduce", 0) or b"{}")
    assert sent["headers"]["task"] == HAND_IN_TASK
    configure_streams(own, "[streams.dock]\nsource = 'rec/dock'\nschedule = '0 * * * *'\n", age=30.0)
    still(tmp_path / "rec" / "dock" / "1.png", 0)
    assert run_schedule(json.loads(RawTask.from_json(letter.original).kwargs)["stream"], bridge) == 1
    assert batches(store, "dock") == 1


class Tomorrow(datetime):
    @classmethod
    def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
        return datetime.fromtimestamp(time.time() + 86_400, tz)  # type: ignore[arg-type]


def test_a_missing_source_does_not_make_known_files_new(
    own: Settings, store: Store, bridge: CameraEvents, tmp_path: Path
) -> None:
    configure_streams(own, "[streams.a]\nsource = 'rec'\nschedule = '0 6 * * *'\n")
    still(tmp_path / "rec" / "1.png", 0)
    assert run_schedule("a", bridge) == 1
    (tmp_path / "rec").rename(tmp_path / "unmounted")
    assert run_schedule("a", bridge) == 0
    (tmp_path / "unmounted").rename(tmp_path / "rec")
    assert run_schedule("a", bridge) == 0


def test_a_name_that_is_no_text_is_a_dead_letter_and_the_others_count(
    own: Settings, store: Store, bridge: CameraEvents, tmp_path: Path
) -> None:
    configure_streams(own, "[streams.a]\nsource = 'rec'\nschedule = '0 6 * * *'\n")
    video(tmp_path / "rec" / "good.mp4", 1)
    shutil.copy2(tmp_path / "rec" / "good.mp4", os.fsencode(tmp_path / "rec") + b"/bad\xff.mp4")
    assert run_schedule("a", bridge) == 2
    assert batches(store, "a") == 1
    (letter,) = store.event_log.dead_letters()
    assert letter.kind is DeadLetterKind.EVENT


def test_a_stream_that_is_not_configured_is_a_dead_letter(own: Settings, store: Store, bridge: CameraEvents) -> None:
    scheduled.hand_in_scheduled("forged\x1b[31m{stream}")
    (letter,) = store.event_log.dead_letters()
    assert "has no source in sentinel.toml" in letter.reason
    assert "\x1b" not in letter.reason
    assert store.client.keys("sentinel:{*") == []
