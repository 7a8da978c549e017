"""`sentinel champions list | show | promote | rollback | release`; `at` and `diff` are in `lineage`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import typer

from common.contracts.lineage import Roles
from common.contracts.models import ChampionRecord
from common.models.registry import history_of, version_before
from common.models.registry import release as release_model
from common.moments import clock
from common.queries import model_status
from common.settings import get_settings
from common.store import Store
from sentinel.cli.console import JsonOption, columns, err, out, print_json
from sentinel.cli.stream_names import ByOption, person
from sentinel.cli.streams import number, report_text
from sentinel.stack.local import open_store, redis_url

if TYPE_CHECKING:
    from common.actions.champions import Chosen

app = typer.Typer(help="Champions, the conditions that they are proved on, and their history.", no_args_is_help=True)


@app.command("list")
def list_(as_json: JsonOption = False) -> None:
    """List every model's champions, oldest first: the last one is champion now. Says which models are held."""
    store = open_store(get_settings())
    models = store.champions.models()
    lines = [store.champions.history(model) for model in models]
    history = [record for line in lines for record in line]
    parts = {(line[-1].model, number): part for line in lines for number, part in _parts(line).items()}
    holds = {model: hold for model in models if (hold := store.champions.held(model))}
    if as_json:
        rows = [
            {**r.model_dump(mode="json"), "role": parts.get((r.model, r.version)), "held": r.model in holds}
            for r in history
        ]
        print_json(json.dumps(rows, indent=1))
        return
    if not history:
        out.print("no champions yet: a model gets its first one when an incident calls for it")
        return
    cells = [
        [r.model, f"v{r.version}", parts.get((r.model, r.version), ""), clock(r.created_at), number(r.gain_db),
         number(r.loss_db), str(len(r.conditions)), r.reason]
        for r in history
    ]  # fmt: skip
    columns(["model", "version", "role", "since", "gain, dB", "loss, dB", "conditions", "why"], cells, cut=(0, 7))
    for hold in holds.values():
        out.print(
            f"{hold.model} is held since {clock(hold.since)}: {hold.reason}. "
            f"{store.champions.waiting_count(hold.model)} streams wait, and none retrains it before "
            f"`sentinel champions release {hold.model}`"
        )


def _parts(history: Sequence[ChampionRecord]) -> dict[int, str]:
    """Return which versions of a model are champion and previous."""
    before = version_before(history)
    return {**({} if before is None else {before: "previous"}), history[-1].version: "champion"}


@app.command()
def show(model: str, as_json: JsonOption = False) -> None:
    """Show a model's champion, previous version and latest challenger, and the conditions that it is proved on."""
    from common.models.lineage import roles

    settings = get_settings()
    store = open_store(settings)
    history = history_of(store, model)
    record, running = history[-1], model_status(store, model).retraining
    parts = roles(history, settings.state_dir, running)
    if as_json:
        print_json(json.dumps({**record.model_dump(mode="json"), "roles": parts.model_dump(mode="json")}))
        return
    out.print(f"{record.model} v{record.version} is champion since {clock(record.created_at)}: {record.reason}")
    if record.decision is not None:
        out.print(f"why it was promoted: {record.decision} (figures and pictures)")
    _show_others(parts, history)
    if not record.conditions:
        out.print("it is proved on no condition: every stream is judged by its golden baseline alone")
        return
    rows = [
        [c.id[:12], c.stream, c.cause, number(c.gain_db), clock(c.proved), clock(c.expires)] for c in record.conditions
    ]
    columns(["condition", "stream", "cause", "gain, dB", "proved", "expires"], rows, cut=(1,))


def _show_others(parts: Roles, history: Sequence[ChampionRecord]) -> None:
    """Say which version is the previous one, and what became of the latest challenger."""
    before = next((row for row in history if row.version == parts.previous), None)
    if before is not None:
        out.print(f"previous: v{before.version} of {clock(before.created_at)}, to which a rollback goes")
    if parts.challenger is not None:
        out.print(f"challenger: in the making, {report_text(parts.challenger)}")
    if parts.unreadable:
        out.print(parts.unreadable)
    elif parts.decided is not None and parts.evidence != history[-1].decision:
        latest = parts.decided
        out.print(
            f"latest challenger, of v{latest.champion}, decided on {clock(latest.made_at)}: {latest.outcome}, "
            f"{latest.reason}: {parts.evidence}"
        )


@app.command()
def promote(model: str, version: int, by: ByOption = "", as_json: JsonOption = False) -> None:
    """Make an earlier version champion again, and hold the model there."""
    from common.actions import champions

    _change(lambda store: champions.promote(store, model, version, by=person(by), say=err.print), model, as_json)


@app.command()
def rollback(model: str, by: ByOption = "", as_json: JsonOption = False) -> None:
    """Go one version further back, and hold the model there."""
    from common.actions import champions

    _change(lambda store: champions.roll_back(store, model, by=person(by), say=err.print), model, as_json)


@app.command()
def release(model: str, as_json: JsonOption = False) -> None:
    """End the hold of a rollback or a promotion by hand: incidents may retrain the model again."""
    store = open_store(get_settings())
    release_model(store, model)
    waiting = store.champions.waiting_count(model)
    if as_json:
        print_json(json.dumps({"model": model, "held": False, "waiting_streams": waiting}))
    else:
        out.print(f"{model} is released: {waiting} streams wait for a retraining")


def _change(choose: Callable[[Store], Chosen], model: str, as_json: bool) -> None:
    """Let a person choose a version. Its conditions are proved on it first, which takes a few seconds each."""
    from common import broker

    settings = get_settings()
    broker.connect_to(redis_url(settings))
    record, dropped = choose(open_store(settings))
    if as_json:
        print_json(record.to_json())
        return
    out.print(f"{record.model} v{record.version} is champion: {record.reason}")
    for condition in dropped:
        out.print(f"it is not proved on {condition.cause} of stream {condition.stream}, whose footage FAILs again")
    out.print(f"incidents do not retrain it before `sentinel champions release {model}`")
