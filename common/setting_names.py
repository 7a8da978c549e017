"""The variables that settings are read from, and those that are none."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping

from pydantic_settings import DotEnvSettingsSource

from common.settings import Settings

_GONE = {
    "SENTINEL_STREAM_BASELINES": "SENTINEL_STREAM_BASELINES is no longer read: write "
    '`baseline = "NAME"` below [streams.STREAM] in sentinel.toml, and unset it',
}


def unknown_settings(environment: Mapping[str, str]) -> list[str]:
    """Return a message for each variable that starts with `SENTINEL_` and is no setting, with the nearest name."""
    known = {f"SENTINEL_{name.upper()}" for name in Settings.model_fields}
    found = []
    for name in sorted(set(environment) - known):
        if name in _GONE:
            found.append(_GONE[name])
        elif name.startswith("SENTINEL_"):
            close = difflib.get_close_matches(name, known, n=1)
            found.append(f"there is no setting {name}" + (f": is {close[0]} meant?" if close else ""))
    return found


def given_variables() -> dict[str, str]:
    """Return the variables that settings are read from: `.env`, overridden by the environment."""
    from_file = DotEnvSettingsSource(Settings).env_vars  # in lower case, as settings are matched
    return {**{name.upper(): value or "" for name, value in from_file.items()}, **os.environ}
