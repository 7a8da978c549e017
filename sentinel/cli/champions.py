"""`sentinel champions list | promote | rollback | release`."""

from __future__ import annotations

import json

import typer

from common.contracts.models import ChampionRecord
from common.models.registry import promote_by_hand, roll_back
from common.models.registry import release as release_model
from common.settings import get_settings
from sentinel.cli.console import JsonOption, columns, out, print_json
from sentinel.cli.streams import clock, number
from sentinel.stack.local import open_store

app = typer.Typer(help="Champions and their history.", no_args_is_help=True)


@app.command("list")
def list_(as_json: JsonOption = False) -> None:
    """List every model's champions, oldest first: the last one is champion now. Says which models are held."""
    store = open_store(get_settings())
    models = store.champions.models()
    history = [record for model in models for record in store.champions.history(model)]
    holds = {model: hold for model in models if (hold := store.champions.held(model))}
    if as_json:
        print_json(json.dumps([{**r.model_dump(mode="json"), "held": r.model in holds} for r in history], indent=1))
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
    for hold in holds.values():
        out.print(
            f"{hold.model} is held since {clock(hold.since)}: {hold.reason}. "
            f"{store.champions.waiting_count(hold.model)} FAILs wait, and none retrains it before "
            f"`sentinel champions release {hold.model}`"
        )


@app.command()
def promote(model: str, version: int, as_json: JsonOption = False) -> None:
    """Make an earlier version champion again, and hold the model there."""
    _show(promote_by_hand(open_store(get_settings()), model, version), as_json)


@app.command()
def rollback(model: str, as_json: JsonOption = False) -> None:
    """Go one version further back, model and baseline together, and hold the model there."""
    _show(roll_back(open_store(get_settings()), model), as_json)


@app.command()
def release(model: str, as_json: JsonOption = False) -> None:
    """End the hold of a rollback or a promotion by hand: FAILs may retrain the model again."""
    store = open_store(get_settings())
    release_model(store, model)
    waiting = store.champions.waiting_count(model)
    if as_json:
        print_json(json.dumps({"model": model, "held": False, "waiting_fails": waiting}))
    else:
        out.print(f"{model} is released: {waiting} FAILs wait for a retraining")


def _show(record: ChampionRecord, as_json: bool) -> None:
    if as_json:
        print_json(record.to_json())
        return
    out.print(f"{record.model} v{record.version} is champion: {record.reason}")
    out.print(f"FAILs do not retrain it before `sentinel champions release {record.model}`")
