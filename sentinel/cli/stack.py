"""`sentinel up | demo | doctor`, and the processes that `up` starts by commands of their own."""

from __future__ import annotations

import importlib
import json
import logging
import re
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.logging import RichHandler

from common.errors import BrokerUnavailable
from common.processes import WORKERS, Command, Main, Process
from common.setting_names import given_variables, unknown_settings
from common.settings import Settings, get_settings
from common.store.client import require_admission, without_password
from common.store.heartbeats import Heartbeat
from sentinel.cli.console import EXIT_ERROR, JsonOption, Piece, SafeFormatter, columns, err, out, print_json

if TYPE_CHECKING:
    from sentinel.stack.info import StackInfo

_MESSAGE = re.compile(r"\[?\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}:? (?P<level>[A-Z]+)\b")
_TROUBLE = frozenset({"WARNING", "ERROR", "CRITICAL"})
_ASK_AGAIN_SECONDS = 1.0
_READY_SECONDS = 60.0  # workers that do not answer by then are named


def up() -> None:
    """Run the whole stack on this machine, until Ctrl-C."""
    from sentinel.doctor import require_sound
    from sentinel.stack.stack import LocalStack
    from sentinel.stack.tail import LogTail

    settings = get_settings()
    for unknown in unknown_settings(given_variables()):
        err.styled((unknown, "yellow"))
    require_sound(settings)
    stop = stop_on_signals()
    stack = LocalStack(settings, lambda line: err.styled(("sentinel", "dim"), f" {line}"))
    info = stack.start()
    tail = LogTail(stack.state_dir / "logs", ShownLog())
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


def preflight(
    wait: Annotated[float, typer.Option(min=0, help="Seconds that a Redis may take to answer.")] = 0.0,
) -> None:
    """Look whether a stack could start here, as `up` does before it starts one. Exit 3 says why not."""
    from sentinel.doctor import require_sound

    settings = get_settings()
    for unknown in unknown_settings(given_variables()):
        err.styled((unknown, "yellow"))
    until = time.monotonic() + wait
    while True:
        try:
            require_sound(settings)
            break
        except BrokerUnavailable:
            if time.monotonic() > until:
                raise
            time.sleep(_ASK_AGAIN_SECONDS)
    out.print("sound: the stack can start")


def say_when_ready(redis_url: str) -> None:
    """Print whether all workers answer, once they do or have had their time."""
    from sentinel.stack.stack import wait_for_workers

    missing = wait_for_workers(redis_url, set(WORKERS), _READY_SECONDS)
    if missing:
        err.styled((f"workers that do not answer: {', '.join(sorted(missing))}", "red"))
    else:
        err.print("ready")


class ShownLog:
    """Prints what is logged beside its process's name; banners and the like stand in the log files alone.

    Lines that are no message of a log are shown where they go on with a warning or an error, or with a traceback.
    """

    def __init__(self) -> None:
        self._goes_on: dict[str, bool] = {}

    def __call__(self, name: str, line: str) -> None:
        """Print a line of the log of the process `name`, or leave it."""
        message = _MESSAGE.match(line)
        if message:
            self._goes_on[name] = message["level"] in _TROUBLE
        elif line.startswith("Traceback"):
            self._goes_on[name] = True
        if message or (line and self._goes_on.get(name)):
            err.print(f"{name:>13} {line}")


def show_stack(settings: Settings, info: StackInfo) -> None:
    """Print the folders and addresses of a running stack."""
    out.styled(("Sentinel is up (Ctrl-C stops it)", "bold"))
    rows = [
        ["drop footage into", f"{info.watch_dir}/<stream>/"],
        ["page", info.page_url + (" (with token)" if settings.page_token else "")],
        *(
            [["post frames to", f"http://{settings.http_host}:{settings.http_port}/streams/<stream>/frames"]]
            if settings.http_tokens
            else []
        ),
        ["Redis", without_password(info.redis_url)],
        ["Flower", info.flower_url + (" (with password)" if settings.flower_password else "")],
        ["logs", str(settings.state_dir.resolve() / "logs")],
        ["baseline", settings.baseline or _without_baseline(settings)],
    ]
    columns(["what", "where"], rows)


def _without_baseline(settings: Settings) -> str:
    if settings.learn == "auto":
        return "each stream learns its own from what you drop; `sentinel status` says how far it is"
    return "none yet: make one, then set SENTINEL_BASELINE and start again"


def demo(
    video: Annotated[Path | None, typer.Option(help="Your own footage in place of the virtual camera's.")] = None,
    keep: Annotated[Path | None, typer.Option(help="Keep footage, baseline and logs in this folder.")] = None,
    as_json: JsonOption = False,
) -> None:
    """The story in two minutes: clean footage passes, sabotage fails, the model heals."""
    from sentinel.demo.story import run_demo

    stop_on_signals(raising=True)
    result = run_demo(video, keep)
    if as_json:
        print_json(result.to_json())
    else:
        result.show()
    raise typer.Exit(0 if result.as_told else 1)


def doctor(as_json: JsonOption = False) -> None:
    """Look for what would go wrong: Redis, folders, baseline, backbone. Exit 3 if anything is wrong."""
    from sentinel.doctor import examine

    findings = examine(get_settings())
    if as_json:
        print_json(json.dumps([finding.model_dump() for finding in findings]))
    else:
        rows: list[list[Piece]] = [
            [("ok", "green") if f.ok else ("WRONG", "bold red"), f.what, f.detail] for f in findings
        ]
        columns(["state", "what", "detail"], rows)
    raise typer.Exit(0 if all(finding.ok for finding in findings) else EXIT_ERROR)


def process_command(process: Process, start: Command) -> Callable[[], None]:
    """Return the command that runs one of the processes of `sentinel up`."""

    def run() -> None:
        from sentinel.stack.local import redis_url

        settings = get_settings()
        start_logging(settings)
        stop = stop_on_signals()
        settings = settings.model_copy(update={"redis_url": redis_url(settings)})
        require_admission(redis_url(settings))  # what waiting for Redis does not mend is said at once
        module, _, function = start.entry.partition(":")
        main: Main = getattr(importlib.import_module(module), function)
        with Heartbeat(redis_url(settings), process.name, settings.heartbeat_file) as heartbeat:
            main(settings, stop, heartbeat.beat)

    run.__doc__ = f"One of the processes of `sentinel up`: {process.does}."
    return run


def start_logging(settings: Settings) -> None:
    """Log to standard error: with colours on a terminal, with the time otherwise."""
    terminal = sys.stderr.isatty()
    handler: logging.Handler = RichHandler(console=err, show_path=False) if terminal else logging.StreamHandler()
    handler.setFormatter(SafeFormatter("%(message)s" if terminal else "%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=settings.log_level, handlers=[handler])


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
