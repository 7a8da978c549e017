"""`sentinel streams list | show | bind | mute`: what each stream is bound to, and silence for a time."""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from common.durations import duration_text
from common.errors import BadBaseline, SettingsError, UnknownStream
from common.golden_story import history_text
from common.moments import clock
from common.printable import encodable
from common.responses import resolution_text
from common.settings import Settings, get_settings
from sentinel.cli.console import JsonOption, Piece, columns, err, out, print_json, print_messages
from sentinel.cli.stream_names import (
    ByOption,
    StreamArgument,
    person,
    seconds_of,
    stream_name,
)
from sentinel.cli.streams import StreamOption
from sentinel.stack.local import open_store, redis_url, settings_of_stack

if TYPE_CHECKING:
    from common.baselines.report import StreamBinding
    from common.store import Store
    from sentinel.stream_file import Edit

app = typer.Typer(
    help="What streams are bound to, and a person's word about them.", no_args_is_help=True, rich_markup_mode=None
)

_SHOWN_DIGITS = 12  # of a baseline's id


@app.command("list")
def list_(stream: StreamOption = "", as_json: JsonOption = False) -> None:
    """List the streams with baseline and model; those that wait for a baseline say so, and what to do."""
    from common.baselines.report import stream_bindings

    settings = settings_of_stack(get_settings())
    rows = stream_bindings(open_store(settings), settings, encodable(stream))
    if as_json:
        print_messages(rows)
        return
    if not rows:
        out.print("no stream fits" if stream else "no streams yet")
        return
    columns(["stream", "baseline", "from", "model", "muted until"], [_row(row) for row in rows], cut=(0, 1))
    for row in rows:
        if row.waiting:
            out.styled((f"{row.stream} waits for a baseline", "yellow"), f": {row.waiting}")


def _row(row: StreamBinding) -> list[Piece]:
    name: Piece = f"{row.baseline}" if row.baseline is not None else "learns its own"
    name = ("waits", "yellow") if row.waiting else name
    comes_from = (row.comes_from or "") + ("" if row.has_footage else ", no footage yet")
    return [row.stream, name, comes_from.removeprefix(", "), row.model, clock(row.mute.until) if row.mute else ""]


@app.command()
def show(stream: StreamArgument, as_json: JsonOption = False) -> None:
    """Show one stream: its baseline and where that comes from, its model, and the history of what was accepted."""
    from common.baselines.report import bindings_of, known_streams

    settings, name = settings_of_stack(get_settings()), stream_name(stream)
    store = open_store(settings)
    if name not in known_streams(store, settings):
        raise UnknownStream(f"there is no stream {name!r}, nor a table for it: see `sentinel streams list`")
    (found,) = bindings_of(store, settings, [name])
    if as_json:
        print_json(found.to_json())
        return
    digest = f"{found.baseline} ({(found.baseline_id or '')[:_SHOWN_DIGITS]}), from {found.comes_from}"
    none = "none, it waits for one" if found.waiting else "none yet, it learns its own from what comes first"
    learns = found.learning is not None
    rows = [
        ("stream", found.stream),
        ("baseline", digest if found.baseline is not None else none),
        ("folder", found.folder or ""),
        ("model", found.model),
        ("waits", found.waiting),
        ("muted", f"until {clock(found.mute.until)} by {found.mute.by}" if found.mute else ""),
        ("camera", camera_text(store, settings, name)),
        ("footage", "" if found.has_footage else "none yet"),
        ("pictures", resolution_text(found.resolution, name, learns=learns) if found.resolution else ""),
    ]
    for title, value in rows:
        if value:
            out.styled((f"{title:9}", "bold"), value)
    for title, value in learning_rows(found):
        out.styled((f"{title}  ", "bold"), value)
    for truth in found.truth:
        out.styled((f"{'truth':9}", "bold"), truth.sentence)
    for record in found.history:
        out.styled((f"{'history':9}", "bold"), history_text(record))


def camera_text(store: Store, settings: Settings, stream: str) -> str:
    """Return how the live camera of a stream does; empty if it has none."""
    from common.sources.cameras import shown_url
    from common.stream_config import stream_config

    url = stream_config(settings).of(stream).url
    if url is None:
        return ""
    state = store.cameras.of([stream]).get(stream)
    if state is None:
        return f"{shown_url(url)}, which nobody fetches: `sentinel up` starts process rtsp, `sentinel status` shows it"
    lost = f", {state.lost} segments lost unjudged" if state.lost else ""
    if not state.connected:
        return f"not connected since {clock(state.since)}: {state.why}{lost}" if state.since else "not connected yet"
    again = f", {state.connections - 1} reconnects" if state.connections > 1 else ""
    return (
        f"{state.url}, {state.codec} {state.width} x {state.height}, connected since {clock(state.since)}"
        f"{again}, {state.segments} segments{lost}"
    )


def learning_rows(found: StreamBinding) -> list[tuple[str, str]]:
    """Return what a stream has learned as names and values; none if it does not learn."""
    from common.baselines.learned_in_words import coverage_rows

    learning = found.learning
    if learning is None:
        return []
    rows = [] if learning.coverage is None else coverage_rows(learning.coverage)
    if learning.asks:
        rows.append(("asks", learning.asks))
    elif learning.coverage is None:
        rows.append(("learning", "it has just begun: the first window is learned"))
    if learning.waiting:
        rows.append(("bursts that wait", f"{learning.waiting}, for the `retrain` worker"))
    return [*rows, ("pictures for healing", learning.no_pictures or str(learning.pictures))]


