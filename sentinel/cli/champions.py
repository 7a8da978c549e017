"""`sentinel champions list | promote | rollback`."""

from __future__ import annotations

import typer

from common.contracts.models import ChampionRecord
from common.errors import NotPromoted
from common.models.registry import roll_back
from common.settings import get_settings
from sentinel.cli.console import JsonOption, columns, out, print_json, print_messages
from sentinel.cli.streams import clock, number
from sentinel.stack.local import open_store

app = typer.Typer(help="Champions and their history.", no_args_is_help=True)


@app.command("list")
def list_(as_json: JsonOption = False) -> None:
    """List every model's champions, oldest first; the last one serves."""
    store = open_store(get_settings())
    history = [record for model in store.champions.models() for record in store.champions.history(model)]
    if as_json:
        print_messages(history)
        return
    if not history:
        out.print("no champions yet: the first footage of a stream registers its baseline's model")
        return
    rows = [
        [r.model, f"v{r.version}", clock(r.created_at), number(r.gain_db), number(r.loss_db), r.baseline_id[:12],
         r.reason]
        for r in history
    ]  # fmt: skip
    columns(["model", "version", "since", "gain, dB", "loss, dB", "baseline", "why"], rows, cut=(0, 6))


@app.command()
def promote(model: str, version: int, as_json: JsonOption = False) -> None:
    """Make an earlier version champion again, as a new entry in the history."""
    record = roll_back(open_store(get_settings()), model, version, f"version {version} promoted by hand")
    _show(record, as_json)


@app.command()
def rollback(model: str, as_json: JsonOption = False) -> None:
    """Go back to the version that the champion replaced, model and baseline together."""
    store = open_store(get_settings())
    champion = store.champions.champion(model)
    if champion is None or champion.parent is None:
        raise NotPromoted(f"model {model!r} has no earlier version to go back to: see `sentinel champions list`")
    record = roll_back(store, model, champion.parent, f"rolled back from version {champion.version}")
    _show(record, as_json)


def _show(record: ChampionRecord, as_json: bool) -> None:
    if as_json:
        print_json(record.to_json())
    else:
        out.print(f"{record.model} v{record.version} is champion: {record.reason}")
