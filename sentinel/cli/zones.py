"""The option `--ignore`: zones of the picture that are left out."""

from __future__ import annotations

from typing import Annotated

import typer

from common.contracts.zones import Zone, parse_zones

IgnoreOption = Annotated[
    list[str] | None,
    typer.Option(
        "--ignore",
        help="A zone of the picture to leave out, such as a clock: x,y,width,height in its shares, e.g. 0,0,0.3,0.08. "
        "May be given several times [SENTINEL_IGNORE].",
    ),
]


def ignored(options: list[str] | None) -> dict[str, tuple[Zone, ...]]:
    """Return what the options change in the settings; nothing, where there is none."""
    if not options:
        return {}
    try:
        return {"ignore": parse_zones(" ".join(options))}
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--ignore") from error
