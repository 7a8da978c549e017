"""The command line. Exit codes: 0 PASS or done, 1 FAIL, 2 usage, 3 error.

Heavy imports (backbones, decoders, Celery) stay inside the commands, so that
`sentinel --help` answers at once.
"""

from __future__ import annotations

import itertools
import json
import logging
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer
from rich.logging import RichHandler

from common.contracts.verdicts import worst
from common.errors import SentinelError
from common.settings import Settings, get_settings, given_variables, unknown_settings
from common.store.client import without_password
from sentinel.cli import baselines, streams
from sentinel.cli.console import (
    EXIT_ERROR,
    EXIT_FAIL,
    EXIT_USAGE,
    REMEDIES,
    err,
    frame_progress,
    out,
    print_json,
    table,
)

app = typer.Typer(
    name="sentinel",
    help="Watches the video that feeds a model, sees when it drifts, and heals the model.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(baselines.app, name="baseline")
app.add_typer(streams.dead_app, name="dead")
app.add_typer(streams.champions_app, name="champions")
app.command("status")(streams.status)
app.command("events")(streams.events)

_READY_SECONDS = 60.0  # workers that do not answer by then are named

JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def main() -> None:
    """Run the command line; turn every expected error into one message and an exit code."""
    try:
        app(standalone_mode=True)
    except SentinelError as error:
        err.print(f"[red]{type(error).__name__}:[/red] {error}", markup=True)
        sys.exit(EXIT_ERROR)
    except OSError as error:
        err.print(f"[red]{type(error).__name__}:[/red] {error}")
        sys.exit(EXIT_ERROR)
    except KeyboardInterrupt:
        err.print("stopped")
        sys.exit(EXIT_ERROR)


@app.command()
def check(
    source: Annotated[Path, typer.Argument(help="A video, an image folder, or a folder of them.")],
    baseline: Annotated[str, typer.Option(help="Name or folder of the golden baseline.")] = "",
    as_json: JsonOption = False,
    status_dir: Annotated[Path | None, typer.Option(help="Write status.json into this folder.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write a page with a picture of the scores to this file.")] = None,
) -> None:
    """Judge footage against a baseline, without Redis or Celery. Exit 0: PASS, 1: FAIL, 3: no verdict."""
    from common.backbones import load_backbone
    from common.baselines.storage import find_baseline, load_baseline
    from common.errors import SettingsError
    from common.extraction import Extractor
    from common.sources.find import find_sources
    from common.sources.local import Limits
    from sentinel import check as checking
    from sentinel.report import write_report

    settings = get_settings()
    try:
        name = baseline or settings.baseline
        if not name:
            raise SettingsError(
                "no baseline: give --baseline NAME or set SENTINEL_BASELINE; see `sentinel baseline list`"
            )
        stored = load_baseline(find_baseline(name, settings.baselines_dir))
        paths = find_sources(source)
        extractor = Extractor(
            load_backbone(settings, stored.baseline.feature_spec.precision), Limits.from_settings(settings)
        )
        with frame_progress() as progress:
            result = checking.check(paths, stored, extractor, settings, progress)
    except SentinelError as error:
        failure = checking.CheckFailure(error=type(error).__name__, message=str(error)).to_json()
        write_status(status_dir, failure)
        if as_json:
            print_json(failure)
        raise
    if as_json:
        print_json(result.to_json())
    else:
        show_check(result)
    write_status(status_dir, result.to_json())
    if report is not None:
        write_report(result, report, threshold=settings.drift_threshold)
    raise typer.Exit(0 if result.status == "PASS" else EXIT_FAIL)


def write_status(folder: Path | None, text: str) -> None:
    """Write `status.json`, whole or not at all: whoever watches the volume never reads half of it."""
    if folder is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        staging = folder / ".status.json.tmp"
        staging.write_text(text + "\n", encoding="utf-8")
        staging.replace(folder / "status.json")
    except OSError as error:
        raise SentinelError(
            f"status.json cannot be written to {folder} ({error.strerror}): give --status-dir a folder that can be"
        ) from error


def show_check(result) -> None:  # type: ignore[no-untyped-def]
    runs = [list(group) for _, group in itertools.groupby(result.windows, key=lambda window: window.cause)]
    rows = []
    for run in runs:
        # One row for windows in a row that say the same, with the figures of the one that says it most.
        window = worst(run)
        rows.append(
            [
                f"{run[0].start}-{run[-1].stop}",
                f"{run[0].start_time:.1f}-{run[-1].stop_time:.1f} s",
                str(len(run)),
                window.status,
                f"{window.drift_score:.2f}",
                f"{window.p_value:.2g}",
                window.cause or "",
                ", ".join(f"{shift.feature} {shift.shift:+.1f}" for shift in window.leading_features[:3]),
            ]
        )
    table(
        "Windows",
        ["frames", "time", "windows", "status", "score", "p", "cause", "what moved (in its usual spreads)"],
        rows,
    )
    colour = "green" if result.status == "PASS" else "red"
    why = f", cause {result.cause}" if result.cause else ""
    out.print(
        f"[bold {colour}]{result.status}[/]  drift score {result.drift_score:.2f}, p {result.p_value:.2g}{why} "
        f"({result.frames} frames against baseline {result.baseline})"
    )
    if result.began:
        out.print(f"began {result.began.source} at {result.began.time:.1f} s; {REMEDIES[result.remedy]}")


@app.command()
def sabotage(
    source: Annotated[Path | None, typer.Argument(help="An image, a folder of images, or a video.")] = None,
    out_dir: Annotated[Path | None, typer.Option("--out", help="Folder for the sabotaged copy.")] = None,
    fault: Annotated[str, typer.Option(help="Fault to add; `list` names them.")] = "list",
    severity: Annotated[int, typer.Option(min=1, max=5, help="1 mild to 5 gross.")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="Equal seeds give equal footage.")] = 0,
) -> None:
    """Make drifted footage: a copy of SOURCE with one fault in it."""
    from common.sources.local import is_media
    from simulation.saboteur import Fault, copy_name
    from simulation.saboteur import sabotage as spoil

    if fault == "list":
        out.print("\n".join(known.value for known in Fault))
        raise typer.Exit
    if source is None or out_dir is None:
        err.print("name the SOURCE to spoil and the folder --out for its copy; --fault list shows the faults")
        raise typer.Exit(EXIT_USAGE)
    if fault not in {known.value for known in Fault}:
        err.print(f"unknown fault {fault!r}; there are: {', '.join(known.value for known in Fault)}")
        raise typer.Exit(EXIT_USAGE)
    if is_media(out_dir) and not out_dir.is_dir():
        err.print(f"--out is the folder for the copy, and {out_dir} looks like a file: name a folder")
        raise typer.Exit(EXIT_USAGE)
    if source.is_dir() and out_dir.resolve().is_relative_to(source.resolve()):
        err.print(f"{out_dir} lies inside {source}, where clean and sabotaged would mix: name another folder")
        raise typer.Exit(EXIT_USAGE)
    out_dir.mkdir(parents=True, exist_ok=True)
    target = out_dir / copy_name(source, Fault(fault), severity)
    spoil(source, target, Fault(fault), severity, seed=seed)
    out.print(str(target))


