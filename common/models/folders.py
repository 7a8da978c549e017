"""Where the files of a model are kept.

Its versions are in `<state_dir>/champions/<model>/v<version>-<milliseconds>`, and beside them the gate's decisions in
`d<number>-<milliseconds>`; the conditions that its champion is proved on are in `<state_dir>/conditions/<model>/<id>`.
"""

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
_MOST_DECISIONS = 50  # the latest ones, of each model, beside those that its history names; each takes about 1 MB
_VERSION_FOLDER = re.compile(r"v\d+-\d+")
_DECISION_FOLDER = re.compile(r"d\d+-\d+")
_UNFINISHED_DECISION = re.compile(r"\.d\d+-\d+\..+")
_CONDITION_FOLDER = re.compile(r"[0-9a-f]{32}")
_UNFINISHED_CONDITION = re.compile(r"\.[0-9a-f]{32}\..+")


def version_folder(state_dir: Path, model: str, version: int) -> Path:
    """Return a new folder for a version's weights; a time stamp makes it unique per attempt.

    Raises
    ------
    BadModel
        If the model's name is not the name of a folder.
    """
    return _folder_of(state_dir, model) / f"v{version}-{int(time.time() * 1000)}"


def decision_folder(state_dir: Path, model: str, number: int) -> Path:
    """Return a new folder for the evidence of the `number`-th decision about a model; raises as `version_folder`."""
    return _folder_of(state_dir, model) / f"d{number}-{int(time.time() * 1000)}"


def decision_folders(state_dir: Path, model: str) -> list[Path]:
    """Return the folders of the decisions that are kept about a model, oldest first.

    There are none of a model whose name no folder can have.
    """
    if not _names_a_folder(model):
        return []
    folder = _folder_of(state_dir, model)
    found = [path for path in (folder.iterdir() if folder.is_dir() else []) if _DECISION_FOLDER.fullmatch(path.name)]
    return sorted((path for path in found if _is_folder(path)), key=lambda path: int(path.name.partition("-")[2]))


def discard(champions: ChampionStore, model: str, folder: Path) -> None:
    """Remove the folder of a failed attempt.

    It stays if the history names it: the promotion may have succeeded although its reply was lost.
    """
    if folder.name not in _named(champions, model):
        shutil.rmtree(folder, ignore_errors=True)


def remove_old_decisions(champions: ChampionStore, state_dir: Path, model: str) -> None:
    """Remove the decisions about a model that are not among the latest 50, but for those that its history names.

    Call it while holding the model's lease.
    """
    named = _named(champions, model)
    for folder in decision_folders(state_dir, model)[:-_MOST_DECISIONS]:
        if folder.name not in named:
            shutil.rmtree(folder, ignore_errors=True)


def remove_orphans(champions: ChampionStore, state_dir: Path) -> list[Path]:
    """Remove the folders of versions that no history names, and of conditions that no champion names.

    The conditions were let go, or a Redis that knew of their making is gone; else `remove_unfinished` is quicker. Not
    touched are folders younger than a day, models that are being retrained, models without history (Redis may be
    another one than that of the promotion), links, and folders whose names are neither those of versions nor of
    conditions.

    Returns
    -------
    The folders that were removed.
    """
    removed: list[Path] = []
    patterns = (
        (_root(state_dir), _VERSION_FOLDER),
        (_root(state_dir), _UNFINISHED_DECISION),
        (conditions_root(state_dir), _CONDITION_FOLDER),
        (conditions_root(state_dir), _UNFINISHED_CONDITION),
    )
    for root, pattern in patterns:
        for models_folder in sorted(root.iterdir()) if root.is_dir() else []:
            model = models_folder.name
            if _is_folder(models_folder) and not champions.is_leased(model):
                removed += _orphans(models_folder, pattern, _named(champions, model))
    for folder in removed:
        shutil.rmtree(folder, ignore_errors=True)
        log.info("removed %s: no champion names it", folder)
    return removed


def remove_unfinished(champions: ChampionStore, state_dir: Path, model: str) -> list[Path]:
    """Remove what a retraining of `model` has begun and what nothing names: it was killed, or came too late.

    Call it while holding the model's lease. Only folders are removed whose making this Redis knows of.

    Returns
    -------
    The folders that were removed.
    """
    begun = champions.folders_begun(model)
    wanted = _named(champions, model) if begun else set()
    removed: list[Path] = []
    for root in (_root(state_dir), conditions_root(state_dir)) if begun else ():
        folder = root / model
        for path in sorted(folder.iterdir()) if folder.is_dir() else []:
            staged = path.name[1:].rpartition(".")[0] if path.name.startswith(".") else ""
            if _is_folder(path) and (staged in begun or path.name in begun - wanted):
                shutil.rmtree(path, ignore_errors=True)
                log.info("removed %s: its retraining did not come to an end", path)
                removed.append(path)
    champions.settle_folders(model, begun)
    return removed


def _orphans(models_folder: Path, pattern: re.Pattern[str], named: set[str]) -> list[Path]:
    oldest_kept = time.time() - _SAFE_AGE_SECONDS
    return [
        folder
        for folder in (sorted(models_folder.iterdir()) if named else [])
        if _is_folder(folder)
        and pattern.fullmatch(folder.name)
        and folder.name not in named
        and folder.stat().st_mtime < oldest_kept
    ]


def condition_folder(state_dir: Path, model: str, condition: str) -> Path:
    """Return the folder of a condition, by its id."""
    return conditions_root(state_dir) / model / condition


def conditions_root(state_dir: Path) -> Path:
    return state_dir.resolve() / "conditions"


def _root(state_dir: Path) -> Path:
    return state_dir.resolve() / "champions"


def _folder_of(state_dir: Path, model: str) -> Path:
    if not _names_a_folder(model):
        raise BadModel(f"model {model!r} cannot be kept in a folder of its name: give it another name")
    return _root(state_dir) / model


def _names_a_folder(model: str) -> bool:
    return model not in {"", ".", ".."} and Path(model).name == model


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _named(champions: ChampionStore, model: str) -> set[str]:
    """Return the names of the folders of any version of `model`, its decisions, and the champion's conditions."""
    history = champions.history(model)
    versions = {Path(record.model_path).parent.name for record in history if record.model_path}
    decisions = {Path(record.decision).name for record in history if record.decision}
    proved = [row for record in history[-1:] for row in (*record.conditions, *record.ended)]
    return versions | decisions | {Path(row.path).name for row in proved}
