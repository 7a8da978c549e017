"""Converted backbones on disk: made once, then shared by every process of this machine.

`<state_dir>/backbones/<key>/` holds `model.xml`, `model.bin` and `card.json`.
A folder appears whole or not at all. One process converts a model, while others
that want the same one wait for it.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import logging
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from common.backbones.backbone import BackboneCard, Precision, StoredPrecision, stored_precision
from common.backbones.convert import CARD_FILE, MODEL_FILE, REASON_FILE, model_digest
from common.backbones.models import Model, ModelKind
from common.backbones.origins import known_digest
from common.contracts.ids import content_id
from common.errors import BackboneError, BadMessage
from common.whole_files import whole_folder

log = logging.getLogger(__name__)

_FORMAT = 2  # of what the converter writes; raised when an older folder must not be used any more
_LIBRARIES = ("keras", "openvino", "tensorflow")
_KEY_DIGITS = 12
_LAST_LINES = 3  # of the converter's output, quoted when it ends without a reason
_QUANTISED_MARK = b"<nncf>"  # NNCF signs the graphs that it quantises; nothing else writes this element


@dataclass(frozen=True)
class ConvertedModel:
    """A converted backbone: its folder, and what is known of it."""

    folder: Path
    card: BackboneCard

    @property
    def model(self) -> Path:
        return self.folder / MODEL_FILE


def cache_folder(state_dir: Path) -> Path:
    """Return the folder of all converted models, which need not exist yet."""
    return state_dir.expanduser().resolve() / "backbones"


def converted_model(model: Model, precision: Precision, state_dir: Path) -> ConvertedModel:
    """Return the converted model, from the cache or converted now (ten seconds or more).

    Raises
    ------
    BackboneError
        If the model is unavailable, the conversion fails, or the cache cannot be written.
    """
    root = cache_folder(state_dir)
    folder = root / cache_key(model, precision)
    try:
        found = _read(folder) or _converted_elsewhere(root, model, precision)
        if found is not None:
            return found
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):
            # Another process may have converted it while this one waited.
            found = _read(folder)
            return found if found is not None else _convert_into(folder, model, precision)
    except OSError as error:
        raise BackboneError(
            f"the converted {model.name} cannot be kept in {root} ({error.strerror or error}): "
            "free space, or set SENTINEL_STATE_DIR to a folder that can be written"
        ) from error


def find_converted(
    root: Path, name: str, weights_digest: str, precision: Precision, origin: Model | None
) -> ConvertedModel | None:
    """Return the converted model of a backbone by its name and weights digest, None if the cache holds none.

    Several fit where library versions changed in between. The one that `converted_model` would return for `origin`
    comes first, then the newest.

    Parameters
    ----------
    root : the cache, see `cache_folder`
    origin : the model that it was converted from, where that is known

    Raises
    ------
    BackboneError
        If the cache cannot be read.
    """
    wanted = (name, weights_digest, stored_precision(precision))
    key = cache_key(origin, precision) if origin is not None else None
    try:
        cards = [path for path in root.glob(f"*/{CARD_FILE}") if not path.parent.name.startswith(".")]
        cards.sort(key=lambda path: (path.parent.name == key, _written_at(path)), reverse=True)
        for path in cards:
            if _describes(path, wanted):
                found = _read(path.parent)
                if found is not None:
                    return found
    except OSError as error:
        raise BackboneError(
            f"the converted models in {root} cannot be read ({error.strerror or error}): "
            "make them readable, or set SENTINEL_STATE_DIR to another folder"
        ) from error
    return None


def _converted_elsewhere(root: Path, model: Model, precision: Precision) -> ConvertedModel | None:
    """Return what other library versions made of this very model, where there is no TensorFlow to convert it again.

    Raises
    ------
    BackboneError
        If there is no TensorFlow and no such model.
    """
    if importlib.util.find_spec("tensorflow") is not None:
        return None
    digest = known_digest(root, model)
    found = find_converted(root, model.name, digest, precision, None) if digest is not None else None
    if found is None and model.kind in {ModelKind.KERAS, ModelKind.KERAS_FILE}:
        raise BackboneError(
            f"{model.name} with weights {model.weights or model.identity} is not in {root}, and there is no TensorFlow "
            "here to convert it: build the image with it (WEIGHTS, BACKBONE), or use one that has TensorFlow"
        )
    return found


def _written_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # another process is replacing it
        return 0.0


def _describes(path: Path, wanted: tuple[str, str, StoredPrecision]) -> bool:
    try:
        card = BackboneCard.from_json(path.read_bytes())
        return (card.name, card.weights_digest) == wanted[:2] and _precision_of(card, path.parent) == wanted[2]
    except FileNotFoundError:  # another process is replacing it
        return False
    except BadMessage as error:
        log.warning("%s is damaged, or of a later version, and is ignored: %s", path, error)
        return False


def _precision_of(card: BackboneCard, folder: Path) -> StoredPrecision:
    if card.precision is not None:
        return card.precision
    # Version 0.1 did not write it down.
    return "int8" if _QUANTISED_MARK in (folder / MODEL_FILE).read_bytes() else "f32"


def cache_key(model: Model, precision: Precision) -> str:
    """Return the folder name of a model: other weights or library versions are another model."""
    libraries = (*_LIBRARIES, "nncf") if stored_precision(precision) == "int8" else _LIBRARIES
    versions = [f"{name} {_version(name)}" for name in libraries]
    digest = content_id(_FORMAT, model.kind.value, model.identity, *versions)
    stem = "".join(character if character.isalnum() or character in "._-" else "-" for character in model.name)
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
    log.warning("the converted model in %s is damaged and is not used", folder)
    return None


def _convert_into(folder: Path, model: Model, precision: Precision) -> ConvertedModel:
    log.info("converting %s for this machine, once", model.name)
    for left_over in folder.parent.glob(f".{folder.name}.*"):
        shutil.rmtree(left_over, ignore_errors=True)  # of a process that was killed: this one holds the lock
    with whole_folder(folder) as staging:  # what is there is damaged, or it would have been used
        _run_converter(model, precision, staging)
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
