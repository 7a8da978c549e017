"""What the folder producer refuses, passes over and survives, on a real file system."""

from __future__ import annotations

import ctypes
import logging
import os
import tempfile
import threading
import time
from pathlib import Path

import pytest
import redis

from common.errors import BadSource, BrokerUnavailable, PathNotAllowed, SettingsError
from producers.folder.producer import FolderProducer
from tests.producers.folder.watched_folder import LONG_SETTLE, SETTLE, Ingestor, Mode, Watched, wait_until

# --- what is refused, and what is passed over ------------------------------------------------------


def test_a_file_in_no_stream_is_refused_once_and_taken_when_moved_into_one(watched: Watched) -> None:
    clip = watched.drop("clip.mp4")
    wait_until(lambda: watched.ingestor.rejected)
    watched.wait_for()
    ((path, error),) = watched.ingestor.rejected
    assert path == clip
    assert isinstance(error, BadSource)
    assert "put it in a folder" in str(error)
    clip.rename(watched.folder("dock") / "clip.mp4")
    watched.wait_for(("dock", "dock/clip.mp4"))


def test_a_folder_that_cannot_be_a_stream_is_refused_and_taken_when_renamed(polled: Watched) -> None:
    polled.drop("do{ck/clip.mp4")
    wait_until(lambda: polled.ingestor.rejected)
    assert "rename the folder" in str(polled.ingestor.rejected[0][1])
    (polled.root / "do{ck").rename(polled.root / "dock")
    polled.wait_for(("dock", "dock/clip.mp4"))


def test_a_link_out_of_the_folder_is_refused_and_not_followed(watched: Watched, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "clip.mp4").write_bytes(b"frames")
    (watched.folder("dock") / "clip.mp4").symlink_to(tmp_path / "secret" / "clip.mp4")
    (watched.root / "other").symlink_to(tmp_path / "secret")
    wait_until(lambda: len(watched.ingestor.rejected) == 2)
    watched.wait_for()
    assert {path.name for path, _ in watched.ingestor.rejected} == {"clip.mp4", "other"}
    assert all(isinstance(error, PathNotAllowed) for _, error in watched.ingestor.rejected)


def test_links_that_go_in_circles_do_no_harm(watched: Watched) -> None:
    dock = watched.folder("dock")
    for name in ("up", "up too", "up.mp4"):
        (dock / name).symlink_to(watched.root)
    (dock / "self.mp4").symlink_to(dock / "self.mp4")
    (dock / "nowhere.mp4").symlink_to(dock / "missing.mp4")
    watched.drop("dock/clip.mp4")
    watched.wait_for(("dock", "dock/clip.mp4"))


def test_a_pipe_named_like_a_video_is_refused_without_waiting_on_it(polled: Watched) -> None:
    os.mkfifo(polled.folder("dock") / "pipe.mp4")
    polled.drop("dock/clip.mp4")
    polled.wait_for(("dock", "dock/clip.mp4"))
    wait_until(lambda: polled.ingestor.rejected)
    assert "not a regular file" in str(polled.ingestor.rejected[0][1])


def test_a_name_that_is_not_utf8_is_refused(polled: Watched) -> None:
    polled.folder("dock")
    name = os.path.join(os.fsencode(polled.root), b"dock", b"cl\xffp.mp4")  # noqa: PTH118 (bytes)
    with open(name, "wb") as file:  # noqa: PTH123 (bytes)
        file.write(b"frames")
    wait_until(lambda: polled.ingestor.rejected)
    assert "not valid UTF-8" in str(polled.ingestor.rejected[0][1])
    polled.wait_for()


