"""`sentinel check`: footage in, verdict out."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from common.errors import SentinelError, SettingsError
from common.responses import ADVICE, resolution_in
from common.settings import Settings, get_settings
from common.whole_files import write_whole
from sentinel.cli.console import (
    EXIT_ERROR,
    EXIT_FAIL,
    JsonOption,
    columns,
    failure_json,
    frame_progress,
    out,
    print_error,
    print_json,
)
from sentinel.cli.footage import footage_path
from sentinel.cli.stack import stop_on_signals
from sentinel.cli.zones import IgnoreOption, ignored

if TYPE_CHECKING:
    from common.baselines.storage import StoredBaseline
    from sentinel.album import Album
    from sentinel.check import CheckResult, Run


def check(
    source: Annotated[
        Path,
        typer.Argument(
            parser=footage_path,
            metavar="SOURCE",
            help="A video, an image folder, or a folder of them; or an object or prefix, s3://BUCKET/KEY.",
        ),
    ],
    baseline: Annotated[str, typer.Option(help="Name or folder of the golden baseline.")] = "",
    golden: Annotated[
        Path | None,
        typer.Option(
            parser=footage_path, help="Golden footage in place of a baseline: learned from, for this run alone."
        ),
    ] = None,
    ignore: IgnoreOption = None,
    as_json: JsonOption = False,
    status_dir: Annotated[Path | None, typer.Option(help="Write status.json into this folder.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write a page with scores and pictures to this file.")] = None,
) -> None:
    """Judge footage against a baseline, without Redis or Celery. Exit 0: PASS, 1: FAIL, 3: no verdict."""
    from sentinel.album import album_of

    if golden is not None and baseline:
        raise typer.BadParameter("there is a --baseline to judge by, or --golden footage to make one of, not both")
    stop_on_signals(raising=True)
    settings = get_settings().model_copy(update=ignored(ignore))
    try:
        # Before the work, not after it.
        if status_dir is not None:
            require_writable(status_dir, "status.json cannot be written to", "--status-dir")
        if report is not None:
            require_writable(report.parent, f"the report cannot be written to {report}:", "--report")
        with reference(golden, baseline or settings.baseline or "", settings) as stored:
            album = album_of(settings, stored) if report is not None else None
            result = judge(source, stored, settings, album)
    except (SentinelError, OSError) as error:
        leave_failure(status_dir, failure_json(type(error).__name__, str(error)))
        raise
    except KeyboardInterrupt:
        stopped = failure_json("Stopped", "it was told to stop before there was a verdict")
        leave_failure(status_dir, stopped)
        if as_json:
            print_json(stopped)
        raise
    if as_json:
        print_json(result.to_json())
    else:
        show(result)
    try:
        if status_dir is not None:
            write_status(status_dir, result.to_json())
        if report is not None:
            write_page(result, report, settings, stored, album)
    except SentinelError as error:  # the verdict has been printed, and stays the only JSON on standard output
        print_error(error)
        raise typer.Exit(EXIT_ERROR) from error
    raise typer.Exit(0 if result.status == "PASS" else EXIT_FAIL)


@contextmanager
def reference(golden: Path | None, baseline: str, settings: Settings) -> Iterator[StoredBaseline]:
    """Yield what is judged by: a baseline of this name or folder, or one that is made of `golden` footage."""
    from common.baselines.storage import find_baseline, load_baseline

    if golden is None:
        if not baseline:
            raise SettingsError(
                "no baseline: give --baseline NAME or set SENTINEL_BASELINE; see `sentinel baseline list`; or give "
                "--golden FOOTAGE"
            )
        yield load_baseline(find_baseline(baseline, settings.baselines_dir))
        return
    with temporary_folder() as folder:
        yield learn(golden, folder / "golden", settings)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield a folder that is removed afterwards."""
    try:
        made = tempfile.TemporaryDirectory(prefix="sentinel-")
    except OSError as error:
        raise SentinelError(
            f"no temporary folder can be made to learn in ({error.strerror}): in a container with a read-only root, "
            "give it --tmpfs /tmp"
        ) from error
    with made as name:
        yield Path(name)


