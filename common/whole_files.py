"""Files that other processes read: they are there whole or not at all."""

from __future__ import annotations

import tempfile
from pathlib import Path


def write_whole(path: Path, data: bytes) -> None:
    """Write a file, in place of one that may be there, and make its folder; raise `OSError` if it cannot be written.

    Of what cannot be written nothing is left, whatever happens: it lies in a folder of its own until it is whole.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as staging:
        written = Path(staging) / path.name
        written.write_bytes(data)
        written.replace(path)
