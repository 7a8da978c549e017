"""The folder producer: what is dropped into a watched folder is submitted, once it is complete.

`routing` decides where a file goes, `stability` when it is complete, `file_events`
how changes become known; `scanner` and `submitter` do the work. This module is
the loop that holds them together. watchdog's threads only put hints on a queue; one
thread, which calls `FolderProducer.run`, does everything else, so there are no locks.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

from watchdog.observers.api import BaseObserver

from common.errors import SettingsError
from common.sources.media_types import is_ignored
from producers.folder.file_events import Hint, events_of, file_system_without_events, is_alive
from producers.folder.routing import STREAM_MARKER
from producers.folder.scanner import Scanner
from producers.folder.stability import StabilityTracker
from producers.folder.submitter import Reject, Submit, Submitter

__all__ = ["FolderProducer", "Reject", "Submit"]

log = logging.getLogger(__name__)

_STOP_CHECK_SECONDS = 0.2  # how late a stop may be noticed
_SCAN_SHARE = 0.1  # of the time may go into scanning the tree, however large it is
_PATIENCE_SECONDS = 60.0  # a folder of images that still changes after this may be meant as a stream: say so
_EVENT_SECONDS = 5.0  # an event that has not come by then was missed


class FolderProducer:
    """Watch `root` and submit every video, image and folder of images below it once.

    Nothing is submitted before it was quiet for `settle_seconds`. What arrived
    while no producer ran is found at the start. What was submitted is remembered
    by name, size and times, so that scanning again costs no reading; that memory
    is lost with the process, so `submit` must know content it has seen.

    Images that come late into a folder that was accepted are submitted one by one,
    as is every image of a folder for which `submit` answers CHANGED. So nothing
    is lost, and nothing is counted twice as long as `submit` answers DUPLICATE
    for an image that it accepted with its folder.

    Parameters
    ----------
    root : the watched folder; it is made where it is missing
    submit, reject : see `Submit` and `Reject`; called in the thread of `run`
    settle_seconds : how long a file must be unchanged
    poll_seconds : how often to scan where the file system has no events
    watch : `events`, `polling`, or `auto`: events, unless the file system has
        none or they turn out to be missing
    rescan_seconds : how often to scan for missed events where there are events
    """

    def __init__(
        self,
        root: Path,
        *,
        submit: Submit,
        reject: Reject,
        settle_seconds: float = 2.0,
        poll_seconds: float = 1.0,
        watch: Literal["auto", "events", "polling"] = "auto",
        rescan_seconds: float = 30.0,
    ) -> None:
        self.root = root.expanduser().resolve()
        self.poll_seconds = poll_seconds
        self.watch = watch
        self.rescan_seconds = rescan_seconds
        self._tracker = StabilityTracker(settle_seconds)
        self._scanner = Scanner(self.root, self._tracker)
        self._submitter = Submitter(self._scanner, submit, reject)
        self._hints: queue.Queue[Hint] = queue.Queue()
        self._observing = ExitStack()
        self._observer: BaseObserver | None = None
        self._root_identity = (0, 0)
        self._root_is_lost = False
        self._next_scan = 0.0
        self._unannounced: set[Path] | None = None  # found by scanning, no event yet; None: none is expected
        self._unannounced_since = 0.0

    @property
    def has_events(self) -> bool:
        """Whether changes become known by file system events; else by scanning every `poll_seconds`."""
        return self._observer is not None

    def run(self, stop: threading.Event, beat: Callable[[], None] = lambda: None) -> None:
        """Watch and submit until `stop` is set; raise `SettingsError` if there can be no such folder.

        Each turn of the loop calls `beat`, so that others see that it runs.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(
                f"the watched folder {self.root} cannot be made ({error.strerror}): "
                "set SENTINEL_WATCH_DIR to a folder that this process may read"
            ) from error
        with self._observing:
            self._start_observing()
            while not stop.is_set():
                beat()
                if time.monotonic() >= self._next_scan:
                    self._scan_everything()
                self._submitter.submit_due(stop)
                for hint in self._wait_for_hints():
                    self._follow(hint)

    def _wait_for_hints(self) -> list[Hint]:
        """Wait until something happens or is to be done; return each hint once."""
        now = time.monotonic()
        wake = min(now + _STOP_CHECK_SECONDS, self._next_scan)
        due = self._submitter.next_due()
        if due is not None:
            wake = min(wake, due)
        hints: dict[Hint, None] = {}
        try:
            hints[self._hints.get(timeout=max(0.0, wake - now))] = None
            while True:
                hints[self._hints.get_nowait()] = None
        except queue.Empty:
            return list(hints)

    # --- watching -----------------------------------------------------------------------------

    def _start_observing(self) -> None:
        self._root_identity = self._identity()
        self._unannounced = None
        kind = file_system_without_events(self.root) if self.watch == "auto" else None
        if self.watch == "polling" or kind is not None:
            why = f"the file system is {kind}, which has no events" if kind else "SENTINEL_WATCH is polling"
            log.info("scanning %s every %g s: %s", self.root, self.poll_seconds, why)
            return
        try:
            self._observer = self._observing.enter_context(events_of(self.root, self._hints))
        except OSError as error:
            self._poll_because(
                f"file system events are unavailable ({error}); "
                "raise fs.inotify.max_user_watches and fs.inotify.max_user_instances if they are the limit"
            )
        else:
            log.info("watching %s", self.root)

    def _poll_because(self, why: str) -> None:
        log.warning("scanning %s every %g s from now on: %s", self.root, self.poll_seconds, why)
        self._stop_observing()

    def _stop_observing(self) -> None:
        self._observer = None
        self._observing.close()

    def _check_observer(self) -> None:
        """Watch anew if the root is another folder now; poll if events stay away."""
        if self._identity() != self._root_identity:
            log.warning("%s is not the folder it was (mounted, or made again): watching it anew", self.root)
            self._stop_observing()
            self._start_observing()
        elif self._observer is None:
            return
        elif not is_alive(self._observer):
            self._poll_because("the thread that reads file system events has ended")
        elif self.watch == "auto" and self._unannounced and time.monotonic() - self._unannounced_since > _EVENT_SECONDS:
            self._poll_because(f"{len(self._unannounced)} new files were found that no file system event had told of")

    def _identity(self) -> tuple[int, int]:
        info = self.root.stat()
        return info.st_dev, info.st_ino

    # --- scanning -----------------------------------------------------------------------------

    def _scan_everything(self) -> None:
        started = time.monotonic()
        try:
            self._check_observer()
            found = self._scanner.scan(self.root)
        except OSError as error:
            if not self._root_is_lost:
                log.error("the watched folder %s cannot be read (%s): waiting for it to return", self.root, error)
            self._root_is_lost = True
        else:
            self._root_is_lost = False
            self._note_unannounced(found.fresh)
            for path in self._tracker.known() - found.seen:
                if not any(path.is_relative_to(folder) for folder in found.unread):
                    self._scanner.forget(path)
            self._warn_of_unstable_folders()
        ended = time.monotonic()
        pause = self.poll_seconds if self._observer is None or self._root_is_lost else self.rescan_seconds
        self._next_scan = ended + max(pause, (ended - started) / _SCAN_SHARE)

    def _note_unannounced(self, fresh: set[Path]) -> None:
        """Expect an event of each file that a scan found, unless it was the first scan."""
        if self._unannounced is None:
            self._unannounced = set()
        elif not self._unannounced:
            self._unannounced = fresh
            self._unannounced_since = time.monotonic()

    def _warn_of_unstable_folders(self) -> None:
        for unit in self._tracker.unstable(time.monotonic(), _PATIENCE_SECONDS):
            if unit.is_dir():
                self._scanner.log_once(
                    logging.WARNING,
                    unit,
                    "is a folder of images, submitted as one batch once it no longer changes; it changes all the time. "
                    f"If it is a stream of single images, put an empty file {STREAM_MARKER!r} in it",
                )

    def _follow(self, hint: Hint) -> None:
        """Inspect what a file system event points to. What lies below a link is known where it really is."""
        if hint.path == self.root or not hint.path.is_relative_to(self.root):
            return
        if self._scanner.is_below_link(hint.path.parent):
            return
        *folders, name = hint.path.relative_to(self.root).parts
        if any(is_ignored(folder) for folder in folders):
            return
        if name == STREAM_MARKER:
            self._scan(hint.path.parent, deep=False)
        elif is_ignored(name):
            return
        elif hint.is_folder and not hint.path.is_symlink():
            self._scan(hint.path, deep=True)
        else:
            if self._unannounced:
                self._unannounced.discard(hint.path)
            self._scanner.inspect(hint.path, marked=(hint.path.parent / STREAM_MARKER).exists(), happened=True)

    def _scan(self, folder: Path, *, deep: bool) -> None:
        if self._unannounced:
            self._unannounced = {path for path in self._unannounced if not path.is_relative_to(folder)}
        try:
            self._scanner.scan(folder, deep=deep)
        except OSError:  # gone, or not readable: then the next scan of everything says so
            if not folder.exists():
                self._scanner.forget_below(folder)
