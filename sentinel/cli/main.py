"""The command line, assembled. Exit codes: 0 PASS or done, 1 FAIL, 2 usage, 3 no verdict or error.

Heavy imports (backbones, decoders, Celery) stay inside the commands, so that
`sentinel --help` answers at once.
"""

from __future__ import annotations

import io
import logging
import sys
from typing import Annotated

import redis
import typer

from common.errors import SentinelError
from common.processes import PROCESSES, Command
from common.version import VERSION
from sentinel.cli import (
    baselines,
    champions,
    check,
    dead_letters,
    incidents,
    interpolate,
    lineage,
    models,
    monitor,
    redis_users,
    report,
    sabotage,
    stack,
    stream_bindings,
    stream_cameras,
    stream_golden,
    streams,
    summary,
)
from sentinel.cli.console import EXIT_ERROR, SafeFormatter, err, failure_json, out, print_error, print_json

app = typer.Typer(
    name="sentinel",
    help="Watches the video that feeds a model, sees when it drifts, and heals the model.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        out.print(f"sentinel {VERSION}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """What stands before a command."""


for command in (
    check.check, summary.summary, monitor.monitor, interpolate.interpolate, sabotage.sabotage, stack.up,
    stack.preflight, stack.demo, stack.doctor, streams.status, streams.events, report.report,
):  # fmt: skip
    app.command()(command)
for process in PROCESSES:
    if isinstance(process.start, Command):
        app.command(process.name)(stack.process_command(process, process.start))
app.add_typer(baselines.app, name="baseline")
app.add_typer(models.app, name="models")
app.add_typer(redis_users.app, name="redis")
app.add_typer(incidents.app, name="incidents")
app.add_typer(dead_letters.app, name="dead")
champions.app.command()(lineage.at)
champions.app.command()(lineage.diff)
app.add_typer(champions.app, name="champions")
stream_bindings.app.command()(stream_cameras.add)
stream_bindings.app.command()(stream_cameras.test)
stream_bindings.app.command()(stream_golden.accept)
stream_bindings.app.command()(stream_golden.undo)
stream_bindings.app.command()(stream_golden.forget)
app.add_typer(stream_bindings.app, name="streams")


def main() -> None:
    """Run the command line; turn every expected error into one message, as JSON too if that was asked for."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names are printed in whatever encoding the terminal has
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(SafeFormatter())  # what is logged before or without `start_logging`
    try:
        code = app(standalone_mode=False)
    except typer.TyperException as error:
        code = _fail(error, error.exit_code, error.format_message(), usage=_usage(error))
    except (SentinelError, OSError, redis.RedisError) as error:
        code = _fail(error, EXIT_ERROR, str(error))
    except (KeyboardInterrupt, typer.Abort):
        err.print("stopped")
        code = EXIT_ERROR
    sys.exit(code)


def _fail(error: Exception, code: int, message: str, usage: str = "") -> int:
    """Print an error, and in place of the result that a program waits for; return `code`."""
    if _json_wanted():
        print_json(failure_json("UsageError" if usage else type(error).__name__, message))
    if usage:
        err.print(f"{usage} (--help says more)")
        err.print(f"Error: {message}")
    else:
        print_error(error)
    return code


def _json_wanted() -> bool:
    """Return whether the result was asked for as JSON. What could not be parsed may hold the option too."""
    arguments = sys.argv[1:]
    return "--json" in (arguments[: arguments.index("--")] if "--" in arguments else arguments)


def _usage(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    return " ".join(context.get_usage().split()) if context is not None else "usage error"
