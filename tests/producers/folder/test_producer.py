"""The folder producer on a real file system, with real events and by looking again."""

from __future__ import annotations

import itertools
import shutil
import time
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from common.contracts.batches import Submission
from tests.producers.folder.watched_folder import LONG_SETTLE, SETTLE, Mode, Watched, wait_until

# --- what goes where -------------------------------------------------------------------------------


def test_a_dropped_video_is_submitted_once_to_the_stream_of_its_folder(watched: Watched) -> None:
    watched.drop("dock/clip.mp4")
    watched.wait_for(("dock", "dock/clip.mp4"))


def test_nested_streams_spaces_and_any_script_work(polled: Watched) -> None:
    polled.drop("site/dock 3/clip.mp4")
    polled.drop("Wörkshop/カメラ 7/Ünïcode clip.mp4")
    polled.wait_for(
        ("site/dock 3", "site/dock 3/clip.mp4"), ("Wörkshop/カメラ 7", "Wörkshop/カメラ 7/Ünïcode clip.mp4")
    )


def test_a_decomposed_name_gives_the_composed_stream(polled: Watched) -> None:
    decomposed = unicodedata.normalize("NFD", "Über")
    polled.drop(f"{decomposed}/clip.mp4")
    polled.wait_for((unicodedata.normalize("NFC", "Über"), f"{decomposed}/clip.mp4"))


def test_single_images_of_a_stream_are_batches_of_their_own(polled: Watched) -> None:
    polled.drop("dock/1.jpg")
    polled.drop("dock/2.jpg")
    polled.wait_for(("dock", "dock/1.jpg"), ("dock", "dock/2.jpg"))


def test_a_folder_of_images_is_one_batch(watched: Watched) -> None:
    for number in range(5):
        watched.drop(f"dock/monday/{number}.jpg")
    watched.wait_for(("dock", "dock/monday"))


def test_a_copied_tree_of_folders_keeps_its_streams(watched: Watched, tmp_path: Path) -> None:
    for name in ("dock 3/monday/1.jpg", "dock 3/monday/2.jpg", "dock 3/clip.mp4", "dock 4/clip.mp4"):
        (tmp_path / "made" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "made" / name).write_bytes(b"frames")
    shutil.copytree(tmp_path / "made", watched.root / "site")
    watched.wait_for(
        ("site/dock 3", "site/dock 3/monday"),
        ("site/dock 3", "site/dock 3/clip.mp4"),
        ("site/dock 4", "site/dock 4/clip.mp4"),
    )


def test_a_marked_folder_is_a_stream_of_single_images(polled: Watched) -> None:
    (polled.folder("site/dock 3") / ".stream").touch()
    polled.drop("site/dock 3/1.jpg")
    polled.drop("site/dock 3/2.jpg")
    polled.wait_for(("site/dock 3", "site/dock 3/1.jpg"), ("site/dock 3", "site/dock 3/2.jpg"))


def test_images_that_come_late_into_a_taken_folder_follow_one_by_one(watched: Watched) -> None:
    watched.drop("dock/monday/1.jpg")
    watched.wait_for(("dock", "dock/monday"))
    watched.drop("dock/monday/2.jpg")
    watched.wait_for(("dock", "dock/monday"), ("dock", "dock/monday/2.jpg"))


def test_a_folder_that_is_known_with_other_images_is_submitted_image_by_image(tmp_path: Path) -> None:
    watched = Watched(tmp_path / "incoming", "polling")
    for number in (10, 2, 1):
        watched.drop(f"dock/monday/{number}.jpg")
    watched.ingestor.answers[watched.root / "dock/monday"] = Submission.CHANGED
    watched.start()
    images = [("dock", f"dock/monday/{number}.jpg") for number in (1, 2, 10)]
    watched.wait_for(("dock", "dock/monday"), *images)
    assert watched.ingestor.names() == ["monday", "1.jpg", "2.jpg", "10.jpg"]
    watched.stop()


# --- when ------------------------------------------------------------------------------------------


def keep_busy(step: Callable[[], object], seconds: float) -> bool:
    """Repeat `step` for `seconds`; return whether the machine let that happen without a long pause."""
    end = time.monotonic() + seconds
    last, longest = time.monotonic(), 0.0
    while last < end:
        step()
        time.sleep(SETTLE / 20)
        now = time.monotonic()
        longest, last = max(longest, now - last), now
    return longest < SETTLE / 2


def test_a_file_that_grows_is_not_submitted_before_it_is_quiet(watched: Watched) -> None:
    for attempt in range(10):
        path = watched.folder("dock") / f"{attempt}.mp4"
        with path.open("wb", buffering=0) as file:
            undisturbed = keep_busy(lambda file=file: file.write(b"x" * 1000), 3 * SETTLE)  # type: ignore[misc]
            submitted_while_busy = path in watched.ingestor.sizes
        if undisturbed:
            assert not submitted_while_busy
            wait_until(lambda path=path: path in watched.ingestor.sizes)  # type: ignore[misc]
            assert watched.ingestor.sizes[path] == path.stat().st_size
            return
    pytest.skip("this machine pauses too often to tell a growing file from a finished one")


