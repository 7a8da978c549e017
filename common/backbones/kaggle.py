"""Models of Kaggle: what their names mean, where they are kept, and which of their files is the backbone.

`<state_dir>/kaggle/OWNER/MODEL/FRAMEWORK/VARIATION/VERSION/model/` holds the files that make up the backbone and
nothing else of the model. The folder of a version appears whole or not at all, and is not requested again.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from filelock import FileLock

from common.errors import BackboneError

MODEL_FOLDER = "model"
REASON_FILE = "reason.txt"

_PREFIX = "kaggle:"
_FORM = "kaggle:owner/model/framework/variation, or kaggle:owner/model/framework/variation/version"
_SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_VERSION = re.compile(r"[1-9][0-9]{0,8}")
_SAVED_MODEL = "saved_model.pb"
_SAVED_MODEL_FILES = {_SAVED_MODEL, "fingerprint.pb", "keras_metadata.pb"}
_SAVED_MODEL_FOLDERS = {"variables", "assets", "assets.extra"}
_STAGING = ".download-"
_SHOWN_FILES = 5  # in an error
_SILENT_SECONDS = 60.0  # a download that gives no byte for this long has failed; kagglesdk itself would wait forever
_POLL_SECONDS = 0.2
_LAST_LINES = 3  # of what the download printed, quoted when it ends without a reason


@dataclass(frozen=True)
class KaggleName:
    """A variation of a model of Kaggle; `version` None: its newest one when it is downloaded."""

    owner: str
    model: str
    framework: str
    variation: str
    version: int | None = None

    def __str__(self) -> str:
        """Return it as `kagglehub` takes it."""
        version = () if self.version is None else (str(self.version),)
        return "/".join((self.owner, self.model, self.framework, self.variation, *version))


@dataclass(frozen=True)
class KaggleModel:
    """A downloaded model: its name with the version that it has, and its `.onnx` or `.keras` file or SavedModel."""

    name: KaggleName
    path: Path


def parse_kaggle_name(name: str) -> KaggleName:
    """Return what `kaggle:owner/model/framework/variation[/version]` names.

    Raises
    ------
    BackboneError
        If it is not of that form.

    Examples
    --------
    >>> str(parse_kaggle_name("kaggle:google/mobilenet-v2/tensorFlow2/100-224-feature-vector/2"))
    'google/mobilenet-v2/tensorFlow2/100-224-feature-vector/2'
    """
    *slugs, last = name.removeprefix(_PREFIX).split("/")
    versioned = len(slugs) == 4
    parts = slugs if versioned else [*slugs, last]
    if len(parts) != 4 or not all(map(_SLUG.fullmatch, parts)) or (versioned and not _VERSION.fullmatch(last)):
        raise BackboneError(f"{name!r} names no model of Kaggle: write {_FORM} (a number)")
    owner, model, framework, variation = parts
    return KaggleName(owner, model, framework, variation, int(last) if versioned else None)


def kaggle_model(name: KaggleName, state_dir: Path, *, silent_seconds: float = _SILENT_SECONDS) -> KaggleModel:
    """Return a model of Kaggle, downloaded unless it is kept here.

    Without a version the newest that is kept here counts, or else the newest on Kaggle.

    Parameters
    ----------
    silent_seconds : the download is given up when it has not written a byte for this long

    Raises
    ------
    BackboneError
        If Kaggle does not answer or refuses, there is no such model, or none of its files can be a backbone.
    """
    root = state_dir.expanduser().resolve() / "kaggle"
    versions = root / name.owner / name.model / name.framework / name.variation
    try:
        kept = _kept_version(versions, name)
        if kept is None:
            versions.mkdir(parents=True, exist_ok=True)
            with FileLock(versions / ".lock"):
                # Another process may have downloaded it while this one waited.
                kept = _kept_version(versions, name) or _download(name, versions, silent_seconds)
        folder = versions / str(kept) / MODEL_FOLDER
        files = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    except OSError as error:
        raise BackboneError(
            f"{_PREFIX}{name} cannot be kept in {root} ({error.strerror or error}): "
            "free space, or set SENTINEL_STATE_DIR to a folder that can be written"
        ) from error
    return KaggleModel(replace(name, version=kept), folder / choose_files(files, str(name)).path)


def _kept_version(versions: Path, name: KaggleName) -> int | None:
    kept = [int(path.name) for path in versions.glob("*") if _VERSION.fullmatch(path.name)]
    if name.version is not None:
        return name.version if name.version in kept else None
    return max(kept, default=None)


def _download(name: KaggleName, versions: Path, silent_seconds: float) -> int:
    """Download into `versions` in a process of its own; return the version that came."""
    for left_over in versions.glob(f"{_STAGING}*"):
        shutil.rmtree(left_over, ignore_errors=True)  # of a process that was killed: this one holds the lock
    with tempfile.TemporaryDirectory(prefix=_STAGING, dir=versions) as made:
        staging = Path(made)
        _run_download(name, staging, silent_seconds)
        (came,) = (path for path in staging.iterdir() if path.is_dir())
        came.rename(versions / came.name)
    return int(came.name)


def _run_download(name: KaggleName, staging: Path, silent_seconds: float) -> None:
    """Run the download; kagglehub prints to standard output, and has no time limit, so it is a process apart."""
    root = Path(__file__).resolve().parents[2]
    path = os.pathsep.join(part for part in (str(root), os.environ.get("PYTHONPATH", "")) if part)
    said = staging / "said.txt"
    with said.open("wb") as printed:
        child = subprocess.Popen(
            [sys.executable, "-m", "common.backbones.kaggle_download", str(name), str(staging)],
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=printed,
        )
        try:
            _wait_while_growing(child, staging, silent_seconds, name)
        finally:
            child.kill()
            child.wait()
    reason = staging / REASON_FILE
    if reason.is_file():
        raise BackboneError(reason.read_text(encoding="utf-8"))
    if child.returncode != 0:
        last = " / ".join(said.read_text("utf-8", "replace").strip().splitlines()[-_LAST_LINES:]) or "nothing"
        raise BackboneError(
            f"the download of {_PREFIX}{name} ended with code {child.returncode} and said: {last}; try again, "
            "or download the model and set SENTINEL_BACKBONE to its file"
        )


def _wait_while_growing(child: subprocess.Popen[bytes], staging: Path, silent_seconds: float, name: KaggleName) -> None:
    size, grown_at = -1, time.monotonic()
    while child.poll() is None:
        now = _bytes_below(staging)
        if now != size:
            size, grown_at = now, time.monotonic()
        elif time.monotonic() - grown_at > silent_seconds:
            raise BackboneError(
                f"Kaggle has not answered for {silent_seconds:g} s while {_PREFIX}{name} was downloaded: check the "
                "network and its proxy, or download the model and set SENTINEL_BACKBONE to its file"
            )
        time.sleep(_POLL_SECONDS)


def _bytes_below(folder: Path) -> int:
    total = 0
    for inside, _, files in os.walk(folder):  # passes over folders that disappear meanwhile
        for file in files:
            with contextlib.suppress(FileNotFoundError):
                total += Path(inside, file).stat().st_size
    return total


@dataclass(frozen=True)
class ChosenFiles:
    """The backbone among a model's files: where it is, and all files that it consists of, as relative paths."""

    path: str
    files: tuple[str, ...]


