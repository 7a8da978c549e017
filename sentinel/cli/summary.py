"""`sentinel summary`: a check's status.json as Markdown."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sentinel.cli.console import print_text


def summary(
    status: Annotated[Path, typer.Argument(metavar="STATUS", help="The status.json that `sentinel check` wrote.")],
) -> None:
    """Print what a check found as Markdown, such as for the summary of a job on GitHub."""
    from sentinel.summary import read_status
    from sentinel.summary import summary as as_markdown

    print_text(as_markdown(read_status(status)))
