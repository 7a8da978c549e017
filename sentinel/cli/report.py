"""`sentinel report STREAM`: what a stream went through, as a page."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from common.settings import get_settings
from sentinel.cli.console import out
from sentinel.cli.stream_names import StreamArgument, seconds_of, stream_name
from sentinel.stack.local import open_store, settings_of_stack


def report(
    stream: StreamArgument,
    since: Annotated[str, typer.Option(help="How far it goes back, such as 90m, 24h or 7d.")] = "24h",
    file: Annotated[Path, typer.Option("--out", help="File that it is written to.")] = Path("report.html"),
) -> None:
    """Write what a stream went through to a page that opens offline: scores, incidents, pictures, what was done."""
    from sentinel.stream_report import write_stream_report

    settings = settings_of_stack(get_settings())
    seconds = seconds_of(since)
    windows = write_stream_report(
        open_store(settings), settings, stream_name(stream), file, since=time.time() - seconds
    )
    out.print(f"{windows} windows of {stream} since {since}: {file}")
