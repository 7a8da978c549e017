"""Folders and files of the stack that belong to this user alone."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from common.errors import SettingsError

UMASK = 0o077
"""For processes of the stack: what they write is readable by this user alone."""

_OWN_ENTRIES = ("redis", "logs", "stack.json", "stack.lock", "camera-url", "truth-url")  # of a state folder
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def make_folder(path: Path, setting: str) -> None:
    """Make a folder that a setting names; raise `SettingsError` if that is impossible."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"{setting} is {path}, which cannot be made ({error.strerror}): name another folder"
        ) from error


def make_private_folder(path: Path, setting: str) -> None:
    """Make the state folder, or an existing one and the stack's own files in it, accessible to its owner only.

    Raises
    ------
    SettingsError
        The folder cannot be made, belongs to another user, or is one that users share, like /tmp.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.stat()
    except OSError as error:
        raise SettingsError(
            f"{setting} is {path}, which cannot be made ({error.strerror}): name another folder"
        ) from error
    if found.st_uid != os.geteuid() or found.st_mode & stat.S_ISVTX:
        raise SettingsError(
            f"{setting} is {path}, which belongs to another user or is shared by all: it will hold passwords, "
            "so name a folder that is yours alone"
        )
    _close_to_others(path)
    for name in _OWN_ENTRIES:
        entry = path / name
        if entry.is_symlink() or not entry.exists():
            continue
        _close_to_others(entry)
        if entry.is_dir():
            for folder, folders, files in os.walk(entry):
                for inner in (*folders, *files):
                    _close_to_others(Path(folder) / inner)


def write_private(path: Path, text: str) -> None:
    """Write `text` to `path`, whole or not at all, readable by this user alone."""
    staging = path.with_name(f".{path.name}.tmp")
    staging.unlink(missing_ok=True)
    descriptor = os.open(staging, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    staging.replace(path)


def append_private(path: Path) -> BinaryIO:
    """Open `path` for appending, readable by this user alone."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


def _close_to_others(path: Path) -> None:
    """Take every permission of other users away; links are left as they are."""
    mode = path.lstat().st_mode
    if not stat.S_ISLNK(mode) and mode & _OTHERS:
        path.chmod(stat.S_IMODE(mode) & ~_OTHERS)
