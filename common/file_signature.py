"""What changes whenever a file is written or replaced, for those who read it again only then."""

from __future__ import annotations

import os

Signature = tuple[int, int, int, int]
"""Times of modification and of change, ns; size, bytes; inode."""


def signature_of(seen: os.stat_result) -> Signature:
    """Return the signature of a file from what `stat` says of it: no writer can keep all of it as it was."""
    return (seen.st_mtime_ns, seen.st_ctime_ns, seen.st_size, seen.st_ino)
