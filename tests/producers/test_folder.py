"""The folder producer on a real file system, with real events and by looking again."""

from __future__ import annotations

import ctypes
import itertools
import logging
import os
import shutil
import tempfile
import threading
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest

from common.contracts import Submission
from common.errors import BadSource, BrokerUnavailable, PathNotAllowed, Refused, SettingsError
from producers.folder import FolderProducer

Mode = Literal["events", "polling"]
SETTLE = 0.4
LONG_SETTLE = 2.0  # where much is written at once: longer than a loaded machine stalls
DEADLINE = 30.0  # generous: a loaded machine must not fail a test


def wait_until(condition: Callable[[], object], what: str = "") -> None:
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, f"did not happen: {what or condition}"
        time.sleep(0.01)


class Intake:
    """Stands where the intake will: notes what is submitted, and answers as told."""

    def __init__(self) -> None:
        self.submitted: list[tuple[str, Path]] = []
        self.sizes: dict[Path, int] = {}
        self.rejected: list[tuple[Path, Refused]] = []
        self.answers: dict[Path, Submission] = {}
        self.trouble: Exception | None = None
        self.asked = 0

    def submit(self, stream: str, path: Path) -> Submission:
        self.asked += 1
        if self.trouble is not None:
            raise self.trouble
        self.submitted.append((stream, path))
        self.sizes[path] = path.stat().st_size
        return self.answers.get(path, Submission.ACCEPTED)

    def reject(self, stream: str, path: Path, error: Refused) -> None:
        if isinstance(self.trouble, BrokerUnavailable):
            raise self.trouble
        f"{stream}{path}{error}".encode()  # what is refused is sent on as text, whatever its name
        self.rejected.append((path, error))

    def names(self) -> list[str]:
        return [path.name for _, path in self.submitted]


class Watched:
    """A watched folder with its producer running in a thread."""

    def __init__(self, root: Path, mode: Literal["auto", "events", "polling"], settle: float = SETTLE) -> None:
        self.root = root
        self.mode = mode
        self.settle = settle
        self.root.mkdir()
        self.intake = Intake()
        self.before_run: Callable[[], object] = lambda: None

    def start(self) -> None:
        self.stop_event = threading.Event()
        self.producer = FolderProducer(
            self.root,
            submit=self.intake.submit,
            reject=self.intake.reject,
            settle_seconds=self.settle,
            poll_seconds=0.05,
            watch=self.mode,
            rescan_seconds=0.5,
        )
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        self.before_run()
        self.producer.run(self.stop_event)

    def stop(self) -> None:
        self.stop_event.set()
        self.thread.join(DEADLINE)
        assert not self.thread.is_alive()

    def folder(self, name: str) -> Path:
        folder = self.root / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def drop(self, name: str, content: bytes = b"frames") -> Path:
        path = self.folder(str(Path(name).parent)) / Path(name).name
        path.write_bytes(content)
        return path

    def wait_for(self, *expected: tuple[str, str]) -> None:
        """Wait until exactly `expected` (stream, path below the root) was submitted, and see that nothing follows."""
        wanted = Counter((stream, self.root / path) for stream, path in expected)
        self.let_pass()
        wait_until(lambda: Counter(self.intake.submitted) >= wanted, f"{expected} in {self.intake.submitted}")
        assert Counter(self.intake.submitted) == wanted

    def let_pass(self) -> None:
        """Wait until a file dropped now has been through, and with it all that was there before."""
        stream = "𝕫"  # after every other name here in natural order, in which files are taken
        canary = self.root / stream / f"{time.monotonic_ns()}.mp4"
        canary.parent.mkdir(parents=True, exist_ok=True)
        canary.write_bytes(b"canary")
        wait_until(lambda: (stream, canary) in self.intake.submitted, "the canary")
        self.intake.submitted.remove((stream, canary))


@pytest.fixture(params=["events", "polling"])
def mode(request: pytest.FixtureRequest) -> Mode:
    return "events" if request.param == "events" else "polling"


@pytest.fixture
def watched(tmp_path: Path, mode: Mode) -> Iterator[Watched]:
    watched = Watched(tmp_path / "incoming", mode)
    watched.start()
    yield watched
    watched.stop()


# --- what goes where -------------------------------------------------------------------------------


def test_a_dropped_video_is_submitted_once_to_the_stream_of_its_folder(watched: Watched) -> None:
    watched.drop("dock/clip.mp4")
    watched.wait_for(("dock", "dock/clip.mp4"))


def test_nested_streams_spaces_and_any_script_work(watched: Watched) -> None:
    watched.drop("site/dock 3/clip.mp4")
    watched.drop("Wörkshop/カメラ 7/Ünïcode clip.mp4")
    watched.wait_for(
        ("site/dock 3", "site/dock 3/clip.mp4"), ("Wörkshop/カメラ 7", "Wörkshop/カメラ 7/Ünïcode clip.mp4")
    )


