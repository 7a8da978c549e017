"""One check as a page: a picture of the scores over time, and why. HTML with an SVG in it, nothing to load."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2

from common.contracts.verdicts import Status, Verdict
from common.errors import SentinelError
from common.printable import printable
from common.responses import ADVICE, resolution_in
from sentinel.check import CheckResult, runs

_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 860, 220, 40, 24  # of the picture, in its own units
_GAP = 0.5  # between two bars


@dataclass(frozen=True)
class Bar:
    """One window in the picture."""

    x: float
    y: float
    width: float
    height: float
    status: Status
    title: str


@dataclass(frozen=True)
class Picture:
    """The scores as bars, and the threshold as a line across them."""

    bars: tuple[Bar, ...]
    line: float
    last: int
    width: int = _WIDTH
    height: int = _HEIGHT
    left: int = _LEFT
    axis: int = _HEIGHT - _BOTTOM


def write_report(result: CheckResult, path: Path, *, threshold: float) -> None:
    """Write the page of `result` to `path`; raise `SentinelError` if it cannot be written."""
    write_page(page(result, threshold), path)


def write_page(text: str, path: Path) -> None:
    """Write a page to `path`; raise `SentinelError` if it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SentinelError(f"the report cannot be written to {path} ({error.strerror}): name another file") from error


def page(result: CheckResult, threshold: float) -> str:
    """Return the whole page."""
    return page_template("report.html.j2").render(
        result=result,
        advice=ADVICE,
        changed=resolution_in(result.windows),
        threshold=threshold,
        picture=picture(result.windows, threshold),
        runs=runs(result.windows),
    )


def page_template(name: str) -> jinja2.Template:
    """Return a template of this package: it escapes markup, and shows control characters."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("sentinel"),
        autoescape=True,
        finalize=_shown,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def _shown(value: object) -> object:
    """Return a value of the page with its control characters shown; Jinja escapes its markup."""
    return printable(value) if isinstance(value, str) else value


def picture(windows: Sequence[Verdict], threshold: float) -> Picture:
    """Return the scores as bars, each as wide as the frames that no window before it had."""
    last = windows[-1].stop
    axis = _HEIGHT - _BOTTOM
    bars: list[Bar] = []
    reached = 0
    for window in windows:
        left, right = (_x(frame, last) for frame in (max(window.start, reached), window.stop))
        top = axis * (1 - window.drift_score)
        title = f"{window.start_time:.1f} to {window.stop_time:.1f} s: {window.status}, {window.drift_score:.2f}"
        bars.append(Bar(left, top, max(right - left - _GAP, _GAP), axis - top + 1, window.status, title))
        reached = window.stop
    return Picture(tuple(bars), axis * (1 - threshold), last)


def _x(frame: int, last: int) -> float:
    return _LEFT + (_WIDTH - _LEFT) * frame / last
