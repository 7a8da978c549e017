"""`sentinel status | events | dead | champions`: looking at a running system, and correcting it."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Annotated

import typer
from pydantic import Field

from common.contracts.batches import Chunk, SourceRequest, Submission
from common.contracts.dead_letters import DeadLetter, DeadLetterKind, RawTask
from common.contracts.events import Event, EventType
from common.contracts.ids import Message
from common.contracts.verdicts import Remedy, Status, Verdict
from common.errors import BadMessage, NotPromoted, SentinelError
from common.settings import get_settings
from common.store import Store
from common.store.ingest import RawEntry
from sentinel.cli.console import EXIT_ERROR, EXIT_USAGE, err, out, print_json, print_messages, table
from sentinel.stack.local import open_store, redis_url, settings_of_stack

dead_app = typer.Typer(help="Work that was given up: look, retry, drop.", no_args_is_help=True)
champions_app = typer.Typer(help="Champions and their history.", no_args_is_help=True)

JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
_LONGEST_SUMMARY = 200  # characters
_QUEUES = ("embed", "reduce", "retrain")


class StreamStatus(Message):
    """Where one stream stands."""

    stream: str
    status: Status | None = Field(description="of the latest verdict; None before the first window is full")
    drift_score: float | None
    cause: str | None
    remedy: Remedy | None
    confirmed: bool
    frames: int = Field(description="position after the latest judged window")
    pending_chunks: int
    seconds_since_last_frame: float | None


class SystemStatus(Message):
    """Where everything stands."""

    redis_url: str
    queues: dict[str, int]
    dead_letters: int
    champions: dict[str, int]
    streams: tuple[StreamStatus, ...]


def stream_status(store: Store, stream: str) -> StreamStatus:
    window = store.streams.window(stream)
    verdict: Verdict | None = window.verdict
    return StreamStatus(
        stream=stream,
        status=verdict.status if verdict else None,
        drift_score=verdict.drift_score if verdict else None,
        cause=verdict.cause if verdict else None,
        remedy=verdict.remedy if verdict else None,
        confirmed=verdict.confirmed if verdict else False,
        frames=verdict.stop if verdict else 0,
        pending_chunks=store.streams.pending(stream),
        seconds_since_last_frame=time.time() - window.last_frame_at if window.last_frame_at else None,
    )


def status(as_json: JsonOption = False) -> None:
    """Show every stream, queue and champion."""
    settings = get_settings()
    store = open_store(settings)
    report = SystemStatus(
        redis_url=redis_url(settings),
        queues={queue: int(store.client.llen(queue)) for queue in _QUEUES},
        dead_letters=sum(1 for _ in store.event_log.dead_letters()),
        champions={m: record.version for m in store.champions.models() if (record := store.champions.champion(m))},
        streams=tuple(stream_status(store, name) for name in store.streams.names()),
    )
    if as_json:
        print_json(report.to_json())
        return
    rows = [
        [
            s.stream,
            s.status or "no window yet",
            _number(s.drift_score),
            (s.cause or "") + (f" ({s.remedy})" if s.remedy else ""),
            "yes" if s.confirmed else "",
            str(s.pending_chunks),
            _ago(s.seconds_since_last_frame),
        ]
        for s in report.streams
    ]
    table("Streams", ["stream", "status", "score", "cause (needs)", "confirmed", "chunks waiting", "last frame"], rows)
    out.print("queues: " + ", ".join(f"{queue} {length}" for queue, length in report.queues.items()))
    out.print("champions: " + (", ".join(f"{m} v{v}" for m, v in report.champions.items()) or "none yet"))
    if report.dead_letters:
        out.print(f"[red]{report.dead_letters} dead letters[/]: see `sentinel dead list`")
    out.print(f"Redis: {report.redis_url}")


def events(
    limit: Annotated[int, typer.Option(min=1, help="How many of the latest events.")] = 20,
    stream: Annotated[str, typer.Option(help="Only of this stream.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Show the latest events, oldest first."""
    store = open_store(get_settings())
    found = []
    for event in store.event_log.events(newest_first=True):
        if not stream or event.stream == stream:
            found.append(event)
        if len(found) == limit:
            break
    found.reverse()
    if as_json:
        print_messages(found)
        return
    for event in found:
        line = f"{_clock(event.time)}  {event.type.value:20s} {event.stream or event.model}  {summary(event)}"
        out.print(line, markup=False)


def summary(event: Event) -> str:
    """Say what an event says, on one line; `--json` has the whole of it."""
    if event.type in {EventType.VERDICT_PASS, EventType.VERDICT_FAIL}:
        verdict = Verdict.from_json(event.data)
        why = f", {verdict.cause}" if verdict.cause else ""
        sure = ", confirmed" if verdict.confirmed else ""
        return (
            f"frames {verdict.start} to {verdict.stop}, score {verdict.drift_score:.2f}, "
            f"p {verdict.p_value:.2g}{why}{sure}"
        )
    fields = json.loads(event.data)
    shown = [
        f"{name} {value}" for name, value in fields.items() if isinstance(value, str | int | float) and value != ""
    ]
    return ", ".join(shown)[:_LONGEST_SUMMARY]


@dead_app.command("list")
def dead_list(as_json: JsonOption = False) -> None:
    """List the dead letters."""
    letters = list(open_store(get_settings()).event_log.dead_letters())
    if as_json:
        print_messages(letters)
        return
    if not letters:
        out.print("no dead letters")
        return
    rows = [[letter.id[:8], _clock(letter.time), letter.kind, letter.stream, letter.reason] for letter in letters]
    table("Dead letters", ["id", "when", "kind", "stream", "reason"], rows)


