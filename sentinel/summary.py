"""One check as Markdown, for the summary of a job that ran it: verdict, figures, and the windows that failed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from common.contracts.verdicts import Status
from common.errors import BadMessage
from common.printable import markdown
from common.responses import ADVICE, resolution_in
from sentinel.check import CheckResult, Run, runs, worst_runs
from sentinel.failure import Failure

_MOST_RUNS = 50  # rows of the table; what shows summaries takes about a megabyte
_LONGEST_NAME = 200  # characters
_NO_CAUSE = "none"


def read_status(path: Path) -> CheckResult | Failure:
    """Return what a check wrote to its `status.json`.

    Raises
    ------
    BadMessage
        If the file is no such result.
    OSError
        If it cannot be read.
    """
    text = path.read_bytes()
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadMessage(f"{path} is no JSON: name the status.json that `sentinel check` wrote") from error
    failed = isinstance(document, dict) and document.get("status") == "ERROR"
    return (Failure if failed else CheckResult).from_json(text)


def summary(found: CheckResult | Failure) -> str:
    """Return the Markdown of a check. Names from outside stand in it as they are; nothing in them is markup."""
    blocks = _of_failure(found) if isinstance(found, Failure) else _of_result(found)
    return "\n\n".join(blocks) + "\n"


def _of_failure(failure: Failure) -> list[str]:
    return ["## No verdict", f"{markdown(failure.error)}: {markdown(failure.message)}"]


def _of_result(result: CheckResult) -> list[str]:
    failed = [window for window in result.windows if window.status is Status.FAIL]
    figures = _table(
        ["status", "score", "p", "cause", "failed windows", "frames", "baseline"],
        [
            [
                result.status, f"{result.drift_score:.2f}", f"{result.p_value:.2g}", result.cause or _NO_CAUSE,
                f"{len(failed)} of {len(result.windows)}", str(result.frames), markdown(result.baseline),
            ]
        ],
    )  # fmt: skip
    blocks = [f"## {result.status}", figures]
    if result.response:
        blocks.append(f"What it calls for, **{result.response}**: {ADVICE[result.response]}.")
    if result.began:
        blocks.append(f"It began in {_name(result.began.source)} at {result.began.time:.1f} s.")
    if changed := resolution_in(result.windows):
        blocks.append(f"{changed[0]}: {markdown(changed[1])}")
    if failed:
        blocks += _failed_runs([run for run in runs(result.windows) if run.worst.status is Status.FAIL])
    return blocks


def _failed_runs(found: Sequence[Run]) -> list[str]:
    """Return the table of runs of windows that failed for one cause, and how many runs it leaves out."""
    listed = worst_runs(found, _MOST_RUNS)
    left_out = len(found) - len(listed)
    blocks = [_table(["frames", "seconds", "windows", "score", "p", "cause", "source"], [_row(run) for run in listed])]
    return blocks + ([f"{left_out} further runs of windows are left out, with lower scores."] if left_out else [])


def _row(run: Run) -> list[str]:
    worst = run.worst
    return [
        f"{run.first.start} to {run.last.stop}",
        f"{run.first.start_time:.1f} to {run.last.stop_time:.1f}",
        str(run.count),
        f"{worst.drift_score:.2f}",
        f"{worst.p_value:.2g}",
        worst.cause or _NO_CAUSE,
        _name(worst.sources[0]) + (f" and {len(worst.sources) - 1} more" if len(worst.sources) > 1 else ""),
    ]


def _name(source: str) -> str:
    """Return a source as it is shown: of a long path the end."""
    return markdown(source if len(source) <= _LONGEST_NAME else f"…{source[1 - _LONGEST_NAME :]}")


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in [heads, ["---"] * len(heads), *rows])
