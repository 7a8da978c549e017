"""Footage that a command names: a path of this machine, or an object of object storage.

Whoever types a command reads what they may read, so there is no list of allowed prefixes here, as there is none of
folders.
"""

from __future__ import annotations

from pathlib import Path

import typer

from common.object_root import is_object_uri
from common.settings import get_settings


def footage_path(text: str) -> Path:
    """Return the path that `text` names, which may be that of an object, such as s3://bucket/key."""
    if not is_object_uri(text):
        return Path(text)
    from common.sources.local import without_credentials
    from common.sources.objects.path import ObjectPath

    try:
        return ObjectPath.of(text, get_settings().object_storage)
    except ValueError as error:
        raise typer.BadParameter(f"{without_credentials(text)!r:.500} names no object: {error}") from error
