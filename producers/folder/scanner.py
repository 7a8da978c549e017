"""Scanning the files of a watched tree, and telling a `StabilityTracker` what is there."""

from __future__ import annotations

import errno
import logging
import os
import stat
import time
from dataclasses import dataclass, field
from pathlib import Path

from common.contracts.batches import SourceKind
from common.errors import BadSource, PathNotAllowed
from common.sources.media_types import is_ignored, kind_of
from producers.folder.routing import STREAM_MARKER, Destination, destination_of
from producers.folder.stability import StabilityTracker, Version

log = logging.getLogger(__name__)

_MOST_SAID = 10_000  # messages remembered so as not to repeat them: a bound for folders that never end


@dataclass
class ScanResult:
    """What one scan of a tree found."""

    seen: set[Path] = field(default_factory=set)
    fresh: set[Path] = field(default_factory=set)
    """Those of which no event had told."""
    unread: list[Path] = field(default_factory=list)
    """Folders that could not be read: what is known below them is not gone."""


class Scanner:
    """The files below `root`, each under its own name: links to folders are never followed.

    Parameters
    ----------
    root : an absolute path without links
    tracker : is told of every video and image that is found
    """

    def __init__(self, root: Path, tracker: StabilityTracker) -> None:
        self.root = root
        self.tracker = tracker
        self._name_of: dict[tuple[int, int], Path] = {}  # (device, inode) -> name of a file that was accepted
        self._identity_of: dict[Path, tuple[int, int]] = {}  # and back
        self._unreadable: set[Path] = set()
        self._said: set[tuple[Path, str]] = set()

    def scan(self, top: Path, *, deep: bool = True) -> ScanResult:
        """Inspect every file in `top`, and with `deep` every file below it.

        A `top` that is a link, or lies below one, is left alone: what it holds is found where it is.

        Raises
        ------
        OSError
            If `top` cannot be read.
        """
        found = ScanResult()
        if self.is_below_link(top):
            return found
        folders = [top]
        while folders:
            folder = folders.pop()
            try:
                with os.scandir(folder) as listing:
                    entries = list(listing)
            except OSError as error:
                if folder == top:
                    raise
                found.unread.append(folder)
                if not isinstance(error, FileNotFoundError):
                    self.log_once(logging.ERROR, folder, f"cannot be read ({error.strerror}): give this process access")
                continue
            marked = any(entry.name == STREAM_MARKER for entry in entries)
            self._warn_of_mixed_folder(folder, {kind_of(entry.name) for entry in entries}, marked=marked)
            for entry in entries:
                path = Path(entry.path)
                if is_ignored(entry.name):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders += [path] * deep
                elif self.inspect(path, marked=marked, into=found):
                    found.seen.add(path)
        return found

    def inspect(self, path: Path, *, marked: bool, happened: bool = False, into: ScanResult | None = None) -> bool:
        """Tell the tracker how `path` is now; return whether there is anything to submit.

        Parameters
        ----------
        path : below the root, in a folder that is no link and not below one
        marked : whether its folder holds a `STREAM_MARKER`
        happened : whether an event told of it, which starts its quiet time anew
        into : where a file that was not known is noted
        """
        try:
            info = path.stat()  # of a link, what it points to: that is what must be complete
        except OSError as error:
            if path.is_symlink():
                self.log_once(logging.WARNING, path, f"is a link that leads nowhere ({error.strerror}): ignored")
            self.forget(path)
            return False
        is_folder = stat.S_ISDIR(info.st_mode)
        if is_folder and not path.is_symlink():
            return False
        kind = kind_of(path.name)
        if kind is None and not is_folder:
            self.log_once(logging.INFO, path, "is neither a video nor an image by its name: ignored")
            return False
        unit = path
        if kind is not None and not is_folder:
            unit = self.root / destination_of(path.relative_to(self.root), kind, marked=marked).unit
        self._tell(path, unit, info, happened=happened, into=into)
        return True

    def _tell(self, path: Path, unit: Path, info: os.stat_result, *, happened: bool, into: ScanResult | None) -> None:
        now = time.monotonic()
        version = Version(info.st_size, info.st_mtime_ns, info.st_ctime_ns)
        if path in self._unreadable and self._is_readable(path):
            self._retry_unreadable(path, unit)
        released = self.tracker.released_version(path)
        before = self._name_of.get((info.st_dev, info.st_ino))
        if released != version and before is not None and before != path and not os.path.lexists(before):
            self.tracker.moved(before, path, version, now, unit)
            self._forget_identity(before)
            if self.tracker.was_accepted(path):
                self._set_identity(path, info)
            return
        if into is not None and released is None and not self.tracker.waits(path):
            into.fresh.add(path)
        note = self.tracker.touch if happened else self.tracker.observe
        note(path, version, now, unit)

    def is_below_link(self, path: Path) -> bool:
        """Return whether `path` or a folder between it and the root is a link."""
        between = path.relative_to(self.root).parts
        return any(self.root.joinpath(*between[: depth + 1]).is_symlink() for depth in range(len(between)))

    def forget(self, path: Path) -> None:
        """Note that `path` is no more."""
        self._unreadable.discard(path)
        self._forget_identity(path)
        self.tracker.gone(path, time.monotonic())

    def forget_below(self, folder: Path) -> None:
        """Forget `folder` and everything below it, which exist no longer."""
        for path in self.tracker.known():
            if path.is_relative_to(folder):
                self.forget(path)

    def _warn_of_mixed_folder(self, folder: Path, kinds: set[SourceKind | None], *, marked: bool) -> None:
        """Say what becomes of videos and images in one nested folder, for not everybody expects it."""
        if {SourceKind.RECORDING, SourceKind.IMAGE} <= kinds and not marked and folder.parent != self.root != folder:
            name = folder.relative_to(self.root)
            self.log_once(
                logging.WARNING,
                folder,
                f"holds videos, which go to stream '{name}', and images, which go to stream '{name.parent}' as one "
                f"batch. If its images belong to stream '{name}', put an empty file {STREAM_MARKER!r} in it",
            )

    # --- before something is submitted --------------------------------------------------------

    def place(self, path: Path, *, unit: Path) -> Destination:
        """Return where `path`, which waits as part of `unit`, goes."""
        relative = path.relative_to(self.root)
        kind = kind_of(path.name) or SourceKind.RECORDING  # a link to a folder has no kind, and is refused anyway
        return destination_of(relative, kind, marked=unit == path)

    def check(self, path: Path) -> None:
        """Raise `PathNotAllowed` or `BadSource` if `path` leads out of the root or cannot be opened."""
        target = path.resolve()
        if not target.is_relative_to(self.root):
            raise PathNotAllowed(
                f"{path} is a link to {target}, outside of the watched folder: copy what it points to, do not link it"
            )
        try:
            str(path).encode()
        except UnicodeEncodeError as error:
            raise BadSource(f"{str(path)!r} has a name that is not valid UTF-8: rename it") from error
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise BadSource(
                f"{path} is a link to a folder, and those are not followed: what it holds is submitted where it is"
            )
        if not stat.S_ISREG(mode):
            raise BadSource(f"{path} is not a regular file: put the video or image itself there")
        if not self._is_readable(path):
            self._unreadable.add(path)
            raise BadSource(f"{path} may not be read by this process: give it read access; it is then tried again")

    def remember(self, path: Path) -> None:
        """Note that `path` was accepted, so that it is known again under another name."""
        try:
            self._set_identity(path, path.lstat())
        except OSError:  # deleted since: then it cannot come back under another name either
            return

    def _set_identity(self, path: Path, info: os.stat_result) -> None:
        self._forget_identity(path)
        self._name_of[info.st_dev, info.st_ino] = path
        self._identity_of[path] = info.st_dev, info.st_ino

    def _forget_identity(self, path: Path) -> None:
        identity = self._identity_of.pop(path, None)
        if identity is not None and self._name_of.get(identity) == path:
            del self._name_of[identity]

    @staticmethod
    def _is_readable(path: Path) -> bool:
        try:
            os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
        except OSError as error:
            if error.errno in {errno.EACCES, errno.EPERM}:
                return False
            raise
        return True

    def _retry_unreadable(self, path: Path, unit: Path) -> None:
        self._unreadable.discard(path)
        for refused in [path] if unit == path else self.tracker.refused_in(unit):
            self.tracker.forget_release(refused)

    def log_once(self, level: int, path: Path, what: str) -> None:
        """Log that `path` is `what`, unless that was said before."""
        if len(self._said) >= _MOST_SAID:
            self._said.clear()
        if (path, what) not in self._said:
            self._said.add((path, what))
            log.log(level, "%s %s", path, what)