def test_other_files_are_passed_over_and_told_of_once(polled: Watched, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    polled.drop("dock/notes.txt")
    polled.drop("dock/clip.mp4")
    polled.wait_for(("dock", "dock/clip.mp4"))
    assert sum("notes.txt" in record.getMessage() for record in caplog.records) == 1
    assert polled.ingestor.rejected == []


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user for file access, which only root may")
def test_an_unreadable_file_is_refused_and_taken_once_it_is_readable(mode: Mode) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:  # tmp_path lies in a folder that only its owner may enter
        Path(name).chmod(0o755)
        watched = Watched(Path(name) / "incoming", mode)
        clip = watched.drop("dock/clip.mp4")
        image = watched.drop("dock/monday/1.jpg")
        watched.drop("dock/monday/2.jpg")
        clip.chmod(0)
        image.chmod(0)
        # Root may read everything. This changes who the kernel takes this one thread for.
        watched.before_run = lambda: ctypes.CDLL(None).setfsuid(65534)
        watched.start()
        wait_until(lambda: len(watched.ingestor.rejected) == 2)
        assert all("read access" in str(error) for _, error in watched.ingestor.rejected)
        clip.chmod(0o644)
        image.chmod(0o644)
        watched.wait_for(("dock", "dock/clip.mp4"), ("dock", "dock/monday"))
        watched.stop()


# --- trouble ---------------------------------------------------------------------------------------


def test_nothing_is_lost_while_the_broker_is_away(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    watched.ingestor.trouble = BrokerUnavailable("Redis does not answer")
    watched.drop("dock/1.mp4")
    watched.drop("dock/2.mp4")
    watched.drop("dock/monday/1.jpg")
    watched.drop("stray.mp4")
    wait_until(lambda: watched.ingestor.asked >= 2)
    watched.ingestor.trouble = None
    watched.wait_for(("dock", "dock/1.mp4"), ("dock", "dock/2.mp4"), ("dock", "dock/monday"))
    assert len(watched.ingestor.rejected) == 1
    assert sum("until the broker answers" in record.getMessage() for record in caplog.records) == 1


@pytest.mark.parametrize(
    "trouble", [redis.ResponseError("MISCONF disk is full"), OSError("no space left"), ValueError()]
)
def test_a_refusal_that_cannot_be_reported_is_reported_later_and_holds_nothing_up(
    polled: Watched, trouble: Exception
) -> None:
    polled.ingestor.report_trouble = trouble
    polled.drop("stray.mp4")
    polled.drop("dock/1.mp4")
    polled.wait_for(("dock", "dock/1.mp4"))
    assert polled.ingestor.rejected == []
    polled.ingestor.report_trouble = None
    wait_until(lambda: polled.ingestor.rejected)
    polled.let_pass()
    assert [path.name for path, _ in polled.ingestor.rejected] == ["stray.mp4"], "once"


def test_a_file_given_up_is_reported_once_the_report_can_be_stored(polled: Watched) -> None:
    polled.ingestor.trouble = RuntimeError("a surprise")
    polled.ingestor.report_trouble = redis.ResponseError("OOM command not allowed when used memory > 'maxmemory'")
    polled.drop("dock/1.mp4")
    wait_until(lambda: polled.ingestor.asked >= 5)
    polled.ingestor.report_trouble = None
    wait_until(lambda: polled.ingestor.rejected)


def test_files_wait_for_a_setting_that_is_missing(polled: Watched, caplog: pytest.LogCaptureFixture) -> None:
    polled.ingestor.trouble = SettingsError("stream 'dock' has no baseline: set SENTINEL_BASELINE")
    polled.drop("dock/1.mp4")
    wait_until(lambda: polled.ingestor.asked >= 5)
    assert polled.ingestor.rejected == []
    assert sum("waits in the folder" in record.getMessage() for record in caplog.records) == 1
    polled.ingestor.trouble = None
    polled.wait_for(("dock", "dock/1.mp4"))


def test_a_refusal_by_the_ingestor_is_reported_and_the_rest_goes_on(polled: Watched) -> None:
    polled.ingestor.trouble = BadSource("no video in it")
    polled.drop("dock/1.mp4")
    wait_until(lambda: polled.ingestor.rejected)
    polled.ingestor.trouble = None
    polled.drop("dock/2.mp4")
    polled.wait_for(("dock", "dock/2.mp4"))
    assert len(polled.ingestor.rejected) == 1


def test_a_file_that_keeps_failing_is_refused_and_the_rest_goes_on(polled: Watched) -> None:
    polled.ingestor.trouble = RuntimeError("a surprise")
    polled.drop("dock/1.mp4")
    wait_until(lambda: polled.ingestor.rejected)
    polled.ingestor.trouble = None
    polled.drop("dock/2.mp4")
    polled.wait_for(("dock", "dock/2.mp4"))
    assert "a surprise" in str(polled.ingestor.rejected[0][1])


def test_a_watched_folder_that_goes_and_returns_is_watched_again(watched: Watched, tmp_path: Path) -> None:
    watched.drop("dock/1.mp4")
    watched.wait_for(("dock", "dock/1.mp4"))
    watched.root.rename(tmp_path / "away")
    time.sleep(SETTLE)
    watched.drop("dock/2.mp4")
    watched.wait_for(("dock", "dock/1.mp4"), ("dock", "dock/2.mp4"))


def test_events_that_stay_away_turn_file_events_into_polling(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("producers.folder.producer._EVENT_SECONDS", 0.2)
    watched = Watched(tmp_path / "incoming", "auto")
    watched.start()
    watched.let_pass()
    assert watched.producer.has_events
    assert watched.producer._observer is not None
    watched.producer._observer.unschedule_all()  # as on a file system that has no events
    watched.drop("dock/clip.mp4")
    wait_until(lambda: not watched.producer.has_events)
    watched.wait_for(("dock", "dock/clip.mp4"))
    watched.stop()


def test_a_system_without_free_watches_is_polled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_watches(*_: object) -> None:
        raise OSError(28, "inotify watch limit reached")

    monkeypatch.setattr("watchdog.observers.api.BaseObserver.start", no_watches)
    watched = Watched(tmp_path / "incoming", "auto")
    watched.start()
    watched.drop("dock/clip.mp4")
    watched.wait_for(("dock", "dock/clip.mp4"))
    assert not watched.producer.has_events
    watched.stop()


def test_a_watched_folder_that_cannot_be_made_names_its_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    producer = FolderProducer(tmp_path / "file", submit=Ingestor().submit, reject=Ingestor().reject)
    with pytest.raises(SettingsError, match="SENTINEL_WATCH_DIR"):
        producer.run(threading.Event())


def test_videos_beside_images_in_a_nested_folder_are_told_of(polled: Watched, caplog: pytest.LogCaptureFixture) -> None:
    polled.drop("site/dock 3/clip.mp4")
    polled.drop("site/dock 3/1.jpg")
    polled.wait_for(("site/dock 3", "site/dock 3/clip.mp4"), ("site", "site/dock 3"))
    wait_until(lambda: any("stream 'site/dock 3'" in record.getMessage() for record in caplog.records))


def test_a_video_that_was_accepted_first_does_not_take_the_images_beside_it_apart(polled: Watched) -> None:
    polled.drop("site/dock 3/clip.mp4")
    polled.wait_for(("site/dock 3", "site/dock 3/clip.mp4"))
    polled.drop("site/dock 3/1.jpg")
    polled.drop("site/dock 3/2.jpg")
    polled.wait_for(("site/dock 3", "site/dock 3/clip.mp4"), ("site", "site/dock 3"))


def test_a_marker_that_comes_late_counts_for_the_images_that_wait(tmp_path: Path, mode: Mode) -> None:
    watched = Watched(tmp_path / "incoming", mode, LONG_SETTLE)
    watched.start()
    watched.drop("site/dock 3/1.jpg")
    watched.drop("site/dock 3/2.jpg")
    (watched.root / "site/dock 3/.stream").touch()
    watched.wait_for(("site/dock 3", "site/dock 3/1.jpg"), ("site/dock 3", "site/dock 3/2.jpg"))
    watched.stop()


def test_memory_of_files_that_are_gone_is_given_back(watched: Watched) -> None:
    clip = watched.drop("dock/clip.mp4")
    watched.wait_for(("dock", "dock/clip.mp4"))
    clip.unlink()
    wait_until(lambda: clip not in watched.producer._tracker.known())
    wait_until(lambda: clip not in watched.producer._scanner._identity_of)


def test_a_folder_of_images_that_never_rests_is_told_of(
    polled: Watched, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("producers.folder.producer._PATIENCE_SECONDS", 0.0)
    polled.drop("site/dock 3/1.jpg")
    polled.wait_for(("site", "site/dock 3"))
    assert sum("changes all the time" in record.getMessage() for record in caplog.records) == 1


def test_a_link_to_a_file_inside_the_folder_is_taken_like_the_file(polled: Watched) -> None:
    clip = polled.drop("dock/clip.mp4")
    (polled.folder("other") / "linked.mp4").symlink_to(clip)
    polled.wait_for(("dock", "dock/clip.mp4"), ("other", "other/linked.mp4"))
