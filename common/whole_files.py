"""Files and folders that other processes read: they are there whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield where the block is to write a file, which takes the place of `path` when the block ends.

    If the block raises, `path` stays as it is. Until it is whole it lies in a folder of its own, so two that write
    the same file do not meet. Raises `OSError` if there can be no such file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as staging:
        written = Path(staging) / path.name
        yield written
        written.replace(path)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file, in place of one that may be there, and make its folder; raise `OSError` if it cannot be written.

    Of what cannot be written nothing is left, whatever happens.
    """
    with whole_file(path) as written:
        written.write_bytes(data)


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder for the block to fill, which takes the place of `folder` when the block ends.

    If the block raises, `folder` stays as it is. Of a process that is killed a folder `.NAME.*` is left beside it.
    Raises `OSError` if there can be no such folder.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    retired = staging.with_name(f"{staging.name}.old")
    try:
        yield staging
        staging.chmod(0o755)  # mkdtemp allows only this user; processes of other users read it too
        if folder.exists():
            folder.rename(retired)
        try:
            staging.rename(folder)
        except OSError:
            if retired.exists():
                retired.rename(folder)
            raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        shutil.rmtree(retired, ignore_errors=True)
