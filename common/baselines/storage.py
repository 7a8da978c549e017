"""Baselines on disk: each is a folder with `baseline.json`, `arrays.npz`, and perhaps `replay.npz`.

`baseline.json` carries the digest of manifest and arrays, so that an edited or
truncated file is detected when the baseline is loaded. The golden examples in
`replay.npz` belong to the model that trains on them and not to the judge: they
have a digest of their own, and are only read by `load_replay`.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from pydantic import Field

from common.baselines import format_1, format_2, format_4, two_groups
from common.contracts.ids import Message
from common.drift.baseline import Baseline
from common.drift.manifest import BaselineManifest
from common.drift.segment_arrays import Arrays, digest_of
from common.errors import BadBaseline, BadMessage
from common.models.protocols import Examples
from common.npz import read_npz
from common.whole_files import whole_folder

MANIFEST_FILE = "baseline.json"
ARRAYS_FILE = "arrays.npz"
REPLAY_FILE = "replay.npz"
_FORMAT = 5
_FORMATS = (format_1.FORMAT, format_2.FORMAT, format_2.FORMAT_OF_0_3, format_4.FORMAT, _FORMAT)
_WITH_REPLAY = (
    format_2.FORMAT_OF_0_3,
    format_4.FORMAT,
    _FORMAT,
)  # whose golden examples have the size that models are trained on


class BaselineFile(Message):
    """The content of `baseline.json`."""

    format: int = Field(description="version of the folder's layout")
    digest: str = Field(description="digest of manifest and arrays: the baseline's id")
    manifest: BaselineManifest
    replay: str | None = Field(None, description="digest of the golden examples beside it; None: it keeps none")


@dataclass(frozen=True)
class StoredBaseline:
    """A baseline with its id and its folder."""

    baseline: Baseline
    id: str
    folder: Path


def save_baseline(baseline: Baseline, folder: Path, replay: Examples | None = None) -> StoredBaseline:
    """Write `baseline` to `folder`, and replace an older one there.

    The files are written to a temporary folder, which is renamed when it is complete.

    Parameters
    ----------
    replay : (n, ...) uint8 golden examples for the model, which are stored beside the baseline

    Raises
    ------
    BadBaseline
        If it cannot be written.
    """
    stored = BaselineFile(
        format=_FORMAT,
        digest=baseline.digest,
        manifest=baseline.to_manifest(),
        replay=None if replay is None else _digest_of(replay),
    )
    try:
        with whole_folder(folder) as staging:
            np.savez_compressed(staging / ARRAYS_FILE, **baseline.to_arrays())  # type: ignore[arg-type]
            if replay is not None:
                np.savez_compressed(staging / REPLAY_FILE, examples=replay)
            (staging / MANIFEST_FILE).write_text(stored.model_dump_json(indent=1), encoding="utf-8")
    except OSError as error:
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
    baseline, stored, found = _READERS[_format_of(text, folder)](text, arrays, folder)
    if found != stored:
        raise BadBaseline(
            f"baseline {folder} is not what was built (digest {found[:12]}, its file says {stored[:12]}): "
            "a file was edited or damaged; restore it or rebuild the baseline"
        )
    return StoredBaseline(baseline, stored, folder.resolve())


def _read_format_1(text: bytes, arrays: Arrays, folder: Path) -> tuple[Baseline, str, str]:
    """Return the baseline, the digest that is stored and the digest that it has, as the other readers do."""
    file = _parse(format_1.File, text, folder)
    baseline = Baseline.from_parts(file.manifest.manifest(), format_1.renamed(arrays))
    return baseline, file.digest, digest_of(file.manifest.to_json(), arrays)


def _read_format_2(text: bytes, arrays: Arrays, folder: Path) -> tuple[Baseline, str, str]:
    file = _parse(format_2.File, text, folder)
    baseline = Baseline.from_parts(file.manifest.manifest(), two_groups.renamed(arrays))
    return baseline, file.digest, digest_of(file.manifest.to_json(), arrays)


def _read_format_4(text: bytes, arrays: Arrays, folder: Path) -> tuple[Baseline, str, str]:
    file = _parse(format_4.File, text, folder)
    baseline = Baseline.from_parts(file.manifest.manifest(), arrays)
    return baseline, file.digest, digest_of(file.manifest.to_json(), arrays)


def _read_format_5(text: bytes, arrays: Arrays, folder: Path) -> tuple[Baseline, str, str]:
    file = _parse(BaselineFile, text, folder)
    baseline = Baseline.from_parts(file.manifest, arrays)
    return baseline, file.digest, baseline.digest


_READERS = {
    format_1.FORMAT: _read_format_1,
    format_2.FORMAT: _read_format_2,
    format_2.FORMAT_OF_0_3: _read_format_2,
    format_4.FORMAT: _read_format_4,
    _FORMAT: _read_format_5,
}


_EARLIER: dict[int, type[format_1.File | format_2.File | format_4.File]] = {
    format_1.FORMAT: format_1.File,
    format_2.FORMAT: format_2.File,
    format_2.FORMAT_OF_0_3: format_2.File,
    format_4.FORMAT: format_4.File,
}


def load_replay(folder: Path) -> Examples | None:
    """Return the golden examples (n, ...) uint8 that are kept beside the baseline in `folder`; None if there are none.

    Raises
    ------
    BadBaseline
        If they are missing although the baseline names them, were edited, or are those of an older format, which the
        model of this version cannot be trained on.
    """
    text = _read(folder / MANIFEST_FILE)
    if (stored := _format_of(text, folder)) not in _WITH_REPLAY:
        raise BadBaseline(
            f"the golden examples of {folder} have the size of format {stored}, 160x96: no model can be trained on "
            "them; rebuild the baseline with this version"
        )
    digest = read_manifest(folder).replay
    if digest is None:
        return None
    examples = _read_arrays(folder / REPLAY_FILE).get("examples")
    if examples is None or examples.dtype != np.uint8 or _digest_of(examples) != digest:
        raise BadBaseline(
            f"{folder / REPLAY_FILE} is not what was built: it was edited or damaged; restore it, "
            "or rebuild the baseline"
        )
    return examples


def _digest_of(examples: Examples) -> str:
    digest = hashlib.blake2b(f"{examples.shape}".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(examples).data)
    return digest.hexdigest()


def read_manifest(folder: Path) -> BaselineFile:
    """Read `baseline.json` alone, which is enough to list a baseline; raise `BadBaseline` as `load_baseline` does."""
    text = _read(folder / MANIFEST_FILE)
    stored = _format_of(text, folder)
    if stored == _FORMAT:
        return _parse(BaselineFile, text, folder)
    old = _parse(_EARLIER[stored], text, folder)
    replay = None if isinstance(old, format_1.File) else old.replay
    return BaselineFile(format=old.format, digest=old.digest, manifest=old.manifest.manifest(), replay=replay)


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
        return read_npz(path)
    except (OSError, BadMessage) as error:
        raise BadBaseline(f"{path} is missing or damaged ({error}): rebuild the baseline") from error


def _format_of(text: bytes, folder: Path) -> int:
    """Return the format of a `baseline.json`; raise `BadBaseline` if this version cannot read it."""
    try:
        stored = json.loads(text).get("format")
    except (ValueError, AttributeError, RecursionError) as error:
        raise _unreadable(folder, error) from error
    if stored not in _FORMATS:
        raise BadBaseline(
            f"{folder / MANIFEST_FILE} has format {stored}, this version reads {_FORMATS[0]} to {_FORMATS[-1]}: "
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
