"""Classification of files by name: kind of media, hidden or temporary, and natural order."""

from __future__ import annotations

import re
from pathlib import PurePath

from common.contracts.batches import SourceKind

# fmt: off
VIDEO_SUFFIXES = frozenset((
    ".3gp", ".asf", ".avi", ".flv", ".gif", ".h264", ".h265", ".hevc", ".m2ts", ".m4v", ".mjpeg", ".mjpg", ".mkv",
    ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv", ".y4m",
))
IMAGE_SUFFIXES = frozenset((
    ".avif", ".bmp", ".exr", ".jp2", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp",
))

# Suffixes of unfinished files of editors, browsers, and programs that copy or upload.
_TEMPORARY_SUFFIXES = (
    ".tmp", ".temp", ".part", ".partial", ".filepart", ".crdownload", ".download", ".opdownload", ".swp", ".swo",
    ".swx", ".upload", ".uploading", ".incomplete", ".inprogress", ".!ut", ".aria2", "~",
)
# fmt: on

_DIGITS = re.compile(r"(\d+)")


def is_ignored(name: str) -> bool:
    """Return whether a file or folder of this name is hidden or temporary.

    Hidden names include rsync's `.name.XXXXXX` and an editor's `.name.swp`.
    """
    return name.startswith((".", "~$")) or name.lower().endswith(_TEMPORARY_SUFFIXES)


def kind_of(name: str) -> SourceKind | None:
    """Return VIDEO or IMAGE by the suffix of `name`; None for any other suffix."""
    suffix = PurePath(name).suffix.lower()
    if suffix in VIDEO_SUFFIXES:
        return SourceKind.VIDEO
    return SourceKind.IMAGE if suffix in IMAGE_SUFFIXES else None


def natural_order(path: PurePath) -> tuple[tuple[str | int, ...], ...]:
    """Return a sort key that puts `2.jpg` before `10.jpg`."""
    return tuple(
        tuple(int(piece) if piece.isdecimal() else piece for piece in _DIGITS.split(part)) for part in path.parts
    )
