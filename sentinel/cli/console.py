"""How the command line speaks: results on standard output, progress on standard error, errors with advice."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from common.contracts.ids import Message
from common.contracts.verdicts import Remedy

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

REMEDIES = {
    Remedy.CAMERA: "the data went bad: look at the camera, its light, lens, mount and encoder",
    Remedy.TRAINING: "the world changed: the model has to learn it",
}
"""What to tell a user to do."""

EXIT_FAIL = 1
EXIT_USAGE = 2
EXIT_ERROR = 3


def print_json(text: str) -> None:
    """Print JSON as it is: no colour, no wrapping, whatever the terminal."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def print_messages(messages: Sequence[Message]) -> None:
    """Print messages as one JSON list."""
    print_json("[" + ",\n ".join(message.to_json() for message in messages) + "]")


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    grid = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        grid.add_column(column, overflow="fold")
    for row in rows:
        grid.add_row(*row)
    out.print(grid)


class FrameProgress:
    """A bar on standard error that counts frames."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    @contextmanager
    def source(self, name: str, frames: int) -> Iterator[Ticker]:
        task = self._progress.add_task(name, total=frames)
        yield Ticker(self._progress, task)
        self._progress.update(task, completed=frames, total=frames)

    def say(self, text: str) -> None:
        """Print a line beside the bar."""
        self._progress.console.print(text)


class Ticker:
    """Counts the frames of one source."""

    def __init__(self, progress: Progress, task: object) -> None:
        self._progress = progress
        self._task = task

    def advance(self, frames: int) -> None:
        self._progress.advance(self._task, frames)  # type: ignore[arg-type]


@contextmanager
def frame_progress() -> Iterator[FrameProgress]:
    """Show progress while the block runs."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("frames"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=True) as progress:
        yield FrameProgress(progress)
