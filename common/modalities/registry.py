"""Finding modalities: they are entry points of group `sentinel.modalities`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points
from pathlib import PurePath
from typing import Any

from common.contracts.batches import SourceKind
from common.errors import BadModality
from common.modalities.modality import Modality

log = logging.getLogger(__name__)

GROUP = "sentinel.modalities"


@cache
def modality_names() -> tuple[str, ...]:
    """Return the names of the modalities that installed packages offer."""
    return tuple(sorted({entry.name for entry in entry_points(group=GROUP)}))


@cache
def load_modality(name: str) -> Modality[Any]:
    """Return the modality that an entry point offers as `name`; it is imported once per process.

    Raises
    ------
    BadModality
        If no entry point offers it, or what is offered cannot be imported or is no modality.
    """
    found = [entry for entry in entry_points(group=GROUP) if entry.name == name]
    if not found:
        offered = ", ".join(modality_names()) or "none: install Sentinel again with `pip install -e .`"
        raise BadModality(f"no entry point offers modality {name!r} (there are: {offered}): install its package")
    where = f"modality {name!r} is offered as {found[0].value!r}, which"
    try:
        modality = found[0].load()
    except Exception as error:  # whatever a foreign package raises when it is imported
        raise BadModality(f"{where} cannot be imported ({error}): repair or reinstall its package") from error
    if not isinstance(modality, Modality) or modality.name != name:
        raise BadModality(f"{where} is no modality of this name: see `Modality` in common/modalities/modality.py")
    return modality


@cache
def suffixes() -> Mapping[str, tuple[str, SourceKind]]:
    """Return suffix -> name of the modality whose files have it, and what such a file is.

    A modality that cannot be loaded is logged and left out, so that the others go on. Of two that claim a suffix, the
    first by name has it.
    """
    found: dict[str, tuple[str, SourceKind]] = {}
    for name in modality_names():
        try:
            own = load_modality(name).suffixes
        except BadModality as error:
            log.error("its files are ignored: %s", error)
            continue
        for suffix, kind in own.items():
            if found.setdefault(suffix, (name, kind))[0] != name:
                log.error(
                    "modalities %s and %s both claim %s files: the former has them", found[suffix][0], name, suffix
                )
    return found


def modality_name_of(name: str) -> str | None:
    """Return the name of the modality whose files have the suffix of `name`; None if there is none."""
    known = suffixes().get(PurePath(name).suffix.lower())
    return None if known is None else known[0]
