"""Capture times of frames, from containers, EXIF data, file names, or times of modification.

Times without a time zone are taken as this machine's local time.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path, PurePath

from common.features import TimeSource

_EARLIEST = datetime(1990, 1, 1, tzinfo=UTC).timestamp()  # an earlier time is that of an unset clock
_CLOCK_MARGIN_SECONDS = 86_400.0  # a camera in another zone, or whose clock is off, may be this far ahead

# 2026-11-24T06-15-00Z, 20261124_061500, 2026.11.24 06h15m00.25+0100, ...
_DATE_TIME = re.compile(
    r"(?<!\d)(?P<year>(?:19|20)\d\d)(?P<s>[-_.]?)(?P<month>0[1-9]|1[0-2])(?P=s)(?P<day>0[1-9]|[12]\d|3[01])"
    r"[T _.-]{0,3}(?P<hour>[01]\d|2[0-3])[-_.:h]?(?P<minute>[0-5]\d)(?:[-_.:m]?(?P<second>[0-5]\d)s?)?"
    r"(?:[.,](?P<fraction>\d{1,6}))?(?P<zone>Z|[+-](?:0\d|1[0-4]):?[0-5]\d)?(?!\d)"
)
_EPOCH = re.compile(r"(?<![\d.])(?P<seconds>1\d{9})(?:\.(?P<fraction>\d{1,6})|(?P<milliseconds>\d{3}))?(?!\d)")


@dataclass(frozen=True)
class CaptureTimes:
    """The capture times of a source's frames.

    Attributes
    ----------
    first : capture time of the first frame, seconds since the epoch; None: unknown
    known_by : where the times come from
    stills : for a folder of images, the capture time of each, in their order
    """

    first: float | None
    known_by: TimeSource
    stills: tuple[float, ...] = ()

    def of_frame(self, position: int, seconds: float) -> float:
        """Return the capture time of a frame, NaN where it is unknown.

        Parameters
        ----------
        position : index of the frame among `stills`
        seconds : for a video, time from the start of the source
        """
        if self.first is None:
            return float("nan")
        if self.stills:
            return self.stills[min(position, len(self.stills) - 1)]
        return self.first + seconds


UNKNOWN_TIMES = CaptureTimes(None, TimeSource.UNKNOWN)


def is_plausible(seconds: float, now: float | None = None) -> bool:
    """Return whether `seconds` since the epoch is after 1990 and at most a day ahead of `now` (None: this machine's
    clock)."""
    latest = (time.time() if now is None else now) + _CLOCK_MARGIN_SECONDS
    return _EARLIEST <= seconds <= latest


def time_in_name(path: PurePath) -> float | None:
    """Return the capture time in a file's name, in seconds since the epoch; None if there is no plausible one.

    The date may be in the name of the folder and the time in that of the file.

    Examples
    --------
    >>> time_in_name(PurePath("cam7/1732428900.250-front.jpg"))
    1732428900.25
    >>> time_in_name(PurePath("cam7/2024-11-24T06-15-00Z.mp4"))
    1732428900.0
    >>> time_in_name(PurePath("cam7/frame 12.jpg")) is None
    True
    """
    for name in (path.stem, f"{path.parent.name} {path.stem}"):
        for pattern, read in ((_DATE_TIME, _from_date), (_EPOCH, _from_epoch)):
            match = pattern.search(name)
            seconds = read(match) if match else None
            if seconds is not None and is_plausible(seconds):
                return seconds
    return None


def parse_time(text: str) -> float | None:
    """Return an ISO 8601 or RFC 3339 time in seconds since the epoch, or None if `text` is not one."""
    try:
        return datetime.fromisoformat(text.strip()).timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def times_of_file(path: Path, seconds: float, in_container: float | None) -> CaptureTimes:
    """Return the capture times of a video or a single image.

    Parameters
    ----------
    path : of the file
    seconds : duration of the source, subtracted from the time of modification, which is the end of the recording
    in_container : creation time in the container, seconds since the epoch, see `probe`; None: unknown
    """
    if in_container is not None and is_plausible(in_container):
        return CaptureTimes(in_container, TimeSource.CONTAINER)
    named = time_in_name(path)
    if named is not None:
        return CaptureTimes(named, TimeSource.NAME)
    return CaptureTimes(path.stat().st_mtime - seconds, TimeSource.FILE)


def times_of_images(paths: Sequence[Path], exif: Sequence[float | None]) -> CaptureTimes:
    """Return the capture times of a folder's images, all by EXIF, else all by name, else all by modification.

    Parameters
    ----------
    paths : the images, in their order; at least one
    exif : capture time in each image's EXIF data, seconds since the epoch; None: it has none
    """
    said = [at for at in exif if at is not None and is_plausible(at)]
    if len(said) == len(paths):
        return CaptureTimes(said[0], TimeSource.EXIF, tuple(said))
    named = [at for at in map(time_in_name, paths) if at is not None]
    if len(named) == len(paths):
        return CaptureTimes(named[0], TimeSource.NAME, tuple(named))
    modified = tuple(path.stat().st_mtime for path in paths)
    return CaptureTimes(modified[0], TimeSource.FILE, modified)


def _from_date(match: re.Match[str]) -> float | None:
    fraction = (match["fraction"] or "0").ljust(6, "0")
    numbers = [int(match[part] or 0) for part in ("year", "month", "day", "hour", "minute", "second")]
    try:
        return datetime(*numbers, int(fraction), tzinfo=_zone(match["zone"])).timestamp()  # type: ignore[arg-type, misc]
    except (ValueError, OverflowError, OSError):  # such as the 31st of February
        return None


def _from_epoch(match: re.Match[str]) -> float:
    return float(f"{match['seconds']}.{match['fraction'] or match['milliseconds'] or '0'}")


def _zone(text: str | None) -> timezone | None:
    if text is None:
        return None
    if text == "Z":
        return UTC
    hours, minutes = int(text[1:3]), int(text[-2:])
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if text[0] == "-" else offset)
