"""One check as a page: scores over time, pictures of what failed beside golden, and by what it was judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from common.baselines.storage import StoredBaseline
from common.contracts.verdicts import Verdict
from common.moments import clock
from common.responses import ADVICE, resolution_in
from common.settings import Settings
from sentinel.album import Shot
from sentinel.check import CheckResult, runs, worst_runs
from sentinel.pages import Chart, Gallery, Point, chart, page_template, settings_rows, version_rows, write_page

_MOST_RUNS = 500  # rows of the table


@dataclass(frozen=True)
class Evidence:
    """What is shown beside the result of a check.

    Attributes
    ----------
    stored : the baseline
    shots : pictures of what failed, by the id of the first verdict of their run
    reference : JPEG of what golden looks like; None: there is none
    """

    stored: StoredBaseline
    shots: Mapping[str, Shot]
    reference: bytes | None


def write_report(result: CheckResult, path: Path, settings: Settings, evidence: Evidence) -> None:
    """Write the page of `result` to `path`; raise `SentinelError` if it cannot be written."""
    write_page(page(result, settings, evidence), path)


def page(result: CheckResult, settings: Settings, evidence: Evidence) -> str:
    """Return the whole page."""
    gallery = Gallery()
    golden = gallery.show(evidence.reference, f"golden: {result.baseline}")
    rows = runs(result.windows)
    shots = [shot for run in rows if (shot := evidence.shots.get(run.first.id)) is not None]
    failed = [shown for shot in shots if (shown := gallery.show(shot.jpeg, shot.caption)) is not None]
    listed = worst_runs(rows, _MOST_RUNS)
    return page_template("report.html.j2").render(
        result=result,
        advice=ADVICE,
        changed=resolution_in(result.windows),
        chart=scores(result.windows, settings.drift_threshold),
        golden=golden,
        failed=failed,
        runs=listed,
        left_out=len(rows) - len(listed),
        settings=settings_rows(settings),
        versions=[*version_rows(), *_baseline_rows(evidence.stored)],
    )


def scores(windows: Sequence[Verdict], threshold: float) -> Chart:
    """Return the chart of scores, each column as wide as the frames that no window before it had."""
    last = windows[-1].stop
    points: list[Point] = []
    reached = 0
    for window in windows:
        title = f"{window.start_time:.1f} to {window.stop_time:.1f} s: {window.status}, {window.drift_score:.2f}"
        points.append(Point(max(window.start, reached) / last, window.stop / last, window, title))
        reached = window.stop
    return chart(points, threshold=threshold, begins="frame 0", ends=f"frame {last}")


def _baseline_rows(stored: StoredBaseline) -> list[tuple[str, str]]:
    baseline, spec = stored.baseline, stored.baseline.feature_spec
    rows = [("baseline", f"{baseline.name}, made {clock(baseline.created_at)}"), ("its digest", stored.id)]
    if spec.backbone:
        rows += [("backbone", f"{spec.backbone}, {spec.precision}"), ("its weights", spec.weights)]
    rows += [("decoding", spec.decode_pipeline), ("sensors", spec.sensors)]
    return rows + [(f"baseline made with {name}", version) for name, version in sorted(baseline.libraries.items())]