@app.command()
def token(stream: StreamArgument, as_json: JsonOption = False) -> None:
    """Make a token with which a camera may post frames of this stream over HTTP, or for {object-events} one with which
    object storage may notify of objects. It is shown this once."""
    from common.camera_tokens import OBJECT_EVENTS, add_token

    settings, name = get_settings(), stream if stream == OBJECT_EVENTS else stream_name(stream)
    if settings.http_tokens is None:
        raise SettingsError("SENTINEL_HTTP_TOKENS is not set: name the file in which the digests of tokens are kept")
    made = add_token(settings.http_tokens, name)
    if as_json:
        print_json(json.dumps({"stream": name, "token": made}))
        return
    out.print(made)
    err.print(f"its digest is in {settings.http_tokens}: take its line out there, and the token opens nothing")


@app.command()
def bind(
    stream: StreamArgument,
    baseline: Annotated[
        str | None, typer.Option(help="Name of a golden baseline, or its folder (anything with a slash).")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Name of a model that is installed.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the baseline or the model of a stream into sentinel.toml; whatever else stands there stays."""
    from common.models.kinds import check_kind_name, why_not_ready
    from sentinel.stream_file import bind as edit_of

    name = stream_name(stream)
    if baseline is None and model is None:
        raise typer.BadParameter("say --baseline, --model, or both")
    settings = settings_of_stack(get_settings())
    path = settings.config_file
    if model is not None:
        try:
            model = check_kind_name(encodable(model))
        except ValueError as error:
            raise SettingsError(str(error)) from error
    written = _baseline_to_write(encodable(baseline), name, settings, path) if baseline is not None else None
    edit = edit_of(path, name, baseline=written, model=model)
    if edit.changes:
        edit.write()
    if model is not None and (why := why_not_ready(model, settings.state_dir)) is not None:
        err.print(f"{model} is not ready: {why}")
    if as_json:
        found = {"file": str(path), "stream": name, "changed": edit.changes, "diff": difference(edit)}
        print_json(json.dumps(found))
        return
    show_edit(edit)


def difference(edit: Edit) -> list[str]:
    """Return the lines that a change of the file adds and takes away, as `diff` shows them; of URLs without query.

    Some cameras want a password in the query.
    """
    from common.sources.cameras import without_query

    before, after = (edit.before or b"").decode("utf-8-sig"), edit.after.decode("utf-8-sig")
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), "before", "after", lineterm="", n=1)
    return [without_query(line) for line in lines]


def show_edit(edit: Edit) -> None:
    """Print what a change of the file changes."""
    out.print(f"{edit.path} says that already" if not edit.changes else f"{edit.path}:")
    for line in difference(edit)[2:]:
        out.styled((line, {"+": "green", "-": "red"}.get(line[:1], "")))


def _baseline_to_write(baseline: str, stream: str, settings: Settings, file: Path) -> str:
    """Return what the table is to say; raise if there is no such baseline, or it belongs to another stream.

    A relative folder is taken from the working directory, but a table's starts at the file.
    """
    from common.baselines.owner import owner_of
    from common.baselines.storage import find_baseline, read_manifest

    if "/" in baseline and Path.cwd() != file.parent:
        baseline = str(Path(baseline).expanduser().absolute())
    folder = find_baseline(baseline, settings.baselines_dir).expanduser()
    read_manifest(folder)
    owner = owner_of(folder)
    if owner not in {None, stream}:
        raise BadBaseline(
            f"{folder} was accepted for stream {owner!r} and belongs to it: two streams cannot be bound to one learned "
            f"baseline; give stream {stream!r} one of its own"
        )
    return baseline


@app.command()
def mute(
    stream: StreamArgument,
    lasts: Annotated[str, typer.Option("--for", help="How long: 90s, 30m, 2h, 1d, 1w, 1h30m.")] = "",
    off: Annotated[bool, typer.Option("--off", help="End the mute now.")] = False,
    by: ByOption = "",
    as_json: JsonOption = False,
) -> None:
    """Announce no incidents of a stream for a time; what goes on then is announced when the time is over."""
    from common import broker
    from common.actions.incidents import mute as set_mute

    name = stream_name(stream)
    if bool(lasts) == off:
        raise typer.BadParameter("say --for and how long, or --off")
    settings = settings_of_stack(get_settings())
    store, who = open_store(settings), person(by)
    broker.connect_to(redis_url(settings))
    was_muted = store.golden.muted(name) is not None
    until = set_mute(store, name, seconds_of(lasts) if lasts else 0.0, by=who)
    if as_json:
        print_json(json.dumps({"stream": name, "muted_until": until, "by": who}))
    elif until is not None:
        out.print(f"stream {name} is muted for {duration_text(seconds_of(lasts))}, until {clock(until)}")
    else:
        out.print(f"stream {name} is no longer muted" if was_muted else f"stream {name} was not muted")
