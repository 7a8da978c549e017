"""How the command line prints: results on standard output, progress and errors on standard error.

Everything goes through `out` and `err`. Neither interprets markup or control characters in what it is given, so text
from outside can be printed as it is; styles are given beside the text, never in it.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.segment import Segment
from rich.text import Text

from common.contracts.ids import Message
from common.printable import encodable, printable, printable_json
from sentinel.failure import Failure

EXIT_FAIL = 1
EXIT_USAGE = 2
EXIT_ERROR = 3

JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]

Piece = str | tuple[str, str]
"""Text, or text and its style (`("FAIL", "bold red")`)."""

_GAP = 2  # spaces between columns
_NARROWEST = 8  # cells; a column is not cut below this
_PROGRESS_NAME = 40  # cells that a source's name may take beside its bar


class SafeConsole(Console):
    """A console that shows text and never obeys it.

    A plain string keeps its brackets and colons, and its control characters are written as escapes, in whatever
    Rich renders: a line, a table's cell, a title, a bar's label. `Text` objects lose their control characters too.
    """

    def __init__(self, *, stderr: bool = False, **options: Any) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False, soft_wrap=True, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Return `text` as it is, whatever markup `options` ask for."""
        return super().render_str(printable(text), **{**options, "markup": False, "emoji": False})

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the segments of `renderable`; the last place where a control character can be stopped."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                shown = "\n".join(printable(line) for line in segment.text.split("\n"))
                yield Segment(shown, segment.style)

    def styled(self, *pieces: Piece) -> None:
        """Print one line made of pieces, each with a style of its own."""
        self.print(_joined(pieces))

    def on_broken_pipe(self) -> None:
        """End without a word when nobody reads any more; 1 would mean FAIL."""
        try:
            super().on_broken_pipe()
        except SystemExit as end:
            raise SystemExit(EXIT_ERROR) from end


out = SafeConsole()
err = SafeConsole(stderr=True)


def _joined(pieces: Iterable[Piece]) -> Text:
    parts = [(piece, "") if isinstance(piece, str) else piece for piece in pieces]
    return Text.assemble(*((printable(text), style) for text, style in parts), end="")


def columns(headers: Sequence[str], rows: Sequence[Sequence[Piece]], *, cut: Sequence[int] = ()) -> None:
    """Print `rows` under `headers`, a line each, in aligned columns.

    Parameters
    ----------
    headers : one for each column
    rows : one cell for each header
    cut : columns that may be shortened, the widest first, where lines are wider than the terminal. Through a pipe
        nothing is shortened.
    """
    lines = [[(header, "bold") for header in headers]]
    lines += [[(cell, "") if isinstance(cell, str) else cell for cell in row] for row in rows]
    shown = [[(printable(text), style) for text, style in line] for line in lines]
    widths = [max(cell_len(line[column][0]) for line in shown) for column in range(len(headers))]
    if cut and out.is_terminal:
        widths = _fitted(widths, cut, out.width)
    for line in shown:
        cells = zip(line, widths, strict=True)
        text = _joined((_sized(cell, width) + " " * _GAP, style) for (cell, style), width in cells)
        text.rstrip()
        if cut and out.is_terminal:
            text.truncate(out.width, overflow="ellipsis")
        out.print(text)


def _fitted(widths: Sequence[int], cut: Sequence[int], most: int) -> list[int]:
    """Return `widths` with the columns in `cut` narrowed, the widest first, until a line has `most` cells."""
    fitted = list(widths)
    while sum(fitted) + _GAP * (len(fitted) - 1) > most:
        widest = max(cut, key=lambda column: fitted[column])
        if fitted[widest] <= _NARROWEST:
            break
        fitted[widest] -= 1
    return fitted


def _sized(text: str, width: int) -> str:
    """Return `text` in exactly `width` cells."""
    short = text if cell_len(text) <= width else set_cell_size(text, width - 1) + "…"
    return set_cell_size(short, width)


def print_json(document: str) -> None:
    """Print JSON as it is: no colour, no wrapping, whatever the terminal."""
    print_text(printable_json(document) + "\n")


def print_text(text: str) -> None:
    """Print text in which nothing is obeyed instead of shown, as it is."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        out.on_broken_pipe()


def print_messages(messages: Sequence[Message]) -> None:
    """Print messages as one JSON list."""
    print_json("[" + ",\n ".join(message.to_json() for message in messages) + "]")


def failure_json(error: str, message: str) -> str:
    """Return what stands in place of a result where there is none."""
    return Failure(error=error, message=encodable(message)).to_json()


def print_error(error: Exception) -> None:
    """Print what went wrong, which says what to do."""
    err.styled((f"{type(error).__name__}:", "red"), f" {error}")


class SafeFormatter(logging.Formatter):
    """Writes what is logged on one line each, whatever the names in it; a traceback follows on lines of its own."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802, logging's own name
        """Return the line of `record`."""
        return printable(super().formatMessage(record))


class Ticker:
    """Counts the frames of one source."""

    def __init__(self, progress: Progress, task: TaskID, total: int) -> None:
        self.total = total
        self._progress = progress
        self._task = task

    def advance(self, frames: int) -> None:
        """Move the bar on by `frames`."""
        self._progress.advance(self._task, frames)

    def at(self, frames: int, expected: int) -> None:
        """Move the bar to `frames` of `expected`."""
        self.total = expected
        self._progress.update(self._task, completed=frames, total=expected)


class FrameProgress:
    """A bar on standard error that counts frames: a `common.baselines.build.BuildProgress`."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    @contextmanager
    def source(self, name: str, frames: int) -> Iterator[Ticker]:
        """Show a bar for the source `name` of about `frames` frames while the block runs."""
        shown = printable(name)
        task = self._progress.add_task(_sized(shown, min(cell_len(shown), _PROGRESS_NAME)), total=frames)
        ticker = Ticker(self._progress, task, frames)
        yield ticker
        self._progress.update(task, completed=ticker.total, total=ticker.total)

    def say(self, text: str) -> None:
        """Print a line above the progress bar."""
        self._progress.console.print(text)


@contextmanager
def frame_progress(console: Console = err) -> Iterator[FrameProgress]:
    """Show progress while the block runs."""
    bars = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("frames"),
        TimeRemainingColumn(),
    )
    with Progress(*bars, console=console, transient=True) as progress:
        yield FrameProgress(progress)