def choose_files(files: Iterable[str], model: str) -> ChosenFiles:
    """Return which of a model's files are the backbone: an ONNX model, else a Keras file, else a SavedModel.

    ONNX and Keras files hold no code, so they come first. Names that would leave the model's folder are passed over.

    Raises
    ------
    BackboneError
        If there is none, or several of one format.

    Examples
    --------
    >>> choose_files(["README.md", "saved_model.pb", "variables/variables.index"], "lab/tiny/tensorFlow2/small/1")
    ChosenFiles(path='.', files=('saved_model.pb', 'variables/variables.index'))
    """
    names = sorted(file for file in files if _stays_below(file))
    for suffix in (".onnx", ".keras"):
        fitting = [name for name in names if name.lower().endswith(suffix)]
        if fitting:
            path = _only(fitting, model)
            return ChosenFiles(path, tuple(name for name in (path, f"{path}_data") if name in names))
    found = [name for name in names if PurePosixPath(name).name == _SAVED_MODEL]
    if not found:
        raise BackboneError(
            f"{_PREFIX}{model} holds no .onnx file, .keras file or SavedModel ({_list(names)}): "
            "choose another framework or variation of it, or export it and set SENTINEL_BACKBONE to the file"
        )
    folder = PurePosixPath(_only(found, model)).parent
    return ChosenFiles(str(folder), tuple(name for name in names if _is_part(name, folder)))


def _stays_below(name: str) -> bool:
    """Return whether a file name from outside is a plain relative path."""
    parts = name.split("/")
    return not any(part in {"", ".", ".."} or part.startswith(".") or "\\" in part or "\0" in part for part in parts)


def _is_part(name: str, folder: PurePosixPath) -> bool:
    path = PurePosixPath(name)
    if not path.is_relative_to(folder):
        return False
    first, *deeper = path.relative_to(folder).parts
    return first in (_SAVED_MODEL_FOLDERS if deeper else _SAVED_MODEL_FILES)


def _only(fitting: list[str], model: str) -> str:
    if len(fitting) > 1:
        raise BackboneError(
            f"{_PREFIX}{model} holds several models ({_list(fitting)}): "
            "download it and set SENTINEL_BACKBONE to the one that you want"
        )
    return fitting[0]


def _list(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:_SHOWN_FILES]) or "no files"
    return shown + (f" and {len(names) - _SHOWN_FILES} more" if len(names) > _SHOWN_FILES else "")
