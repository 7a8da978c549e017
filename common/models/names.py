"""Names of models: the entry points of the group `sentinel.models`, and the one that ships."""

from __future__ import annotations

import difflib
from functools import cache
from importlib.metadata import entry_points

DEFAULT_MODEL = "vfi"
"""Serves every stream that names no other; it is part of Sentinel."""

_GROUP = "sentinel.models"


@cache
def offered_models() -> tuple[str, ...]:
    """Return the names of the models that are installed, in order. A model installed later is seen by a new process."""
    return tuple(sorted({DEFAULT_MODEL, *(entry.name for entry in entry_points(group=_GROUP))}))


def check_model(name: str) -> str:
    """Return `name`; raise `ValueError`, which names the nearest, if no installed package offers such a model."""
    offered = offered_models()
    if name in offered:
        return name
    close = difflib.get_close_matches(name, offered, n=1)
    hint = f"is {close[0]!r} meant?" if close else "there are: " + ", ".join(offered)
    raise ValueError(f"no installed package offers a model {name!r}: {hint}")
