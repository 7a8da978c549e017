"""Handing on what has settled: each unit is submitted, refused, or kept for another try."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from common.contracts.batches import Submission
from common.contracts.ids import check_stream_name
from common.errors import BadSource, BrokerUnavailable, Refused, SettingsError
from common.sources.media_types import natural_order
from producers.folder.scanner import Scanner

log = logging.getLogger(__name__)

_FIRST_BACKOFF_SECONDS = 0.5
_LAST_BACKOFF_SECONDS = 30.0  # Redis restarts within seconds; asking less often than this helps nobody
_MAX_TRIES = 3  # how often a unit may fail for a reason we do not know before it is refused


Submit = Callable[[str, Path], Submission]
"""Hand on a path (a video, an image, or a folder of images) of a stream. May raise `Refused` or `BrokerUnavailable`."""

Reject = Callable[[str, Path, Refused], None]
"""Report a path of a stream (as named by its folder, maybe empty) that can never be taken as it is.

May raise `BrokerUnavailable`. Names that are no valid UTF-8 come with backslashes in place of what is not.
"""


class Submitter:
    """Submit the units of `tree` that are due.

    A unit is released only after `submit` or `reject` has returned, so a broker
    that does not answer delays everything and loses nothing.
    """

    def __init__(self, tree: Scanner, submit: Submit, reject: Reject) -> None:
        self._tree = tree
        self._tracker = tree.tracker
        self._submit = submit
        self._reject = reject
        self._tries: dict[Path, int] = {}
        self._said: set[str] = set()
        self._backoff = 0.0  # 0: the broker answers
        self._retry_at = 0.0

    def next_due(self) -> float | None:
        """Return when there is something to take, on the monotonic clock; None: nothing waits."""
        due = self._tracker.next_due()
        return None if due is None else max(due, self._retry_at)

    def take_due(self, stop: threading.Event) -> None:
        """Take every unit that is due, in natural order of their names, until `stop` is set."""
        now = time.monotonic()
        if now < self._retry_at:
            return
        for unit in sorted(self._tracker.due(now), key=natural_order):
            if stop.is_set():
                return
            try:
                self._take(unit)
            except BrokerUnavailable as error:
                self._back_off(error)
                return
            except SettingsError as error:
                self._wait_for_setting(unit, error)
            except Exception as error:
                self._try_later(unit, error)
            else:
                self._tries.pop(unit, None)

    def _take(self, unit: Path) -> None:
        self._look_again(unit)
        if not self._tracker.is_due(unit, time.monotonic()):
            return  # it has changed, or gone, since its last event
        files = sorted(self._tracker.files(unit), key=natural_order)
        if files == [unit]:
            self._take_file(unit, unit)
        elif self._tracker.has_taken_files(unit):
            self._take_one_by_one(unit, files)
        else:
            self._take_folder(unit, files)

    def _look_again(self, unit: Path) -> None:
        """See whether anything about `unit` has changed that no event has told of yet."""
        files = self._tracker.files(unit)
        if files == (unit,):
            self._tree.look_at(unit, marked=True)  # it waits by itself, however that was decided
            return
        seen = self._tree.look_into(unit, deep=False).seen
        for path in set(files) - seen:
            self._tree.forget(path)

    def _take_file(self, path: Path, unit: Path) -> None:
        result = self._deliver(path, [path], self._tree.place(path, unit=unit).stream)
        self._release(path, result)

    def _take_one_by_one(self, unit: Path, files: list[Path]) -> None:
        for path in files:
            self._take_file(path, unit)

    def _take_folder(self, unit: Path, files: list[Path]) -> None:
        result = self._deliver(unit, files, self._tree.place(files[0], unit=unit).stream)
        if result is Submission.CHANGED:
            self._take_one_by_one(unit, files)
            return
        for path in files:
            self._release(path, result)

    def _deliver(self, path: Path, files: list[Path], stream: str) -> Submission:
        try:
            for file in files:
                self._tree.check(file)
            result = self._submit(self._stream(path, stream), path)
        except Refused as error:
            self._refuse(stream, path, error)
            result = Submission.REJECTED
        if self._backoff:
            log.info("the broker answers again")
        self._backoff = self._retry_at = 0.0
        log.debug("%s: %s", path, result)
        return result

    def _stream(self, path: Path, name: str) -> str:
        if not name:
            raise BadSource(
                f"{path} lies in no stream: put it in a folder below {self._tree.root}, whose name is then the stream's"
            )
        try:
            return check_stream_name(name)
        except ValueError as error:
            raise BadSource(f"{path} lies in a folder that cannot be a stream: {error}; rename the folder") from error

    def _release(self, path: Path, result: Submission) -> None:
        taken = result is not Submission.REJECTED
        self._tracker.release_file(path, taken=taken)
        if taken:
            self._tree.remember(path)

    # --- trouble ------------------------------------------------------------------------------

    def _refuse(self, stream: str, path: Path, error: Refused) -> None:
        try:
            self._reject(_printable(stream), Path(_printable(str(path))), error)
        except BrokerUnavailable:
            raise
        except Exception:  # a report that cannot be made must not end the watching
            log.exception("%r was refused, but that could not be reported: %s", str(path), error)
        else:
            log.warning("stream %r: refused: %s", stream, error)

    def _back_off(self, error: BrokerUnavailable) -> None:
        if not self._backoff:
            log.warning("what has settled waits until the broker answers again: %s", error)
        self._backoff = min(max(2 * self._backoff, _FIRST_BACKOFF_SECONDS), _LAST_BACKOFF_SECONDS)
        self._retry_at = time.monotonic() + self._backoff

    def _wait_for_setting(self, unit: Path, error: SettingsError) -> None:
        """Let a unit wait that nothing is wrong with: it is the setting that has to be put right."""
        if str(error) not in self._said:
            self._said.add(str(error))
            log.warning("%s waits in the folder: %s", unit, error)
        self._tracker.postpone(unit, time.monotonic())

    def _try_later(self, unit: Path, error: Exception) -> None:
        """Let a unit wait that failed for a reason we do not know; refuse it at the last try."""
        if not unit.exists():  # deleted or renamed in this very moment, which is no trouble
            self._tree.forget_below(unit)
            self._tries.pop(unit, None)
            return
        tries = self._tries[unit] = self._tries.get(unit, 0) + 1
        log.warning("%s could not be taken (try %d of %d)", unit, tries, _MAX_TRIES, exc_info=error)
        if tries < _MAX_TRIES:
            self._tracker.postpone(unit, time.monotonic())
            return
        stream = self._tree.place(unit, unit=unit).stream
        try:
            self._refuse(stream, unit, BadSource(f"{unit} could not be taken in {tries} tries: {error}"))
        except BrokerUnavailable as unavailable:
            self._back_off(unavailable)
        else:
            self._tries.pop(unit)
            self._tracker.release(unit, taken=False)


def _printable(name: str) -> str:
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")