@app.command()
def up() -> None:
    """Run the whole stack on this machine, until Ctrl-C."""
    from sentinel.doctor import require_sound
    from sentinel.stack.stack import LocalStack
    from sentinel.stack.tail import LogTail

    settings = get_settings()
    for unknown in unknown_settings(given_variables()):
        err.print(f"[yellow]{unknown}[/]")
    require_sound(settings)
    stop = stop_on_signals()
    stack = LocalStack(settings, lambda line: err.print(f"[dim]sentinel[/] {line}"))
    info = stack.start()
    tail = LogTail(stack.state_dir / "logs", show_log_line)
    try:
        show_stack(settings, info)
        threading.Thread(target=say_when_ready, args=(info.redis_url,), daemon=True).start()
        tail.start()
        stack.run(stop)
        err.print("stopping: workers finish or hand back what they hold")
    finally:
        stack.stop()
        tail.stop()
    err.print("stopped; nothing is lost, `sentinel up` goes on from here")


def say_when_ready(redis_url: str) -> None:
    from common.processes import WORKERS
    from sentinel.stack.stack import wait_for_workers

    missing = wait_for_workers(redis_url, set(WORKERS), _READY_SECONDS)
    err.print("ready" if not missing else f"[red]workers that do not answer: {', '.join(sorted(missing))}[/]")


def show_log_line(name: str, line: str) -> None:
    err.print(f"{name:>8} {line}", markup=False)


