"""What the pages share that Sentinel writes to files: templates, the chart of scores, pictures, settings, versions.

Such a page is one file with everything in it. It loads nothing, so it opens offline and stays as it was.
"""

from __future__ import annotations

import base64
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2

from common.contracts.verdicts import Status, Verdict
from common.contracts.zones import Zone, zones_text
from common.errors import SentinelError
from common.printable import printable
from common.settings import Settings
from common.version import VERSION

_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 860, 220, 40, 24  # of the chart, in its own units
_GAP = 0.5  # between two columns, where there is room
_MOST_PICTURE_BYTES = 1_000_000
"""Of all pictures of one page, as they stand in it; so it stays under 2 MB."""
_ALWAYS_SHOWN = ("drift_threshold", "p_value")
_MAY_BE_SHOWN = (
    "baseline", "learn", "false_alarms_per_day", "window_frames", "window_stride", "sample_fps", "ignore", "backbone",
    "weights", "pixels", "precision", "embed_every", "device", "max_pixels", "min_side", "max_frames", "max_seconds",
    "policy", "decay_triplets", "canary_triplets", "cooldown_seconds", "close_windows", "first_steps",
    "retrain_steps", "retrain_seconds", "promote_min_gain_db", "promote_max_loss_db", "condition_days",
    "offline_seconds",
)  # fmt: skip
"""Settings that decide verdicts and healing; none of them is a secret, nor an address with one in it."""


@dataclass(frozen=True)
class Point:
    """A verdict in a chart.

    Attributes
    ----------
    begins, ends : where it stands, as a share of the chart's width; a moment if they are equal
    title : is shown when a reader points at it
    """

    begins: float
    ends: float
    verdict: Verdict
    title: str


@dataclass(frozen=True)
class Stretch:
    """A part of the chart that is shaded, in shares of its width."""

    begins: float
    ends: float
    title: str


@dataclass(frozen=True)
class Box:
    """A rectangle as it is drawn, in the chart's own units."""

    x: float
    y: float
    width: float
    height: float
    look: str
    title: str


@dataclass(frozen=True)
class Chart:
    """Scores as columns, the threshold as a line across them, and shaded parts behind them."""

    columns: tuple[Box, ...]
    spans: tuple[Box, ...]
    threshold: float
    begins: str
    ends: str
    width: int = _WIDTH
    height: int = _HEIGHT
    left: int = _LEFT
    axis: int = _HEIGHT - _BOTTOM

    @property
    def line(self) -> float:
        """Where the threshold is."""
        return self.axis * (1 - self.threshold)


def chart(points: Iterable[Point], *, threshold: float, begins: str, ends: str, spans: Sequence[Stretch] = ()) -> Chart:
    """Return the scores as columns: of the points that begin at the same place the worst one."""
    axis = _HEIGHT - _BOTTOM
    columns: dict[int, tuple[Point, Box]] = {}
    for point in points:
        left, right = _x(point.begins), _x(point.ends)
        place = round(left)
        known = columns.get(place)
        if known is not None and rank(known[0].verdict) >= rank(point.verdict):
            continue
        top = axis * (1 - point.verdict.drift_score)
        box = Box(left, top, max(right - left - _GAP, 1.0), axis - top + 1, point.verdict.status, point.title)
        columns[place] = point, box
    shaded = []
    for span in spans:
        left, right = _x(span.begins), _x(span.ends)
        shaded.append(Box(left, 0.0, max(right - left, 1.0), axis, "span", span.title))
    drawn = tuple(box for _, (_, box) in sorted(columns.items()))
    return Chart(drawn, tuple(shaded), threshold, begins, ends)


def _x(share: float) -> float:
    return _LEFT + (_WIDTH - _LEFT) * min(max(share, 0.0), 1.0)


def rank(verdict: Verdict) -> tuple[bool, float]:
    """Return what orders verdicts from the best to the worst."""
    return verdict.status is Status.FAIL, verdict.drift_score


@dataclass(frozen=True)
class Shown:
    """A picture in the page, as a data URI."""

    data: str
    caption: str


class Gallery:
    """The pictures of one page, as many as keep it small.

    Attributes
    ----------
    left_out : number of those for which there was no room
    """

    def __init__(self) -> None:
        self._room = _MOST_PICTURE_BYTES
        self.left_out = 0

    def show(self, jpeg: bytes | None, caption: str) -> Shown | None:
        """Return a picture as it stands in the page; None if there is none, or no room."""
        if jpeg is None:
            return None
        data = f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
        if len(data) > self._room:
            self.left_out += 1
            return None
        self._room -= len(data)
        return Shown(data, caption)


def settings_rows(settings: Settings) -> list[tuple[str, str]]:
    """Return names and values of the settings that decide and were set, besides those that always matter."""
    names = [*_ALWAYS_SHOWN, *(name for name in _MAY_BE_SHOWN if name in settings.model_fields_set)]
    return [(f"SENTINEL_{name.upper()}", _value_text(getattr(settings, name))) for name in names]


def _value_text(value: object) -> str:
    if isinstance(value, tuple):
        zones: tuple[Zone, ...] = value
        return zones_text(zones)
    return "" if value is None else str(value)


def version_rows() -> list[tuple[str, str]]:
    """Return what this page was made with."""
    return [("Sentinel", VERSION), ("Python", platform.python_version())]


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
    return printable(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def write_page(text: str, path: Path) -> None:
    """Write a page to `path`; raise `SentinelError` if it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SentinelError(f"the report cannot be written to {path} ({error.strerror}): name another file") from error
