"""Classification of files by name or media type: kind of source, hidden or temporary, and natural order."""

from __future__ import annotations

import mimetypes
import re
from pathlib import PurePath

from common.contracts.batches import SourceKind
from common.modalities.registry import suffixes

_SUFFIXES = {
    "image/jpeg": ".jpg",
    "image/jp2": ".jp2",
    "image/png": ".png",
    "image/tiff": ".tif",
    "image/webp": ".webp",
    "video/3gpp": ".3gp",
    "video/h264": ".h264",
    "video/h265": ".h265",
    "video/matroska": ".mkv",
    "video/mp2t": ".ts",
    "video/mpeg": ".mpg",
    "video/ogg": ".ogv",
    "video/x-matroska": ".mkv",
}
"""Suffixes of media types of which Python knows several, or none."""
_PYTHONS_TYPES = mimetypes.MimeTypes()  # without what the operating system adds, which differs between machines

# fmt: off
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
    """Return RECORDING or IMAGE by the suffix of `name`; None for a suffix that no installed modality has."""
    known = suffixes().get(PurePath(name).suffix.lower())
    return None if known is None else known[1]


def suffix_of(media_type: str) -> str | None:
    """Return the suffix of files of a media type, without regard to its parameters; None if no modality reads them.

    Examples
    --------
    >>> suffix_of("image/JPEG; charset=binary"), suffix_of("text/html")
    ('.jpg', None)
    """
    name = media_type.partition(";")[0].strip().lower()
    usual = _PYTHONS_TYPES.guess_all_extensions(name)
    return next((suffix for suffix in (_SUFFIXES.get(name, ""), *usual) if suffix in suffixes()), None)


def natural_order(path: PurePath) -> tuple[tuple[str | int, ...], ...]:
    """Return a sort key that puts `2.jpg` before `10.jpg`."""
    return tuple(
        tuple(int(piece) if piece.isdecimal() else piece for piece in _DIGITS.split(part)) for part in path.parts
    )
