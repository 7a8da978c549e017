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
"""Report a path of a stream (as named by its folder, maybe empty) that can never be accepted as it is.

May raise `BrokerUnavailable`: the report is stored once it returns. Names that are no valid UTF-8 come with
backslashes in place of what is not.
"""


class _Unreported(Exception):
    """A refusal that could not be reported, for another reason than a broker that does not answer."""


class Submitter:
    """Submit the units that `scanner` found and that are due.

    A unit is released only after `submit` or `reject` has returned, so a broker
    that does not answer delays everything and loses nothing.
    """

    def __init__(self, scanner: Scanner, submit: Submit, reject: Reject) -> None:
        self._scanner = scanner
        self._tracker = scanner.tracker
        self._submit = submit
        self._reject = reject
        self._tries: dict[Path, int] = {}
        self._said: set[str] = set()
        self._backoff = 0.0  # 0: the broker answers
        self._retry_at = 0.0

    def next_due(self) -> float | None:
        """Return when there is something to submit, on the monotonic clock; None: nothing waits."""
        due = self._tracker.next_due()
        return None if due is None else max(due, self._retry_at)

    def submit_due(self, stop: threading.Event) -> None:
        """Submit every unit that is due, in natural order of their names, until `stop` is set."""
        now = time.monotonic()
        if now < self._retry_at:
            return
        for unit in sorted(self._tracker.due(now), key=natural_order):
            if stop.is_set():
                return
            try:
                self._attempt(unit)
            except BrokerUnavailable as error:
                self._back_off(error)
                return
            except SettingsError as error:
                self._wait_for_setting(unit, error)
            except _Unreported as error:
                log.error("%s; it waits in the folder", error, exc_info=error.__cause__)
                self._tracker.postpone(unit, time.monotonic())

    def _attempt(self, unit: Path) -> None:
        """Submit `unit`. An error of no known kind is counted, and ends in a refusal at the last try."""
        try:
            self._submit_unit(unit)
        except (BrokerUnavailable, SettingsError, _Unreported):
            raise
        except Exception as error:
            self._try_later(unit, error)
        else:
            self._tries.pop(unit, None)

    def _submit_unit(self, unit: Path) -> None:
        self._inspect_again(unit)
        if not self._tracker.is_due(unit, time.monotonic()):
            return  # it has changed, or gone, since its last event
        files = sorted(self._tracker.files(unit), key=natural_order)
        if files == [unit]:
            self._submit_file(unit, unit)
        elif self._tracker.has_accepted_images(unit):
            self._submit_one_by_one(unit, files)
        else:
            self._submit_folder(unit, files)

    def _inspect_again(self, unit: Path) -> None:
        """Scan `unit` again, to find changes for which no event has arrived yet."""
        files = self._tracker.files(unit)
        if files == (unit,):
            self._scanner.inspect(unit, marked=True)  # it waits by itself, however that was decided
            return
        seen = self._scanner.scan(unit, deep=False).seen
        for path in set(files) - seen:
            self._scanner.forget(path)

    def _submit_file(self, path: Path, unit: Path) -> None:
        result = self._deliver(path, [path], self._scanner.place(path, unit=unit).stream)
        self._release(path, result)

    def _submit_one_by_one(self, unit: Path, files: list[Path]) -> None:
        for path in files:
            self._submit_file(path, unit)

    def _submit_folder(self, unit: Path, files: list[Path]) -> None:
        result = self._deliver(unit, files, self._scanner.place(files[0], unit=unit).stream)
        if result is Submission.CHANGED:
            self._submit_one_by_one(unit, files)
            return
        for path in files:
            self._release(path, result)

    def _deliver(self, path: Path, files: list[Path], stream: str) -> Submission:
        try:
            for file in files:
                self._scanner.check(file)
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
                f"{path} lies in no stream: put it in a folder below {self._scanner.root}, "
                "whose name is then the stream's"
            )
        try:
            return check_stream_name(name)
        except ValueError as error:
            raise BadSource(f"{path} lies in a folder that cannot be a stream: {error}; rename the folder") from error

    def _release(self, path: Path, result: Submission) -> None:
        accepted = result is not Submission.REJECTED
        self._tracker.release_file(path, accepted=accepted)
        if accepted:
            self._scanner.remember(path)

    # --- trouble ------------------------------------------------------------------------------

    def _refuse(self, stream: str, path: Path, error: Refused) -> None:
        """Report a refusal; raise if the report is not stored, so that the unit stays and is tried again."""
        try:
            self._reject(_printable(stream), Path(_printable(str(path))), error)
        except BrokerUnavailable:
            raise
        except Exception as trouble:
            raise _Unreported(f"{str(path)!r} was refused ({error}), but that could not be reported") from trouble
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
            self._scanner.forget_below(unit)
            self._tries.pop(unit, None)
            return
        tries = self._tries[unit] = self._tries.get(unit, 0) + 1
        log.warning("%s could not be submitted (try %d of %d)", unit, tries, _MAX_TRIES, exc_info=error)
        if tries < _MAX_TRIES:
            self._tracker.postpone(unit, time.monotonic())
            return
        stream = self._scanner.place(unit, unit=unit).stream
        self._refuse(stream, unit, BadSource(f"{unit} could not be submitted in {tries} tries: {error}"))
        self._tries.pop(unit)
        self._tracker.release(unit, accepted=False)


def _printable(name: str) -> str:
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")
