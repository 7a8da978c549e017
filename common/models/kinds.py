"""Finding a kind of model by its name: kinds are entry points of group `sentinel.models`."""

from __future__ import annotations

import difflib
from importlib.metadata import entry_points
from pathlib import Path
from typing import cast

from common.errors import BadModel
from common.models.names import DEFAULT_MODEL
from common.models.protocols import Fetched, Model, ModelKind

GROUP = "sentinel.models"


def kind_names() -> list[str]:
    """Return the names of the kinds of model that installed packages offer."""
    return sorted({entry.name for entry in entry_points(group=GROUP)})


def check_kind_name(name: str) -> str:
    """Return `name`; raise `ValueError`, which says what there is, if no installed package offers such a model."""
    if name in {DEFAULT_MODEL, *kind_names()}:
        return name
    raise ValueError(_unknown(name))


def load_kind(name: str) -> ModelKind[Model]:
    """Return the kind of model that an entry point offers as `name`.

    The models that a kind is given must be its own: those that it made, loaded or trained.

    Raises
    ------
    BadModel
        If no entry point offers it, or what is offered cannot be imported or is no kind of model.
    """
    found = [entry for entry in entry_points(group=GROUP) if entry.name == name]
    if not found:
        raise BadModel(_unknown(name))
    where = f"model {name!r} is offered as {found[0].value!r}, which"
    try:
        kind = found[0].load()
    except Exception as error:  # whatever a foreign package raises when it is imported
        raise BadModel(f"{where} cannot be imported ({error}): repair or reinstall its package") from error
    if not isinstance(kind, ModelKind):
        raise BadModel(f"{where} is no kind of model: see `ModelKind` in common/models/protocols.py")
    return cast(ModelKind[Model], kind)


def why_not_ready(name: str, state_dir: Path) -> str | None:
    """Return why the model that an entry point offers as `name` cannot be used as it is; None if it can."""
    try:
        kind = load_kind(name)
    except BadModel as error:
        return str(error)
    return kind.why_not_ready(state_dir) if isinstance(kind, Fetched) else None


def _unknown(name: str) -> str:
    names = kind_names()
    if not names:
        return f"no entry point offers model {name!r}, nor any other: install Sentinel again with `pip install -e .`"
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.0)
    offered = ", ".join(names)
    nearest = f"did you mean {near[0]!r}? " if near else ""
    return f"no entry point offers model {name!r} (there are: {offered}): {nearest}see [models] in sentinel.toml"