@dead_app.command("show")
def dead_show(dead_letter_id: Annotated[str, typer.Argument(help="Id or its beginning.")]) -> None:
    """Show one dead letter whole, as JSON."""
    for letter in _chosen(open_store(get_settings()), dead_letter_id, everything=False):
        print_json(letter.model_dump_json(indent=1))


@dead_app.command("retry")
def dead_retry(
    dead_letter_id: Annotated[str, typer.Argument(help="Id or its beginning; none with --all.")] = "",
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
) -> None:
    """Try given-up work again; what fails again comes back with its new reason."""
    from common import broker
    from common.ingest.accept import Ingestor

    settings = settings_of_stack(get_settings())
    store = open_store(settings)
    broker.connect_to(redis_url(settings))
    ingestor = Ingestor(settings, store)
    failed = False
    try:
        for letter in _chosen(store, dead_letter_id, everything=everything):
            try:
                became = retry(letter, store, ingestor)
            except (SentinelError, OSError) as error:
                failed = True
                err.print(f"{letter.id[:8]} {letter.subject}: stays a dead letter: {error}", markup=False)
                continue
            # Dropped last, so that nothing is lost in between; what was refused again is the same letter again.
            if became != Submission.REJECTED.value:
                store.event_log.drop(letter)
            out.print(f"{letter.id[:8]} {letter.subject}: {became}", markup=False)
    finally:
        ingestor.close()
    if failed:
        raise typer.Exit(EXIT_ERROR)


def retry(letter: DeadLetter, store: Store, ingestor) -> str:  # type: ignore[no-untyped-def]
    """Hand the original of `letter` in again by the door that it came through; return what became of it."""
    from pathlib import Path

    from common import broker

    if letter.kind is DeadLetterKind.CHUNK:
        result: Submission = ingestor.retry_chunk(Chunk.from_json(letter.original), letter.entry_id)
        return result.value
    if letter.kind is DeadLetterKind.EVENT:
        return RawEntry.from_json(letter.original).send(store.client)
    if letter.kind is DeadLetterKind.TASK:
        task = RawTask.from_json(letter.original)
        # Dropped first: should it fail again at once, the letter about that must not be the one that is dropped.
        store.event_log.drop(letter)
        try:
            return broker.resend(task.name, task.queue, task.args, task.kwargs)
        except Exception:
            store.event_log.bury(letter)
            raise
    request = SourceRequest.from_json(letter.original)
    again: Submission = ingestor.submit(request.stream, Path(request.uri))
    if again is Submission.CHANGED:
        again = ingestor.accept_one_by_one(request.stream, request.uri)
    return again.value


@dead_app.command("drop")
def dead_drop(
    dead_letter_id: Annotated[str, typer.Argument(help="Id or its beginning; none with --all.")] = "",
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
) -> None:
    """Forget given-up work for good."""
    store = open_store(get_settings())
    for letter in _chosen(store, dead_letter_id, everything=everything):
        store.event_log.drop(letter)
        out.print(f"dropped {letter.id[:8]} {letter.subject}", markup=False)


def _chosen(store: Store, dead_letter_id: str, *, everything: bool) -> list[DeadLetter]:
    if bool(dead_letter_id) == everything:
        err.print("name one dead letter by its id (see `sentinel dead list`), or say --all")
        raise typer.Exit(EXIT_USAGE)
    found = [letter for letter in store.event_log.dead_letters() if letter.id.startswith(dead_letter_id)]
    if dead_letter_id and len(found) != 1:
        raise BadMessage(f"{len(found)} dead letters begin with {dead_letter_id!r}: see `sentinel dead list`")
    return found


@champions_app.command("list")
def champions_list(as_json: JsonOption = False) -> None:
    """List every model's champions, oldest first; the last one reigns."""
    store = open_store(get_settings())
    history = [record for model in store.champions.models() for record in store.champions.history(model)]
    if as_json:
        print_messages(history)
        return
    rows = [
        [
            r.model,
            f"v{r.version}",
            _clock(r.created_at),
            _number(r.gain_db),
            _number(r.loss_db),
            r.baseline_id[:12],
            r.reason,
        ]
        for r in history
    ]
    table("Champions", ["model", "version", "since", "gain, dB", "loss, dB", "baseline", "why"], rows)


@champions_app.command("promote")
def champions_promote(model: str, version: int) -> None:
    """Make an earlier version champion again, as a new entry in the history."""
    out.print(_roll_back(model, version, f"version {version} promoted by hand"))


@champions_app.command("rollback")
def champions_rollback(model: str) -> None:
    """Go back to the version that the champion replaced, model and baseline together."""
    store = open_store(get_settings())
    record = store.champions.champion(model)
    if record is None or record.parent is None:
        raise NotPromoted(f"model {model!r} has no earlier version to go back to: see `sentinel champions list`")
    out.print(_roll_back(model, record.parent, f"rolled back from version {record.version}"))


def _roll_back(model: str, version: int, reason: str) -> str:
    from common.models.registry import roll_back

    record = roll_back(open_store(get_settings()), model, version, reason)
    return f"{model} v{record.version} is champion: {record.reason}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _ago(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds:.0f} s ago"
