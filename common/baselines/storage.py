"""Baselines on disk: each is a folder with `baseline.json` and `arrays.npz`.

`baseline.json` carries the digest of manifest and arrays, so that an edited or
truncated file is detected when the baseline is loaded.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from pydantic import Field

from common.baselines import format_1
from common.contracts.ids import Message
from common.drift.baseline import Baseline
from common.drift.manifest import BaselineManifest
from common.drift.segment_arrays import Arrays
from common.errors import BadBaseline, BadMessage

MANIFEST_FILE = "baseline.json"
ARRAYS_FILE = "arrays.npz"
_FORMAT = 2


class BaselineFile(Message):
    """The content of `baseline.json`."""

    format: int = Field(description="version of the folder's layout")
    digest: str = Field(description="digest of manifest and arrays: the baseline's id")
    manifest: BaselineManifest


@dataclass(frozen=True)
class StoredBaseline:
    """A baseline with its id and its folder."""

    baseline: Baseline
    id: str
    folder: Path


def save_baseline(baseline: Baseline, folder: Path) -> StoredBaseline:
    """Write `baseline` to `folder`, and replace an older one there.

    The files are written to a temporary folder, which is renamed when it is complete.

    Raises
    ------
    BadBaseline
        If it cannot be written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        np.savez_compressed(staging / ARRAYS_FILE, **baseline.to_arrays())  # type: ignore[arg-type]
        stored = BaselineFile(format=_FORMAT, digest=baseline.digest, manifest=baseline.to_manifest())
        (staging / MANIFEST_FILE).write_text(stored.model_dump_json(indent=1), encoding="utf-8")
        staging.chmod(0o755)
        retired = folder.with_name(f".{folder.name}.old-{os.getpid()}")
        if folder.exists():
            folder.rename(retired)
        staging.rename(folder)
        shutil.rmtree(retired, ignore_errors=True)
    except OSError as error:
        shutil.rmtree(staging, ignore_errors=True)
        raise BadBaseline(
            f"baseline cannot be written to {folder}: {error.strerror or error}; free space or choose --out"
        ) from error
    return StoredBaseline(baseline, stored.digest, folder.resolve())


def load_baseline(folder: Path) -> StoredBaseline:
    """Read and verify the baseline in `folder`.

    Raises
    ------
    BadBaseline
        If a file is missing, was edited, or has an unknown format; the message
        names it and what to do.
    """
    text = _read(folder / MANIFEST_FILE)
    arrays = _read_arrays(folder / ARRAYS_FILE)
    if _format_of(text, folder) == format_1.FORMAT:
        old = _parse(format_1.File, text, folder)
        stored, found = old.digest, format_1.digest_of(old.manifest, arrays)
        baseline = Baseline.from_parts(old.manifest.manifest(), format_1.renamed(arrays))
    else:
        file = _parse(BaselineFile, text, folder)
        baseline = Baseline.from_parts(file.manifest, arrays)
        stored, found = file.digest, baseline.digest
    if found != stored:
        raise BadBaseline(
            f"baseline {folder} is not what was built (digest {found[:12]}, its file says {stored[:12]}): "
            "a file was edited or damaged; restore it or rebuild the baseline"
        )
    return StoredBaseline(baseline, stored, folder.resolve())


def read_manifest(folder: Path) -> BaselineFile:
    """Read `baseline.json` alone, which is enough to list a baseline; raise `BadBaseline` as `load_baseline` does."""
    text = _read(folder / MANIFEST_FILE)
    if _format_of(text, folder) == format_1.FORMAT:
        old = _parse(format_1.File, text, folder)
        return BaselineFile(format=_FORMAT, digest=old.digest, manifest=old.manifest.manifest())
    return _parse(BaselineFile, text, folder)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadBaseline(
            f"no baseline in {path.parent} ({path.name}: {error.strerror}): see `sentinel baseline list`, "
            "or make one with `sentinel baseline build FILES --name NAME`"
        ) from error


def _read_arrays(path: Path) -> Arrays:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise BadBaseline(f"{path} is missing or damaged ({error}): rebuild the baseline") from error


def _format_of(text: bytes, folder: Path) -> int:
    """Return the format of a `baseline.json`; raise `BadBaseline` if this version cannot read it."""
    try:
        stored = json.loads(text).get("format")
    except (ValueError, AttributeError, RecursionError) as error:
        raise _unreadable(folder, error) from error
    if stored not in {format_1.FORMAT, _FORMAT}:
        raise BadBaseline(
            f"{folder / MANIFEST_FILE} has format {stored}, this version reads {format_1.FORMAT} and {_FORMAT}: "
            "upgrade this process, or rebuild the baseline with this version"
        )
    return int(stored)


_M = TypeVar("_M", bound=Message)


def _parse(kind: type[_M], text: bytes, folder: Path) -> _M:
    try:
        return kind.from_json(text)
    except BadMessage as error:
        raise _unreadable(folder, error) from error


def _unreadable(folder: Path, error: Exception) -> BadBaseline:
    return BadBaseline(f"{folder / MANIFEST_FILE} cannot be read ({error}): restore it or rebuild the baseline")


def find_baseline(name_or_folder: str, baselines_dir: Path) -> Path:
    """Return the folder of a baseline.

    `name_or_folder` is taken as a folder if it has a separator or holds a baseline, otherwise as a name.
    """
    direct = Path(name_or_folder)
    if direct.is_absolute() or len(direct.parts) > 1 or _holds_baseline(direct):
        return direct
    return baselines_dir / name_or_folder


def _holds_baseline(folder: Path) -> bool:
    try:
        return (folder / MANIFEST_FILE).is_file()
    except OSError:  # the name is too long for a file: loading it says so
        return False


def list_baselines(baselines_dir: Path) -> list[Path]:
    """Return the folders below `baselines_dir` that hold a baseline, by name."""
    if not baselines_dir.is_dir():
        return []
    return sorted(
        path.parent for path in baselines_dir.glob(f"*/{MANIFEST_FILE}") if not path.parent.name.startswith(".")
    )
