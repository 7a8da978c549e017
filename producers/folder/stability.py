"""When is a file complete? A pure answer: no file system, no clock, no threads."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from common.contracts.batches import SourceKind
from common.sources.media_types import kind_of


class Version(NamedTuple):
    """What tells one content of a file from the next without reading it.

    A program that rewrites a file may put its time of writing back (`cp -p`);
    the time of the last change, which renaming moves too, it cannot.
    """

    size: int
    mtime_ns: int
    ctime_ns: int = 0

    def is_but_renamed(self, later: Version) -> bool:
        """Return whether `later` is this content under another name."""
        return (self.size, self.mtime_ns) == (later.size, later.mtime_ns)


@dataclass
class _Unit:
    """What is submitted as a whole: the files of it that wait, and since when nothing happened to them."""

    waits_since: float
    quiet_since: float
    files: dict[Path, Version] = field(default_factory=dict)


@dataclass(frozen=True)
class _Release:
    version: Version
    accepted: bool


class StabilityTracker:
    """Tell which files have been quiet for long enough, each content of each file once.

    Files belong to a *unit*: a file by itself, or a folder of images, which is
    due only when none of its waiting files has changed for `settle_seconds`.
    A unit stays due until it is released, so whatever fails between `due` and
    `release` loses nothing. The cases it handles:

    - A file written in pieces: every change starts its quiet time anew.
    - The same event twice, or a rescan that finds nothing new: a released
      content is never due again.
    - A file written to again after its release: a new content, due once more.
    - A file renamed while it waits: the new name waits, the old one is forgotten.
    - A file renamed after it was accepted: it stays accepted under its new name. One
      that was refused is judged anew there, because its place may have been the reason.
    - A file deleted before it settled: forgotten. Its folder's quiet time starts anew.
    - Images added to a folder that was accepted: only the new ones wait.

    Times are seconds of any clock that never runs backwards.

    Examples
    --------
    >>> tracker = StabilityTracker(settle_seconds=2.0)
    >>> clip = Path("dock/clip.mp4")
    >>> tracker.touch(clip, Version(100, 1), now=10.0)
    >>> tracker.touch(clip, Version(900, 2), now=11.5)
    >>> tracker.due(now=12.0), tracker.next_due()
    ([], 13.5)
    >>> tracker.due(now=13.5) == [clip]
    True
    >>> tracker.release(clip)
    >>> tracker.observe(clip, Version(900, 2), now=60.0)
    >>> tracker.next_due() is None
    True
    """

    def __init__(self, settle_seconds: float) -> None:
        self.settle_seconds = settle_seconds
        self._units: dict[Path, _Unit] = {}  # in order of quiet_since: who restarts goes to the end
        self._unit_of: dict[Path, Path] = {}  # waiting file -> its unit
        self._released: dict[Path, _Release] = {}
        self._accepted_in: Counter[Path] = Counter()  # folder -> images directly in it that were accepted

    # --- what happened ------------------------------------------------------------------------

    def touch(self, path: Path, version: Version, now: float, unit: Path | None = None) -> None:
        """Note that something happened to `path`: its quiet time starts anew."""
        self._note(path, version, now, unit or path, happened=True)

    def observe(self, path: Path, version: Version, now: float, unit: Path | None = None) -> None:
        """Note how `path` was found: its quiet time starts anew only if it is not as last seen."""
        self._note(path, version, now, unit or path, happened=False)

    def moved(self, old: Path, new: Path, version: Version, now: float, unit: Path | None = None) -> None:
        """Note that `old` is now called `new`; what was accepted stays accepted."""
        release = self._released.get(old)
        self.gone(old, now)
        if release is not None and release.accepted and release.version.is_but_renamed(version):
            self._stop_waiting(new, now)
            self._set_release(new, _Release(version, accepted=True))
        else:
            self.touch(new, version, now, unit)

    def gone(self, path: Path, now: float) -> None:
        """Note that `path` is no more."""
        self._stop_waiting(path, now)
        self._set_release(path, None)

    def _note(self, path: Path, version: Version, now: float, unit: Path, *, happened: bool) -> None:
        release = self._released.get(path)
        if release is not None and release.version == version:
            self._stop_waiting(path, now)  # written to and put back as it was, before it settled
            return
        if self._unit_of.get(path, unit) != unit:
            self._stop_waiting(path, now)
        waiting = self._units.get(unit) or _Unit(waits_since=now, quiet_since=now)
        if happened or waiting.files.get(path) != version:
            waiting.files[path] = version
            self._unit_of[path] = unit
            self._restart(unit, waiting, now)

    def _restart(self, name: Path, unit: _Unit, now: float) -> None:
        self._units.pop(name, None)
        unit.quiet_since = now
        self._units[name] = unit

    def _stop_waiting(self, path: Path, now: float) -> None:
        name = self._unit_of.pop(path, None)
        if name is None:
            return
        unit = self._units[name]
        del unit.files[path]
        if unit.files:
            self._restart(name, unit, now)
        else:
            del self._units[name]

    def _set_release(self, path: Path, release: _Release | None) -> None:
        before = self._released.pop(path, None)
        if release is not None:
            self._released[path] = release
        if kind_of(path.name) is not SourceKind.IMAGE:
            return  # a video beside images is a unit of its own, and says nothing of theirs
        self._accepted_in[path.parent] += (release is not None and release.accepted) - (
            before is not None and before.accepted
        )
        if not self._accepted_in[path.parent]:
            del self._accepted_in[path.parent]

    # --- what follows -------------------------------------------------------------------------

    def due(self, now: float) -> list[Path]:
        """Return the units that have been quiet for `settle_seconds`, longest quiet first."""
        found = []
        for name, unit in self._units.items():
            if unit.quiet_since + self.settle_seconds > now:
                break
            found.append(name)
        return found

    def is_due(self, unit: Path, now: float) -> bool:
        """Return whether `unit` waits and has been quiet for `settle_seconds`."""
        waiting = self._units.get(unit)
        return waiting is not None and waiting.quiet_since + self.settle_seconds <= now

    def next_due(self) -> float | None:
        """Return when the next unit is due if nothing else happens; None: nothing waits."""
        first = next(iter(self._units.values()), None)
        return None if first is None else first.quiet_since + self.settle_seconds

    def files(self, unit: Path) -> tuple[Path, ...]:
        """Return the files of `unit` that wait."""
        waiting = self._units.get(unit)
        return () if waiting is None else tuple(waiting.files)

    def unstable(self, now: float, patience: float) -> list[Path]:
        """Return the units that have waited for longer than `patience` seconds."""
        return [name for name, unit in self._units.items() if now - unit.waits_since > patience]

    def postpone(self, unit: Path, now: float) -> None:
        """Let `unit` wait for another `settle_seconds`."""
        if unit in self._units:
            self._restart(unit, self._units[unit], now)

    def release(self, unit: Path, *, accepted: bool = True) -> None:
        """Record that all waiting files of `unit` were submitted, and whether they were accepted."""
        for path in self.files(unit):
            self.release_file(path, accepted=accepted)

    def release_file(self, path: Path, *, accepted: bool = True) -> None:
        """Record that the waiting file `path` was submitted. The unit's quiet time does not restart."""
        name = self._unit_of.pop(path)
        unit = self._units[name]
        self._set_release(path, _Release(unit.files.pop(path), accepted))
        if not unit.files:
            del self._units[name]

    def forget_release(self, path: Path) -> None:
        """Let the content of `path` be due again when it is next seen."""
        self._set_release(path, None)

    # --- what is known ------------------------------------------------------------------------

    def known(self) -> set[Path]:
        """Return every file that waits or was released."""
        return set(self._unit_of) | set(self._released)

    def waits(self, path: Path) -> bool:
        """Return whether `path` waits."""
        return path in self._unit_of

    def released_version(self, path: Path) -> Version | None:
        """Return the content of `path` that was released last."""
        release = self._released.get(path)
        return None if release is None else release.version

    def was_accepted(self, path: Path) -> bool:
        """Return whether `path` was accepted when it was last released, not refused."""
        release = self._released.get(path)
        return release is not None and release.accepted

    def has_accepted_images(self, folder: Path) -> bool:
        """Return whether any image directly in `folder` was accepted."""
        return self._accepted_in[folder] > 0

    def refused_in(self, folder: Path) -> list[Path]:
        """Return the files directly in `folder` that were refused."""
        return [path for path, release in self._released.items() if not release.accepted and path.parent == folder]
