"""Converted backbones on disk: made once, then shared by every process of this machine.

`<state_dir>/backbones/<key>/` holds `model.xml`, `model.bin` and `card.json`.
A folder appears whole or not at all, and one process converts while others that want
the same model wait for it.
"""

from __future__ import annotations

import fcntl
import importlib.metadata
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from common.backbones.backbone import BackboneCard, Precision
from common.backbones.convert import CARD_FILE, MODEL_FILE, REASON_FILE, model_digest
from common.backbones.models import Model
from common.contracts.ids import content_id
from common.errors import BackboneError, BadMessage

log = logging.getLogger(__name__)

_FORMAT = 2  # of what the converter writes; raised when an older folder must not be used any more
_LIBRARIES = ("keras", "openvino", "tensorflow")
_KEY_DIGITS = 12
_LAST_LINES = 3  # of the converter's output, told when it ends without a reason


@dataclass(frozen=True)
class ConvertedModel:
    """A converted backbone: its folder, and what is known of it."""

    folder: Path
    card: BackboneCard

    @property
    def model(self) -> Path:
        return self.folder / MODEL_FILE


def converted_model(model: Model, precision: Precision, state_dir: Path) -> ConvertedModel:
    """Return the converted model, from the cache or converted now (ten seconds or more).

    Raises
    ------
    BackboneError
        If the model cannot be had, the conversion fails, or the cache cannot be written.
    """
    root = state_dir.expanduser().resolve() / "backbones"
    folder = root / cache_key(model, precision)
    try:
        found = _read(folder)
        if found is not None:
            return found
        root.mkdir(parents=True, exist_ok=True)
        with _locked(folder.with_suffix(".lock")):
            # Another process may have converted it while this one waited.
            found = _read(folder)
            return found if found is not None else _convert_into(folder, model, precision)
    except OSError as error:
        raise BackboneError(
            f"the converted {model.name} cannot be kept in {root} ({error.strerror or error}): "
            "free space, or set SENTINEL_STATE_DIR to a folder that can be written"
        ) from error


def cache_key(model: Model, precision: Precision) -> str:
    """Return the folder name of a model: other weights or library versions are another model."""
    # One model serves f32 and bf16: the engine rounds as it computes.
    libraries = (*_LIBRARIES, "nncf") if precision == "int8" else _LIBRARIES
    versions = [f"{name} {_version(name)}" for name in libraries]
    digest = content_id(_FORMAT, model.kind.value, model.identity, *versions)
    stem = "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in model.name)
    return f"{stem}-{digest[:_KEY_DIGITS]}"


def _version(library: str) -> str:
    """A worker that only runs converted models may do without Keras and TensorFlow."""
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return "none"


def _read(folder: Path) -> ConvertedModel | None:
    try:
        card = BackboneCard.from_json((folder / CARD_FILE).read_bytes())
        if model_digest(folder) == card.model_digest:
            return ConvertedModel(folder, card)
    except FileNotFoundError:
        return None
    except BadMessage:
        pass
    log.warning("the converted model in %s is damaged and is made again", folder)
    return None


def _convert_into(folder: Path, model: Model, precision: Precision) -> ConvertedModel:
    log.info("%s is converted for this machine, once", model.name)
    for left_over in folder.parent.glob(f".{folder.name}.*"):
        shutil.rmtree(left_over, ignore_errors=True)  # of a process that was killed: this one holds the lock
    staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        _run_converter(model, precision, staging)
        staging.chmod(0o755)  # other users' processes may read it; mkdtemp keeps it to ours
        shutil.rmtree(folder, ignore_errors=True)  # damaged, or it would have been used
        staging.rename(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    found = _read(folder)
    if found is None:
        raise BackboneError(f"the converted model in {folder} does not read back: check the disk, then try again")
    return found


def _run_converter(model: Model, precision: Precision, staging: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    path = os.pathsep.join(part for part in (str(root), os.environ.get("PYTHONPATH", "")) if part)
    done = subprocess.run(
        [sys.executable, "-m", "common.backbones.convert", model.to_json(), precision, str(staging)],
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    reason = staging / REASON_FILE
    if reason.is_file():
        raise BackboneError(reason.read_text(encoding="utf-8"))
    if done.returncode != 0:
        said = " / ".join(done.stderr.strip().splitlines()[-_LAST_LINES:]) or "nothing"
        raise BackboneError(
            f"the conversion of {model.name} to OpenVINO ended with code {done.returncode} and said: {said}; "
            "it needs about 1.5 GB of memory and TensorFlow installed"
        )


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold `path` against other processes; the lock ends with its holder, however that ends."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
