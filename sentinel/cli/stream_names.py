"""Arguments of `sentinel streams ...`: names of streams, who says so, how long, and asking a person."""

from __future__ import annotations

import getpass
import re
import sys
from typing import Annotated

import typer

from common.contracts.ids import check_stream_name
from common.durations import LONGEST_MUTE_SECONDS, UNIT_SECONDS
from common.printable import encodable, printable
from sentinel.cli.console import err

StreamArgument = Annotated[str, typer.Argument(metavar="STREAM", help="Name of the stream.", show_default=False)]
ByOption = Annotated[str, typer.Option("--by", help="Who says so.", show_default="the user of this shell")]
WhyOption = Annotated[str, typer.Option("--why", help="Why, for the history.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]

_LONGEST_TEXT = 500  # characters of a name or a reason that are kept
_DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?[smhdw])+")
_PART = re.compile(r"([0-9.]+)([smhdw])")


def stream_name(text: str) -> str:
    """Return `text` as a stream's name; a usage error says what is wrong with it."""
    try:
        return check_stream_name(encodable(text))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def person(by: str) -> str:
    """Return who speaks: `by`, else the user of this shell."""
    if by.strip():
        return encodable(by.strip())[:_LONGEST_TEXT]
    try:
        return encodable(getpass.getuser())[:_LONGEST_TEXT]
    except (KeyError, OSError):  # a container's user may have no name
        return "unknown"


def reason(why: str) -> str:
    """Return the reason that was given, as it is kept."""
    return encodable(why.strip())[:_LONGEST_TEXT]


def confirm(question: str) -> None:
    """Ask on the terminal; end without a result if the answer is no, with a usage error if nobody can be asked."""
    if not sys.stdin.isatty():
        raise typer.BadParameter(f"nobody can be asked here ({question}): say --yes")
    err.print(printable(question))
    typer.confirm("Is that right?", abort=True, err=True)


def seconds_of(text: str) -> float:
    """Return a length of time such as 90s, 30m, 2h, 1d, 1w or 1h30m in seconds.

    Examples
    --------
    >>> seconds_of("1h30m")
    5400.0
    """
    plain = text.strip().lower()
    if not _DURATION.fullmatch(plain):
        raise typer.BadParameter(f"{encodable(text)!r} is no length of time: write 90s, 30m, 2h, 1d, 1w, or 1h30m")
    seconds = sum(float(number) * UNIT_SECONDS[unit] for number, unit in _PART.findall(plain))
    if not 1 <= seconds <= LONGEST_MUTE_SECONDS:
        raise typer.BadParameter(f"{encodable(text)!r} is not between 1s and {LONGEST_MUTE_SECONDS / 86_400:.0f}d")
    return seconds