def test_a_decomposed_name_gives_the_composed_stream(watched: Watched) -> None:
    decomposed = unicodedata.normalize("NFD", "Über")
    watched.drop(f"{decomposed}/clip.mp4")
    watched.wait_for((unicodedata.normalize("NFC", "Über"), f"{decomposed}/clip.mp4"))


def test_single_images_of_a_stream_are_batches_of_their_own(watched: Watched) -> None:
    watched.drop("dock/1.jpg")
    watched.drop("dock/2.jpg")
    watched.wait_for(("dock", "dock/1.jpg"), ("dock", "dock/2.jpg"))


def test_a_folder_of_images_is_one_batch(watched: Watched) -> None:
    for number in range(30):
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


def test_a_marked_folder_is_a_stream_of_single_images(watched: Watched) -> None:
    (watched.folder("site/dock 3") / ".stream").touch()
    watched.drop("site/dock 3/1.jpg")
    watched.drop("site/dock 3/2.jpg")
    watched.wait_for(("site/dock 3", "site/dock 3/1.jpg"), ("site/dock 3", "site/dock 3/2.jpg"))


def test_images_that_come_late_into_a_taken_folder_follow_one_by_one(watched: Watched) -> None:
    watched.drop("dock/monday/1.jpg")
    watched.wait_for(("dock", "dock/monday"))
    watched.drop("dock/monday/2.jpg")
    watched.wait_for(("dock", "dock/monday"), ("dock", "dock/monday/2.jpg"))


def test_a_folder_that_the_intake_knows_with_other_images_is_submitted_image_by_image(tmp_path: Path) -> None:
    watched = Watched(tmp_path / "incoming", "polling")
    for number in (10, 2, 1):
        watched.drop(f"dock/monday/{number}.jpg")
    watched.intake.answers[watched.root / "dock/monday"] = Submission.CHANGED
    watched.start()
    images = [("dock", f"dock/monday/{number}.jpg") for number in (1, 2, 10)]
    watched.wait_for(("dock", "dock/monday"), *images)
    assert watched.intake.names() == ["monday", "1.jpg", "2.jpg", "10.jpg"]
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
            submitted_while_busy = path in watched.intake.sizes
        if undisturbed:
            assert not submitted_while_busy
            wait_until(lambda path=path: path in watched.intake.sizes)  # type: ignore[misc]
            assert watched.intake.sizes[path] == path.stat().st_size
            return
    pytest.skip("this machine pauses too often to tell a growing file from a finished one")


def test_a_folder_that_grows_is_not_submitted_before_it_is_quiet(watched: Watched) -> None:
    numbers = itertools.count()
    for attempt in range(10):
        name = f"dock/{attempt}"
        undisturbed = keep_busy(lambda name=name: watched.drop(f"{name}/{next(numbers)}.jpg"), 3 * SETTLE)  # type: ignore[misc]
        submitted_while_busy = ("dock", watched.root / name) in watched.intake.submitted
        if undisturbed:
            assert not submitted_while_busy
            wait_until(lambda name=name: ("dock", watched.root / name) in watched.intake.submitted)  # type: ignore[misc]
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
    assert watched.intake.rejected == []


def test_an_empty_file_that_settled_is_submitted_so_that_its_reason_is_told(watched: Watched) -> None:
    watched.drop("dock/clip.mp4", b"")
    watched.wait_for(("dock", "dock/clip.mp4"))


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


# --- what is refused, and what is passed over ------------------------------------------------------


def test_a_file_in_no_stream_is_refused_once_and_taken_when_moved_into_one(watched: Watched) -> None:
    clip = watched.drop("clip.mp4")
    wait_until(lambda: watched.intake.rejected)
    watched.wait_for()
    ((path, error),) = watched.intake.rejected
    assert path == clip
    assert isinstance(error, BadSource)
    assert "put it in a folder" in str(error)
    clip.rename(watched.folder("dock") / "clip.mp4")
    watched.wait_for(("dock", "dock/clip.mp4"))


def test_a_folder_that_cannot_be_a_stream_is_refused_and_taken_when_renamed(watched: Watched) -> None:
    watched.drop("do{ck/clip.mp4")
    wait_until(lambda: watched.intake.rejected)
    assert "rename the folder" in str(watched.intake.rejected[0][1])
    (watched.root / "do{ck").rename(watched.root / "dock")
    watched.wait_for(("dock", "dock/clip.mp4"))


def test_a_link_out_of_the_folder_is_refused_and_not_followed(watched: Watched, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "clip.mp4").write_bytes(b"frames")
    (watched.folder("dock") / "clip.mp4").symlink_to(tmp_path / "secret" / "clip.mp4")
    (watched.root / "other").symlink_to(tmp_path / "secret")
    wait_until(lambda: len(watched.intake.rejected) == 2)
    watched.wait_for()
    assert {path.name for path, _ in watched.intake.rejected} == {"clip.mp4", "other"}
    assert all(isinstance(error, PathNotAllowed) for _, error in watched.intake.rejected)


