"""`sentinel dead list | show | retry | drop`: work that was given up."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from common.contracts.dead_letters import DeadLetter
from common.contracts.ids import without_empty
from common.moments import clock
from common.queries import DeadLetterGroup, dead_letter_groups, dead_letters
from common.settings import get_settings
from common.store import Store
from sentinel.cli.console import EXIT_ERROR, JsonOption, columns, err, out, print_json, print_messages
from sentinel.cli.streams import StreamOption
from sentinel.stack.local import open_store, redis_url, settings_of_stack

app = typer.Typer(help="Work that was given up: look, retry, drop.", no_args_is_help=True)

IdArgument = Annotated[str, typer.Argument(help="Id or its beginning.")]
IdsArgument = Annotated[str, typer.Argument(help="Id or its beginning; none with --all.")]
AllOption = Annotated[bool, typer.Option("--all", help="All of them.")]

_SHOWN_DIGITS = 8  # of an id, which is enough to name it
_MOST_STREAMS = 3  # named in a summary


@app.command("list")
def list_(
    stream: StreamOption = "",
    summed: Annotated[
        bool | None,
        typer.Option("--summary/--each", help="Sum up by reason, or one line each.", show_default="sum up in a pipe"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the dead letters; through a pipe they are summed up by reason."""
    letters = dead_letters(open_store(get_settings()), stream=stream)
    by_reason = summed if summed is not None else not (as_json or out.is_terminal)
    groups = dead_letter_groups(letters) if by_reason else []
    if as_json:
        print_messages(groups or letters)
    elif not letters:
        out.print("no dead letters")
    elif by_reason:
        columns(["count", "kind", "latest", "id", "streams", "reason"], [_group_row(group) for group in groups])
    else:
        columns(["id", "when", "kind", "stream", "reason"], [_row(letter) for letter in letters], cut=(3, 4))


def _group_row(group: DeadLetterGroup) -> list[str]:
    named = [name or "?" for name in group.streams[:_MOST_STREAMS]]
    more = len(group.streams) - len(named)
    streams = ", ".join(named) + (f" and {more} more" if more else "")
    return [str(group.count), group.kind, clock(group.last), group.example[:_SHOWN_DIGITS], streams, group.reason]


def _row(letter: DeadLetter) -> list[str]:
    return [letter.id[:_SHOWN_DIGITS], clock(letter.time), letter.kind, letter.stream, letter.reason]


@app.command()
def show(dead_letter_id: IdArgument, as_json: JsonOption = False) -> None:
    """Show one dead letter whole."""
    for letter in _chosen(open_store(get_settings()), dead_letter_id, everything=False):
        if as_json:
            print_json(letter.to_json())
            continue
        for name, value in letter.model_dump(mode="json", exclude={"traceback"}).items():
            out.styled((f"{name:10}", "bold"), str(value))
        for line in letter.traceback.split("\n"):
            out.styled(("traceback ", "bold"), line)


@app.command()
def retry(dead_letter_id: IdsArgument = "", everything: AllOption = False, as_json: JsonOption = False) -> None:
    """Try given-up work again; what fails again comes back with its new reason."""
    from common import broker
    from common.actions.dead_letters import retry_letters

    settings = settings_of_stack(get_settings())
    store = open_store(settings)
    broker.connect_to(redis_url(settings))
    results = []
    for result in retry_letters(store, settings, _chosen(store, dead_letter_id, everything=everything)):
        name = f"{result.id[:_SHOWN_DIGITS]} {result.subject}"
        if result.error:
            err.print(f"{name}: stays a dead letter: {result.error}")
        elif not as_json:
            out.print(f"{name}: {result.became}")
        results.append(result)
    if as_json:
        print_json(json.dumps([without_empty(row.model_dump(mode="json"), ("became", "error")) for row in results]))
    if any(result.error for result in results):
        raise typer.Exit(EXIT_ERROR)


@app.command()
def drop(dead_letter_id: IdsArgument = "", everything: AllOption = False, as_json: JsonOption = False) -> None:
    """Forget given-up work for good."""
    store = open_store(get_settings())
    dropped = _chosen(store, dead_letter_id, everything=everything)
    for letter in dropped:
        store.event_log.drop(letter)
        if not as_json:
            out.print(f"dropped {_name(letter)}")
    if as_json:
        print_json(json.dumps([{"id": letter.id, "subject": letter.subject} for letter in dropped]))


def _name(letter: DeadLetter) -> str:
    return f"{letter.id[:_SHOWN_DIGITS]} {letter.subject}"


def _chosen(store: Store, dead_letter_id: str, *, everything: bool) -> list[DeadLetter]:
    """Return the dead letter whose id begins with `dead_letter_id`, or all of them."""
    if bool(dead_letter_id) == everything:
        raise typer.BadParameter("name one dead letter by its id (see `sentinel dead list`), or say --all")
    from common.actions.dead_letters import chosen_letters

    return chosen_letters(store, dead_letter_id)