def test_a_folder_that_grows_is_not_submitted_before_it_is_quiet(watched: Watched) -> None:
    numbers = itertools.count()
    for attempt in range(10):
        name = f"dock/{attempt}"
        undisturbed = keep_busy(lambda name=name: watched.drop(f"{name}/{next(numbers)}.jpg"), 3 * SETTLE)  # type: ignore[misc]
        submitted_while_busy = ("dock", watched.root / name) in watched.ingestor.submitted
        if undisturbed:
            assert not submitted_while_busy
            wait_until(lambda name=name: ("dock", watched.root / name) in watched.ingestor.submitted)  # type: ignore[misc]
            return
    pytest.skip("this machine pauses too often to tell a growing folder from a finished one")


def test_two_thousand_files_copied_at_once_are_each_submitted_once(tmp_path: Path, mode: Mode) -> None:
    (tmp_path / "made" / "monday").mkdir(parents=True)
    for number in range(2000):
        (tmp_path / "made" / f"{number}.mp4").write_bytes(b"frames")
        (tmp_path / "made" / "monday" / f"{number}.jpg").write_bytes(b"frame")
    watched = Watched(tmp_path / "incoming", mode, LONG_SETTLE)
    watched.start()
    shutil.copytree(tmp_path / "made", watched.root / "dock")
    watched.wait_for(*(("dock", f"dock/{number}.mp4") for number in range(2000)), ("dock", "dock/monday"))
    watched.stop()


def test_a_temporary_name_waits_for_its_rename(watched: Watched) -> None:
    part = watched.drop("dock/clip.mp4.part")
    watched.drop("dock/.clip.mp4.Xa81bQ")
    watched.wait_for()
    part.rename(part.with_suffix(""))
    watched.wait_for(("dock", "dock/clip.mp4"))


def test_a_folder_renamed_into_place_is_found(watched: Watched) -> None:
    watched.drop("dock/monday.tmp/1.jpg")
    watched.drop("dock/monday.tmp/2.jpg")
    watched.wait_for()
    (watched.root / "dock/monday.tmp").rename(watched.root / "dock/monday")
    watched.wait_for(("dock", "dock/monday"))


def test_a_folder_moved_in_from_elsewhere_is_found(watched: Watched, tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "monday").mkdir(parents=True)
    (tmp_path / "elsewhere" / "monday" / "1.jpg").write_bytes(b"frame")
    (tmp_path / "elsewhere" / "clip.mp4").write_bytes(b"frames")
    (tmp_path / "elsewhere").rename(watched.root / "dock")
    watched.wait_for(("dock", "dock/monday"), ("dock", "dock/clip.mp4"))


def test_a_file_deleted_before_it_settled_is_forgotten(watched: Watched) -> None:
    watched.drop("dock/clip.mp4").unlink()
    watched.drop("dock/monday/1.jpg")
    shutil.rmtree(watched.root / "dock" / "monday")
    watched.wait_for()
    assert watched.ingestor.rejected == []


def test_an_empty_file_that_settled_is_submitted_so_that_its_reason_is_told(polled: Watched) -> None:
    polled.drop("dock/clip.mp4", b"")
    polled.wait_for(("dock", "dock/clip.mp4"))


# --- once ------------------------------------------------------------------------------------------


def test_what_was_submitted_is_not_submitted_again_under_a_new_name(watched: Watched) -> None:
    clip = watched.drop("dock/clip.mp4")
    watched.drop("dock/monday/1.jpg")
    watched.wait_for(("dock", "dock/clip.mp4"), ("dock", "dock/monday"))
    clip.rename(watched.folder("other") / "renamed.mp4")
    (watched.root / "dock/monday").rename(watched.root / "dock/tuesday")
    watched.wait_for(("dock", "dock/clip.mp4"), ("dock", "dock/monday"))


def test_a_file_written_again_is_submitted_again(watched: Watched) -> None:
    clip = watched.drop("dock/clip.mp4")
    watched.wait_for(("dock", "dock/clip.mp4"))
    clip.write_bytes(b"other frames")
    watched.wait_for(("dock", "dock/clip.mp4"), ("dock", "dock/clip.mp4"))


def test_what_arrived_while_no_producer_ran_is_found(tmp_path: Path, mode: Mode) -> None:
    watched = Watched(tmp_path / "incoming", mode)
    watched.drop("dock/clip.mp4")
    watched.drop("dock/monday/1.jpg")
    watched.start()
    watched.wait_for(("dock", "dock/clip.mp4"), ("dock", "dock/monday"))
    watched.stop()


def test_reading_a_file_does_not_submit_it_again(watched: Watched) -> None:
    clip = watched.drop("dock/clip.mp4")
    watched.wait_for(("dock", "dock/clip.mp4"))
    assert clip.read_bytes() == b"frames"
    watched.wait_for(("dock", "dock/clip.mp4"))
