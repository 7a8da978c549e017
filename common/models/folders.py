"""Where the files of a model's versions are kept: `<state_dir>/champions/<model>/v<version>-<milliseconds>`."""

from __future__ import annotations

import logging
import re
import shutil
import time
from pathlib import Path

from common.errors import BadModel
from common.store.models import ChampionStore

log = logging.getLogger(__name__)

_SAFE_AGE_SECONDS = 86_400.0  # far longer than any retraining
_VERSION_FOLDER = re.compile(r"v\d+-\d+")


def version_folder(state_dir: Path, model: str, version: int) -> Path:
    """Return a new folder for a version's weights; a time stamp makes it unique per attempt.

    Raises
    ------
    BadModel
        If the model's name is not the name of a folder.
    """
    if model in {"", ".", ".."} or Path(model).name != model:
        raise BadModel(f"model {model!r} cannot be kept in a folder of its name: give it another name")
    return _root(state_dir) / model / f"v{version}-{int(time.time() * 1000)}"


def discard(champions: ChampionStore, model: str, folder: Path) -> None:
    """Remove the folder of a failed attempt.

    It stays if the history names it: the promotion may have succeeded although its reply was lost.
    """
    if folder.name not in _named(champions, model):
        shutil.rmtree(folder, ignore_errors=True)


def remove_orphans(champions: ChampionStore, state_dir: Path) -> list[Path]:
    """Remove the folders that no version in the history names: their retrainings were killed.

    Not touched are folders younger than a day, models that are being retrained,
    models without history (Redis may be another one than that of the promotion),
    links, and folders whose names are not those of versions.

    Returns
    -------
    The folders that were removed.
    """
    removed: list[Path] = []
    root = _root(state_dir)
    for models_folder in sorted(root.iterdir()) if root.is_dir() else []:
        model = models_folder.name
        if not _is_folder(models_folder) or champions.is_leased(model):
            continue
        named = _named(champions, model)
        oldest_kept = time.time() - _SAFE_AGE_SECONDS
        for folder in sorted(models_folder.iterdir()) if named else []:
            orphaned = _is_folder(folder) and _VERSION_FOLDER.fullmatch(folder.name) and folder.name not in named
            if orphaned and folder.stat().st_mtime < oldest_kept:
                shutil.rmtree(folder, ignore_errors=True)
                removed.append(folder)
    for folder in removed:
        log.info("removed %s: no version in the model's history names it", folder)
    return removed


def _root(state_dir: Path) -> Path:
    return state_dir.resolve() / "champions"


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _named(champions: ChampionStore, model: str) -> set[str]:
    """Return the names of the folders that hold the weights of any version of `model`."""
    return {Path(record.model_path).parent.name for record in champions.history(model) if record.model_path}
