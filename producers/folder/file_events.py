"""How changes below a folder become known: file system events where there are any, else scanning again.

There is no polling observer here. The folder producer scans the whole tree now
and then anyway, so polling is the same scan more often. watchdog's polling observer
follows links to folders: two links that point upwards make it walk for ever.
"""

from __future__ import annotations

import logging
import os
import queue
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

log = logging.getLogger(__name__)

# File systems whose changes may be made by another machine, or the other side of a
# virtual machine: the kernel here does not see them happen, so it has no events for them.
# fmt: off
_WITHOUT_EVENTS = frozenset((
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "drvfs", "fakeowner", "fuse", "gfs2", "glusterfs",
    "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "osxfs", "panfs", "prl_fs", "smb", "smb2", "smb3",
    "smbfs", "vboxsf", "virtiofs", "vmhgfs",
))
# fmt: on
_MOUNTS = Path("/proc/self/mountinfo")
_OCTAL = re.compile(r"\\([0-7]{3})")  # how mountinfo writes spaces and the like
_STOP_SECONDS = 5.0  # an observer's threads end at once; this only bounds a bug in them

# Opening and reading a file changes nothing, and the workers read every file here.
_UNINTERESTING = frozenset({"opened", "closed_no_write"})


@dataclass(frozen=True)
class Hint:
    """Something happened at `path`; inspecting it shows what."""

    path: Path
    is_folder: bool


class _Handler(FileSystemEventHandler):
    """Puts events on a queue, from watchdog's thread to the producer's."""

    def __init__(self, hints: queue.Queue[Hint]) -> None:
        self._hints = hints

    def on_any_event(self, event: FileSystemEvent) -> None:
        if event.event_type in _UNINTERESTING:
            return
        if event.is_directory and event.event_type == "modified":
            return  # says only that a child changed, which has its own event
        for name in (event.dest_path, event.src_path):  # the new name first, so that a rename is known as one
            if name:
                self._hints.put(Hint(Path(os.fsdecode(name)), event.is_directory))


@contextmanager
def events_of(root: Path, hints: queue.Queue[Hint]) -> Iterator[BaseObserver]:
    """Feed `hints` with what happens below `root`, until the context ends.

    Raises
    ------
    OSError
        If the system has no more watches to give (inotify limits), or `root` is no folder.
    """
    # A folder made while its parent is being scanned is watched twice, to no harm (watchdog 7.1).
    warnings.filterwarnings("ignore", "Callback with id", RuntimeWarning)
    observer = Observer()
    observer.schedule(_Handler(hints), str(root), recursive=True)
    observer.start()
    try:
        yield observer
    finally:
        observer.stop()
        observer.join(_STOP_SECONDS)


def is_alive(observer: BaseObserver) -> bool:
    """Return whether all threads of `observer` still run."""
    return observer.is_alive() and all(emitter.is_alive() for emitter in observer.emitters)


def file_system_without_events(root: Path, mountinfo: str | None = None) -> str | None:
    """Return the type of the file system at or below `root` that has no events, or None.

    Parameters
    ----------
    root : an absolute path without links
    mountinfo : text in the format of `/proc/self/mountinfo` (proc(5)); None: that file, where there is one
    """
    if mountinfo is None:
        try:
            mountinfo = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            return None
    over: tuple[int, str] = (-1, "")  # of the mounts that `root` lies in, the deepest counts, the last of equals
    below: list[str] = []
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(" "), after.partition(" ")[0]
        if len(fields) < 5:
            continue
        point = Path(_OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[4]))
        if root.is_relative_to(point) and len(point.parts) >= over[0]:
            over = (len(point.parts), kind)
        elif point.is_relative_to(root):
            below.append(kind)
    return next((kind for kind in (over[1], *below) if _has_no_events(kind)), None)


def _has_no_events(kind: str) -> bool:
    return kind in _WITHOUT_EVENTS or kind.startswith("fuse.")
