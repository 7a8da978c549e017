"""Prints the README's table of settings from the settings class: `make settings-table`."""

from __future__ import annotations

import sys
from pathlib import Path

from common.settings import Settings


def rows() -> list[str]:
    """Return the table as lines of Markdown."""
    lines = ["| setting | default | what it does |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = field.get_default(call_default_factory=True)
        shown = f"`{default}`" if isinstance(default, str | Path | int | float) and str(default) else "unset"
        lines.append(f"| `SENTINEL_{name.upper()}` | {shown} | {field.description} |")
    return lines


if __name__ == "__main__":
    sys.stdout.write("\n".join(rows()) + "\n")
