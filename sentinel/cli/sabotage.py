"""`sentinel sabotage`: drifted footage to try the judge on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from common.printable import encodable
from sentinel.cli.console import JsonOption, out, print_json


def sabotage(
    source: Annotated[Path | None, typer.Argument(help="An image, a folder of images, or a video.")] = None,
    out_dir: Annotated[Path | None, typer.Option("--out", help="Folder for the sabotaged copy.")] = None,
    fault: Annotated[str, typer.Option(help="Fault to add; `list` names them.")] = "list",
    severity: Annotated[int, typer.Option(min=1, max=5, help="1 mild to 5 gross.")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="Equal seeds give equal footage.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Make drifted footage: a copy of SOURCE with one fault in it."""
    from simulation.saboteur import Fault, StreamFault, copy_name, fault_of
    from simulation.saboteur import sabotage as add_fault

    faults = [known.value for known in (*Fault, *StreamFault)]
    if fault == "list":
        if as_json:
            print_json(json.dumps(faults))
        else:
            for name in faults:
                out.print(name)
        return
    if fault not in faults:
        raise typer.BadParameter(f"unknown fault {fault!r}; there are: {', '.join(faults)}")
    if source is None or out_dir is None:
        raise typer.BadParameter("name the SOURCE and the folder --out for its copy; --fault list shows the faults")
    _refuse_mixing(source, out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    target = out_dir / copy_name(source, fault_of(fault), severity)
    add_fault(source, target, fault_of(fault), severity, seed=seed)
    if as_json:
        print_json(json.dumps({"path": encodable(str(target))}))
    else:
        out.print(str(target))


def _refuse_mixing(source: Path, out_dir: Path) -> None:
    """Raise `BadParameter` for a folder in which clean and sabotaged footage would mix."""
    from common.sources.local import is_media

    if is_media(out_dir) and not out_dir.is_dir():
        raise typer.BadParameter(f"--out is the folder for the copy, and {out_dir} looks like a file: name a folder")
    if source.is_dir() and out_dir.resolve().is_relative_to(source.resolve()):
        raise typer.BadParameter(
            f"{out_dir} lies inside {source}, where clean and sabotaged would mix: name another folder"
        )
