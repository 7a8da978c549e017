"""Keeps the table of settings in the docs as the settings class has it: `make settings-table`."""

from __future__ import annotations

import sys
from pathlib import Path

from common.settings import Settings

_BEGIN, _END = "<!-- settings: made by `make settings-table` -->\n", "<!-- end of settings -->"


def rows() -> list[str]:
    """Return the table as lines of Markdown."""
    lines = ["| setting | default | what it does |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = field.get_default(call_default_factory=True)
        shown = f"`{default}`" if isinstance(default, str | Path | int | float) and str(default) else "unset"
        lines.append(f"| `SENTINEL_{name.upper()}` | {shown} | {field.description} |")
    return lines


def replace_table(page: str) -> str:
    """Return a page of the docs with its table, which stands between two comments, brought up to date."""
    before, begin, rest = page.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"the page has no table of settings between {_BEGIN.strip()} and {_END}")
    table = "\n".join(rows())
    return f"{before}{begin}{table}\n{end}{after}"


if __name__ == "__main__":
    docs = Path(sys.argv[1])
    docs.write_text(replace_table(docs.read_text(encoding="utf-8")), encoding="utf-8")
