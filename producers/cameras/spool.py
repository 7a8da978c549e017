"""The segments of live cameras on disk: which wait, which are being judged, and which go when there are too many.

What goes first, and of each kind the oldest:

    1. what was judged, and what no stream names any more
    2. what waits to be handed in: a stack that is too slow loses its oldest footage, and says so
    3. what was taken while an incident of its stream is open, for healing; beyond half of the bound it goes with 1.
    4. what was handed in and is being judged

Nothing here opens a segment.
"""

from __future__ import annotations

import logging
import shutil
import time
from bisect import insort
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from producers.cameras.segments import SUFFIX, UNFINISHED, Segment, folder_name, segment_at

log = logging.getLogger(__name__)

_INCIDENT_SHARE = 0.5  # of the bound that footage of open incidents may take
_BEFORE_SECONDS = 60.0  # of an incident that are kept with it: what the camera looked like before
_SAY_SECONDS = 60.0  # between two complaints about one stream


@dataclass
class Shelf:
    """The segments of one stream, each oldest first."""

    waiting: list[Segment] = field(default_factory=list)
    judging: list[Segment] = field(default_factory=list)
    judged: list[Segment] = field(default_factory=list)


class Spool:
    """All segments below `root`, which take at most `most` bytes; what is being written comes on top.

    It belongs to one thread of one process.
    """

    def __init__(self, root: Path, most: int) -> None:
        self.root = root
        self.most = most
        self.shelves: dict[str, Shelf] = {}
        self.lost: dict[str, int] = {}
        self.size = 0
        self._nobodys: list[Segment] = []
        self._said: dict[str, float] = {}

    def open(self, streams: Collection[str], counted_before: float) -> None:
        """Find what an earlier process left.

        Parameters
        ----------
        streams : those that are fetched; the segments of others only wait to be removed
        counted_before : older segments may have been counted without anybody remembering it, seconds since the epoch
        """
        names = {folder_name(stream): stream for stream in streams}
        for folder in sorted(self.root.glob("*/")):
            stream = names.get(folder.name)
            for file in sorted(folder.iterdir()):
                if file.name.startswith(UNFINISHED):
                    file.unlink(missing_ok=True)
                elif (segment := segment_at(stream or "", file)) is not None and file.suffix == SUFFIX:
                    self.size += segment.size
                    self._shelve(segment, known=stream is not None, old=segment.began < counted_before)
        self._nobodys.sort(key=_age)

    def _shelve(self, segment: Segment, *, known: bool, old: bool) -> None:
        if not known:
            self._nobodys.append(segment)
            return
        shelf = self.shelf(segment.stream)
        (shelf.judged if old else shelf.waiting).append(segment)

    def shelf(self, stream: str) -> Shelf:
        return self.shelves.setdefault(stream, Shelf())

    def add(self, segment: Segment) -> None:
        """Take in a segment that is whole."""
        insort(self.shelf(segment.stream).waiting, segment, key=_age)
        self.size += segment.size

    def handed_in(self, segment: Segment) -> None:
        """Note that a segment is being judged."""
        shelf = self.shelf(segment.stream)
        shelf.waiting.remove(segment)
        insort(shelf.judging, segment, key=_age)

    def judged(self, segment: Segment) -> None:
        """Note that a segment was judged, or that nobody will."""
        shelf = self.shelf(segment.stream)
        (shelf.judging if segment in shelf.judging else shelf.waiting).remove(segment)
        insort(shelf.judged, segment, key=_age)

    def leave(self, stream: str) -> None:
        """Note that a stream is fetched no longer. What waits is never handed in, what is being judged may be read."""
        shelf = self.shelves.pop(stream, Shelf())
        self._nobodys = sorted([*self._nobodys, *shelf.waiting, *shelf.judging, *shelf.judged], key=_age)

    def make_room(self, incidents: Mapping[str, float]) -> None:
        """Remove segments until the rest fits.

        Parameters
        ----------
        incidents : since when a stream has an open incident, seconds since the epoch
        """
        while self.size > self.most:
            row, is_lost = self._next(incidents)
            if row is None:
                return
            segment = row.pop(0)
            segment.path.unlink(missing_ok=True)
            self.size -= segment.size
            if is_lost:
                self._say_lost(segment)

    def _next(self, incidents: Mapping[str, float]) -> tuple[list[Segment] | None, bool]:
        """Return the list whose first segment goes next, None if there is none, and whether that is a loss."""
        free, kept, kept_size = [self._nobodys], list[list[Segment]](), 0
        for stream, shelf in self.shelves.items():
            since = incidents.get(stream, float("inf")) - _BEFORE_SECONDS
            is_kept = bool(shelf.judged) and shelf.judged[0].began >= since  # the oldest of it, then all of it
            (kept if is_kept else free).append(shelf.judged)
            if stream in incidents:
                kept_size += sum(segment.size for segment in shelf.judged if segment.began >= since)
        if kept_size > self.most * _INCIDENT_SHARE:
            free, kept = [*free, *kept], []
        waiting = _oldest(shelf.waiting for shelf in self.shelves.values())
        if (row := _oldest(free)) is not None:
            return row, False
        if waiting is not None:
            return waiting, True
        if (row := _oldest(kept)) is not None:
            return row, False
        return _oldest(shelf.judging for shelf in self.shelves.values()), True

    def _say_lost(self, segment: Segment) -> None:
        self.lost[segment.stream] = self.lost.get(segment.stream, 0) + 1
        now = time.monotonic()
        if now - self._said.get(segment.stream, -_SAY_SECONDS) < _SAY_SECONDS:
            return
        self._said[segment.stream] = now
        log.error(
            "stream %s: %d segments were removed unjudged, the last one of %s, because the stack is slower than the "
            "camera and the spool is full: start more embedding workers, or raise SENTINEL_SPOOL_MB",
            segment.stream,
            self.lost[segment.stream],
            segment.path.name.removesuffix(SUFFIX),
        )


def remove_spool(root: Path, stream: str) -> None:
    """Remove the footage of a stream from the spool below `root`."""
    shutil.rmtree(root / folder_name(stream), ignore_errors=True)


def _oldest(rows: Iterable[list[Segment]]) -> list[Segment] | None:
    """Return the list whose first segment is the oldest; None if all are empty."""
    return min((row for row in rows if row), key=lambda row: row[0].began, default=None)


def _age(segment: Segment) -> float:
    return segment.began
