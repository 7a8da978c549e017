"""Whatever is printed is shown as it is and never obeyed, in whatever Rich renders."""

from __future__ import annotations

import io
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.logging import RichHandler
from rich.table import Table
from rich.text import Text

from common.printable import printable
from sentinel.cli import console
from sentinel.cli.console import SafeConsole, SafeFormatter, columns, frame_progress
from tests.sentinel.cli.names import WORST, file_names, names, obeyed

anything = names | file_names


def screen(width: int = 10_000) -> tuple[SafeConsole, io.StringIO]:
    file = io.StringIO()
    return SafeConsole(file=file, force_terminal=True, color_system=None, width=width), file


@given(anything)
def test_a_line_shows_its_text_whole_and_nothing_else(name: str) -> None:
    safe, file = screen()
    safe.print(name)
    safe.print(name, markup=True, emoji=True)
    safe.styled((name, "bold red"), name)
    assert file.getvalue() == "\n".join([printable(name)] * 2 + [printable(name) * 2, ""])


@given(anything)
def test_what_a_caller_builds_with_rich_itself_is_not_obeyed_either(name: str) -> None:
    safe, file = screen()
    table = Table(title=name)
    table.add_column(name)
    table.add_row(name)
    table.add_row(Text(name))
    safe.print(table)
    safe.print(Text(name))
    assert obeyed(file.getvalue()) == ""


@given(anything)
def test_a_progress_bar_names_its_source_on_one_line_and_obeys_nothing(name: str) -> None:
    safe, file = screen(120)
    with frame_progress(safe) as progress:
        with progress.source(name, 10) as ticker:
            ticker.advance(3)
        progress.say(name)
    own = {"\x1b[?25l", "\x1b[?25h", "\x1b[2K", "\x1b[1A", "\r"}
    rest = file.getvalue()
    for sequence in own:
        rest = rest.replace(sequence, "")
    assert obeyed(rest) == ""


@given(anything)
def test_what_is_logged_is_one_line(name: str) -> None:
    record = logging.LogRecord("sentinel", logging.WARNING, "", 1, "stream %s: %s", (name, name), None)
    assert SafeFormatter("%(levelname)s %(message)s").format(record) == "WARNING " + printable(f"stream {name}: {name}")
    safe, file = screen()
    handler = RichHandler(console=safe, show_path=False)
    handler.setFormatter(SafeFormatter("%(message)s"))
    handler.emit(record)
    assert obeyed(file.getvalue()) == ""


@given(st.lists(st.tuples(anything, anything), min_size=1, max_size=4), st.integers(30, 200))
def test_columns_take_a_line_for_each_row_and_fit_the_terminal(rows: list[tuple[str, str]], width: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        safe, file = screen(width)
        patch.setattr(console, "out", safe)
        columns(["stream", "status"], rows, cut=(0, 1))
    lines = file.getvalue().split("\n")
    assert len(lines) == len(rows) + 2
    assert lines[-1] == ""
    assert all(cell_len(line) <= width for line in lines)
    assert obeyed(file.getvalue()) == ""


def test_through_a_pipe_nothing_is_shortened() -> None:
    with pytest.MonkeyPatch.context() as patch:
        file = io.StringIO()
        patch.setattr(console, "out", SafeConsole(file=file, width=20))
        columns(["stream", "status"], [["x" * 200, ("FAIL", "red")], [WORST, "PASS"]], cut=(0,))
    header, long, worst, end = file.getvalue().split("\n")
    assert long == "x" * 200 + "  FAIL"
    assert worst.split("  ")[0] == printable(WORST)
    assert header.index("status") == long.index("FAIL") == worst.index("PASS")
    assert end == ""
