"""Whether `sentinel.toml` names a live camera at all, so that a machine without one starts no process for them.

The list of processes asks, and what shows it (the store, the queries) knows no room that checks the file whole
(`common.stream_config`). So only this one key is looked for, and a file that is no TOML names no camera: whoever reads
it whole says what is wrong.
"""

from __future__ import annotations

import tomllib
from functools import lru_cache
from pathlib import Path

from common.file_signature import Signature, signature_of
from common.settings import Settings


def names_a_camera(settings: Settings) -> bool:
    """Return whether a stream has a `url` now. Costs one `stat` while the file is unchanged."""
    path = settings.config_file
    try:
        signature = signature_of(path.stat())
    except OSError:
        return False
    return _has_url(path, signature)


@lru_cache(maxsize=4)
def _has_url(path: Path, signature: Signature) -> bool:
    try:
        streams = tomllib.loads(path.read_bytes().decode("utf-8-sig")).get("streams")
    except (OSError, ValueError, RecursionError):
        return False
    rows = streams.values() if isinstance(streams, dict) else ()
    return any(isinstance(row, dict) and "url" in row for row in rows)
