"""One check as a page: a picture of the scores over time, and why. Plain HTML with an SVG, nothing to load."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from html import escape
from pathlib import Path

from common.contracts.verdicts import Status, Verdict, worst
from common.errors import SentinelError
from sentinel.check import CheckResult
from sentinel.cli.console import REMEDIES

_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 860, 220, 40, 24
_COLOURS = {Status.PASS: "#2e7d32", Status.FAIL: "#c62828"}
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 900px; margin: 2em auto; padding: 0 1em; color: #222 }
h1 span { color: #fff; padding: .1em .5em; border-radius: .2em }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .3em .6em; border-bottom: 1px solid #ddd }
svg text { font-size: 11px; fill: #555 }
"""


def write_report(result: CheckResult, path: Path, *, threshold: float) -> None:
    """Write the page of `result` to `path`; raise `SentinelError` where that cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page(result, threshold), encoding="utf-8")
    except OSError as error:
        raise SentinelError(f"the report cannot be written to {path} ({error.strerror}): name another file") from error


def page(result: CheckResult, threshold: float) -> str:
    """Return the whole page."""
    colour = _COLOURS[result.status]
    lines = [
        f"<p>Drift score <b>{result.drift_score:.2f}</b>, p {result.p_value:.2g}, {result.frames} frames against "
        f"baseline <b>{escape(result.baseline)}</b> ({escape(result.baseline_id[:12])}).</p>"
    ]
    if result.cause and result.remedy:
        lines.append(f"<p>Cause: <b>{escape(result.cause)}</b>; {escape(REMEDIES[result.remedy])}.</p>")
    if result.began:
        lines.append(f"<p>It began in {escape(result.began.source)} at {result.began.time:.1f} s.</p>")
    return (
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>Sentinel: {result.status}</title>"
        f"<style>{_STYLE}</style></head><body>"
        f"<h1>Sentinel <span style='background:{colour}'>{result.status}</span></h1>{''.join(lines)}"
        f"<h2>Drift score of each window</h2>{_picture(result.windows, threshold)}"
        f"<h2>Windows</h2>{_table(result.windows)}</body></html>\n"
    )


def _picture(windows: Sequence[Verdict], threshold: float) -> str:
    """Return the scores as bars, each as wide as the frames that no window before it had, and the threshold."""
    last = windows[-1].stop
    high = _HEIGHT - _BOTTOM

    def x(frame: int) -> float:
        return _LEFT + (_WIDTH - _LEFT) * frame / last

    bars, reached = [], 0
    for window in windows:
        left, right = x(max(window.start, reached)), x(window.stop)
        top = high * (1 - window.drift_score)
        title = f"{window.start_time:.1f} to {window.stop_time:.1f} s: {window.status}, {window.drift_score:.2f}"
        wide = max(right - left - 0.5, 0.5)
        bars.append(
            f"<rect x='{left:.1f}' y='{top:.1f}' width='{wide:.1f}' height='{high - top + 1:.1f}' "
            f"fill='{_COLOURS[window.status]}'><title>{escape(title)}</title></rect>"
        )
        reached = window.stop
    line = high * (1 - threshold)
    return (
        f"<svg viewBox='0 0 {_WIDTH} {_HEIGHT}' role='img' aria-label='drift score over time'>{''.join(bars)}"
        f"<line x1='{_LEFT}' x2='{_WIDTH}' y1='{line:.1f}' y2='{line:.1f}' stroke='#555' stroke-dasharray='4'/>"
        f"<text x='0' y='{line + 4:.1f}'>{threshold:.2f}</text><text x='0' y='11'>1</text>"
        f"<text x='0' y='{high}'>0</text><text x='{_LEFT}' y='{_HEIGHT - 6}'>frame 0</text>"
        f"<text x='{_WIDTH}' y='{_HEIGHT - 6}' text-anchor='end'>frame {last}</text></svg>"
    )


def _table(windows: Sequence[Verdict]) -> str:
    head = "".join(
        f"<th>{name}</th>"
        for name in (
            "frames",
            "time",
            "windows",
            "status",
            "score",
            "p",
            "cause",
            "what moved, in its usual spreads",
            "worst frames",
        )
    )
    rows = []
    for _, group in itertools.groupby(windows, key=lambda window: window.cause):
        run = list(group)
        window = worst(run)
        moved = ", ".join(f"{escape(s.feature)} {s.shift:+.1f}" for s in window.leading_features[:3])
        frames = ", ".join(f"{frame.time:.1f} s" for frame in window.worst_frames) if window.cause else ""
        cells = (
            f"{run[0].start} to {run[-1].stop}",
            f"{run[0].start_time:.1f} to {run[-1].stop_time:.1f} s",
            str(len(run)),
            f"<b style='color:{_COLOURS[window.status]}'>{window.status}</b>",
            f"{window.drift_score:.2f}",
            f"{window.p_value:.2g}",
            escape(window.cause or ""),
            moved,
            frames,
        )
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