def learn(source: Path, folder: Path, settings: Settings) -> StoredBaseline:
    """Return a baseline made of the footage at `source`, with a bar on standard error; it is kept in `folder`."""
    from common.baselines.build import build_baseline
    from common.extraction import load_extractor
    from common.sources.find import find_sources
    from common.sources.limits import Limits
    from common.sources.local import modality_of

    paths = find_sources(source)
    extractor = load_extractor(settings, modality_of(paths[0], Limits.from_settings(settings)), None)
    with frame_progress() as progress:
        return build_baseline(paths, "golden", folder, extractor, settings, progress, examples=False)


def leave_failure(status_dir: Path | None, document: str) -> None:
    """Write into `status_dir`, if there is one, why there is no verdict."""
    if status_dir is None:
        return
    try:
        write_status(status_dir, document)
    except SentinelError as second:
        print_error(second)


def judge(source: Path, stored: StoredBaseline, settings: Settings, album: Album | None = None) -> CheckResult:
    """Judge `source` by a baseline, with a bar on standard error; `album` keeps pictures of what fails."""
    from common.extraction import extractor_of
    from common.sources.find import find_sources
    from sentinel import check as checking

    paths = find_sources(source)
    extractor = extractor_of(settings, stored.baseline.feature_spec)
    with frame_progress() as progress:
        return checking.check(paths, stored, extractor, settings, progress, album)


def require_writable(folder: Path, what: str, option: str) -> None:
    """Make `folder` and raise `SentinelError` if nothing can be written into it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SentinelError(f"{what} {folder} ({error.strerror}): name another place with {option}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SentinelError(f"{what} {folder} (no permission): name another place with {option}")


def write_page(
    result: CheckResult, path: Path, settings: Settings, stored: StoredBaseline, album: Album | None
) -> None:
    """Write the report to `path`."""
    from sentinel.album import reference_of
    from sentinel.report import Evidence, write_report

    shots = album.shots() if album is not None else {}
    write_report(result, path, settings, Evidence(stored, shots, reference_of(settings, stored)))


def write_status(folder: Path, document: str) -> None:
    """Write `status.json`, whole or not at all: whoever watches the volume never reads half of it."""
    try:
        write_whole(folder / "status.json", f"{document}\n".encode())
    except OSError as error:
        raise SentinelError(
            f"status.json cannot be written to {folder} ({error.strerror}): name another place with --status-dir"
        ) from error


def show(result: CheckResult) -> None:
    """Print the windows and the verdict."""
    from sentinel.check import runs

    columns(
        ["frames", "time", "windows", "status", "score", "p", "cause", "what moved (in its reference spreads)"],
        [_run_row(run) for run in runs(result.windows)],
        cut=(7,),
    )
    colour = "bold green" if result.status == "PASS" else "bold red"
    why = f", cause {result.cause}" if result.cause else ""
    out.styled(
        (result.status, colour),
        f"  drift score {result.drift_score:.2f}, p {result.p_value:.2g}{why} "
        f"({result.frames} frames against baseline {result.baseline})",
    )
    if provisional := sum(window.provisional for window in result.windows):
        out.print(
            f"provisional: {provisional} of {len(result.windows)} verdicts; the camera is not known at their hours, so "
            "light and colour are not judged"
        )
    if changed := resolution_in(result.windows):
        out.styled((changed[0], "yellow"), f": {changed[1]}")
    if result.began:
        advice = f"; {ADVICE[result.response]}" if result.response else ""
        out.print(f"began {result.began.source} at {result.began.time:.1f} s{advice}")


def _run_row(run: Run) -> list[str]:
    """Return one row of the table, with the figures of the worst window."""
    window = run.worst
    return [
        f"{run.first.start}-{run.last.stop}",
        f"{run.first.start_time:.1f}-{run.last.stop_time:.1f} s",
        str(run.count),
        window.status,
        f"{window.drift_score:.2f}",
        f"{window.p_value:.2g}",
        window.cause or "",
        ", ".join(f"{shift.feature} {shift.shift:+.1f}" for shift in window.leading_features[:3]),
    ]
