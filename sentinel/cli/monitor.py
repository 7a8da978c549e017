"""`sentinel monitor`: what the one-shot container runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def monitor(
    footage: Annotated[Path, typer.Option(help="What is judged.")] = Path("/app/incoming_data"),
    status: Annotated[Path, typer.Option(help="Folder for status.json.")] = Path("/app/status_output"),
    baseline: Annotated[Path, typer.Option(help="A baseline may lie here.")] = Path("/app/baseline"),
    golden: Annotated[Path, typer.Option(help="Golden footage may lie here.")] = Path("/app/golden"),
    baked: Annotated[Path, typer.Option(help="Baselines that were built in.")] = Path("/app/baked"),
) -> None:
    """The one-shot as its container runs it: mounted footage in, status.json out. Exit codes as those of check."""
    from sentinel.monitor import Places
    from sentinel.monitor import monitor as judge

    raise typer.Exit(judge(Places(footage, status, baseline, golden, baked)))