def test_links_that_go_in_circles_do_no_harm(watched: Watched) -> None:
    dock = watched.folder("dock")
    for name in ("up", "up too", "up.mp4"):
        (dock / name).symlink_to(watched.root)
    (dock / "self.mp4").symlink_to(dock / "self.mp4")
    (dock / "nowhere.mp4").symlink_to(dock / "missing.mp4")
    watched.drop("dock/clip.mp4")
    watched.wait_for(("dock", "dock/clip.mp4"))


def test_a_pipe_named_like_a_video_is_refused_without_waiting_on_it(watched: Watched) -> None:
    os.mkfifo(watched.folder("dock") / "pipe.mp4")
    watched.drop("dock/clip.mp4")
    watched.wait_for(("dock", "dock/clip.mp4"))
    wait_until(lambda: watched.intake.rejected)
    assert "not a regular file" in str(watched.intake.rejected[0][1])


def test_a_name_that_is_not_utf8_is_refused(watched: Watched) -> None:
    watched.folder("dock")
    name = os.path.join(os.fsencode(watched.root), b"dock", b"cl\xffp.mp4")  # noqa: PTH118 (bytes)
    with open(name, "wb") as file:  # noqa: PTH123 (bytes)
        file.write(b"frames")
    wait_until(lambda: watched.intake.rejected)
    assert "not valid UTF-8" in str(watched.intake.rejected[0][1])
    watched.wait_for()


def test_other_files_are_passed_over_and_told_of_once(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    watched.drop("dock/notes.txt")
    watched.drop("dock/clip.mp4")
    watched.wait_for(("dock", "dock/clip.mp4"))
    assert sum("notes.txt" in record.getMessage() for record in caplog.records) == 1
    assert watched.intake.rejected == []


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
        wait_until(lambda: len(watched.intake.rejected) == 2)
        assert all("read access" in str(error) for _, error in watched.intake.rejected)
        clip.chmod(0o644)
        image.chmod(0o644)
        watched.wait_for(("dock", "dock/clip.mp4"), ("dock", "dock/monday"))
        watched.stop()


# --- trouble ---------------------------------------------------------------------------------------


def test_nothing_is_lost_while_the_broker_is_away(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    watched.intake.trouble = BrokerUnavailable("Redis does not answer")
    watched.drop("dock/1.mp4")
    watched.drop("dock/2.mp4")
    watched.drop("dock/monday/1.jpg")
    watched.drop("stray.mp4")
    wait_until(lambda: watched.intake.asked >= 2)
    watched.intake.trouble = None
    watched.wait_for(("dock", "dock/1.mp4"), ("dock", "dock/2.mp4"), ("dock", "dock/monday"))
    assert len(watched.intake.rejected) == 1
    assert sum("until the broker answers" in record.getMessage() for record in caplog.records) == 1


def test_a_refusal_by_the_intake_is_reported_and_the_rest_goes_on(watched: Watched) -> None:
    watched.intake.trouble = BadSource("no video in it")
    watched.drop("dock/1.mp4")
    wait_until(lambda: watched.intake.rejected)
    watched.intake.trouble = None
    watched.drop("dock/2.mp4")
    watched.wait_for(("dock", "dock/2.mp4"))
    assert len(watched.intake.rejected) == 1


def test_a_file_that_keeps_failing_is_refused_and_the_rest_goes_on(watched: Watched) -> None:
    watched.intake.trouble = RuntimeError("a surprise")
    watched.drop("dock/1.mp4")
    wait_until(lambda: watched.intake.rejected)
    watched.intake.trouble = None
    watched.drop("dock/2.mp4")
    watched.wait_for(("dock", "dock/2.mp4"))
    assert "a surprise" in str(watched.intake.rejected[0][1])


def test_a_watched_folder_that_goes_and_returns_is_watched_again(watched: Watched, tmp_path: Path) -> None:
    watched.drop("dock/1.mp4")
    watched.wait_for(("dock", "dock/1.mp4"))
    watched.root.rename(tmp_path / "away")
    time.sleep(SETTLE)
    watched.drop("dock/2.mp4")
    watched.wait_for(("dock", "dock/1.mp4"), ("dock", "dock/2.mp4"))


def test_events_that_stay_away_turn_watching_into_polling(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("producers.folder._EVENT_SECONDS", 0.2)
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
    producer = FolderProducer(tmp_path / "file", submit=Intake().submit, reject=Intake().reject)
    with pytest.raises(SettingsError, match="SENTINEL_WATCH_DIR"):
        producer.run(threading.Event())


def test_videos_beside_images_in_a_nested_folder_are_told_of(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    watched.drop("site/dock 3/clip.mp4")
    watched.drop("site/dock 3/1.jpg")
    watched.wait_for(("site/dock 3", "site/dock 3/clip.mp4"), ("site", "site/dock 3"))
    wait_until(lambda: any("stream 'site/dock 3'" in record.getMessage() for record in caplog.records))


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
    wait_until(lambda: clip not in watched.producer._tree._identity_of)