def show_stack(settings: Settings, info) -> None:  # type: ignore[no-untyped-def]
    rows = [
        ["drop footage into", f"{info.watch_dir}/<stream>/"],
        ["Redis", without_password(info.redis_url)],
        ["Flower", info.flower_url + (" (with password)" if settings.flower_password else "")],
        ["logs", str(settings.state_dir.resolve() / "logs")],
        ["baseline", settings.baseline or "none yet: make one, then set SENTINEL_BASELINE and start again"],
    ]
    table("Sentinel is up (Ctrl-C stops it)", ["what", "where"], rows)


@app.command()
def demo(
    video: Annotated[Path | None, typer.Option(help="Your own footage in place of the virtual camera's.")] = None,
    keep: Annotated[Path | None, typer.Option(help="Keep footage, baseline and logs in this folder.")] = None,
) -> None:
    """The story in two minutes: clean footage passes, sabotage fails, the model heals."""
    from sentinel.demo.story import run_demo

    stop_on_signals(raising=True)
    raise typer.Exit(run_demo(video, keep))


@app.command("camera-events")
def camera_events() -> None:
    """Accept what cameras write to sentinel:ingest. One of the processes of `sentinel up`."""
    from common.ingest.accept import Ingestor
    from common.store.heartbeats import Heartbeat
    from producers.camera_events import CameraEvents
    from sentinel.stack.local import open_store, redis_url

    settings = get_settings()
    start_logging(settings)
    stop = stop_on_signals()
    store = open_store(settings)
    ingestor = Ingestor(settings, store)
    try:
        logging.getLogger("sentinel").info("reading sentinel:ingest")
        with Heartbeat(redis_url(settings), "camera-events") as heartbeat:
            CameraEvents(store, ingestor).run(stop, heartbeat.beat)
    finally:
        ingestor.close()


@app.command()
def watch() -> None:
    """Watch the folder and hand in what is dropped there. One of the processes of `sentinel up`."""
    from common.ingest.accept import Ingestor
    from common.store.heartbeats import Heartbeat
    from sentinel.stack.local import open_store, redis_url
    from sentinel.stack.watch import watch_folder

    settings = get_settings()
    start_logging(settings)
    stop = stop_on_signals()
    store = open_store(settings)
    ingestor = Ingestor(settings, store)
    try:
        with Heartbeat(redis_url(settings), "watch") as heartbeat:
            watch_folder(settings, ingestor, stop, heartbeat.beat)
    finally:
        ingestor.close()


@app.command("retrain-trigger")
def retrain_trigger() -> None:
    """Ask for a retraining once FAILs call for one. One of the processes of `sentinel up`."""
    from common.store.heartbeats import Heartbeat
    from consumers.retrain_trigger import RetrainTrigger
    from sentinel.stack.local import open_store, redis_url

    settings = get_settings()
    start_logging(settings)
    stop = stop_on_signals()
    with Heartbeat(redis_url(settings), "retrain-trigger") as heartbeat:
        RetrainTrigger(open_store(settings)).run(stop, heartbeat.beat)


@app.command()
def flower() -> None:
    """Show queues and workers in a browser. One of the processes of `sentinel up`."""
    from sentinel.stack.flower import run_flower

    settings = get_settings()
    start_logging(settings)
    run_flower(settings)


@app.command()
def doctor(as_json: JsonOption = False) -> None:
    """Look for what would go wrong: Redis, folders, baseline, backbone. Exit 3 if anything is wrong."""
    from sentinel.doctor import examine

    findings = examine(get_settings())
    if as_json:
        print_json(json.dumps([finding.model_dump() for finding in findings]))
    else:
        table("Doctor", ["what", "state", "detail"], [[f.what, "ok" if f.ok else "WRONG", f.detail] for f in findings])
    raise typer.Exit(0 if all(finding.ok for finding in findings) else EXIT_ERROR)


def start_logging(settings: Settings) -> None:
    logging.basicConfig(
        level=settings.log_level,
        format="%(message)s" if sys.stderr.isatty() else "%(asctime)s %(levelname)s %(message)s",
        handlers=[RichHandler(console=err, show_path=False)] if sys.stderr.isatty() else None,
    )


def stop_on_signals(*, raising: bool = False) -> threading.Event:
    """Return an event that SIGTERM and SIGINT set; with `raising` they also interrupt what runs."""
    stop = threading.Event()

    def handle(number: int, frame: object) -> None:
        if raising and not stop.is_set():
            stop.set()
            raise KeyboardInterrupt
        stop.set()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)
    return stop
