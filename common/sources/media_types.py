"""Classification of files by name: kind of source, hidden or temporary, and natural order."""

from __future__ import annotations

import re
from pathlib import PurePath

from common.contracts.batches import SourceKind
from common.modalities.registry import suffixes

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


def natural_order(path: PurePath) -> tuple[tuple[str | int, ...], ...]:
    """Return a sort key that puts `2.jpg` before `10.jpg`."""
    return tuple(
        tuple(int(piece) if piece.isdecimal() else piece for piece in _DIGITS.split(part)) for part in path.parts
    )
