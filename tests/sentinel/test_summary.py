"""The summary of a check as Markdown: real results, read by a real parser; names from outside are never markup."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from common.contracts.verdicts import Cause, FrameTime, Status
from common.errors import BadMessage
from common.printable import markdown, printable
from sentinel.check import CheckResult
from sentinel.cli.console import failure_json
from sentinel.failure import Failure
from sentinel.summary import read_status, summary
from tests.common.builders import verdict

HOSTILE = "a|b\n# c <img src=x> `d` **e** [f](https://x.example) @team #1 :smile: \\| \x1b[2J \u202e&amp;.mp4"


def rendered(text: str) -> list[Token]:
    """Return what Markdown with tables makes of `text`, piece by piece."""
    blocks = MarkdownIt("commonmark").enable("table").parse(text)
    return [piece for block in blocks for piece in (block.children or [block])]


def rows(text: str) -> list[list[str]]:
    """Return the text of the cells of each row of the tables in `text`, their heads among them."""
    found: list[list[str]] = []
    in_cell = False
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type == "tr_open":
            found.append([])
        in_cell = token.type in {"th_open", "td_open"} or (in_cell and token.type == "inline")
        if in_cell and token.type == "inline":
            found[-1].append("".join(piece.content for piece in token.children or [] if piece.type == "text"))
    return found


def result(*, fails: int = 2, source: str = "clip.mp4", baseline: str = "dock", causes: int = 1) -> CheckResult:
    """Return a check whose last `fails` of five windows failed, for `causes` causes in turns."""
    every = list(Cause)
    windows = tuple(
        verdict(status=Status.FAIL if number >= 5 - fails else Status.PASS, stop=48 + 12 * number).model_copy(
            update={"sources": (source,), "cause": every[number % causes] if number >= 5 - fails else None}
        )
        for number in range(max(5, fails))
    )
    failed = [window for window in windows if window.status is Status.FAIL]
    return CheckResult(
        status=Status.FAIL if failed else Status.PASS, drift_score=0.8 if failed else 0.1, p_value=0.01,
        cause=failed[0].cause if failed else None, response="both" if failed else None,
        began=FrameTime(source=source, time=1.5) if failed else None, baseline=baseline, baseline_id="b" * 32,
        frames=60, windows=windows,
    )  # fmt: skip


def test_a_fail_says_its_figures_and_the_windows_that_failed(tmp_path: Path) -> None:
    (tmp_path / "status.json").write_text(result().to_json())
    text = summary(read_status(tmp_path / "status.json"))
    assert text.startswith("## FAIL\n")
    heads, figures, _, failed = rows(text)
    said = dict(zip(heads, figures, strict=True))
    assert (said["status"], said["score"], said["p"], said["cause"]) == ("FAIL", "0.80", "0.01", "noise")
    assert (said["failed windows"], said["baseline"]) == ("2 of 5", "dock")
    assert failed[0].startswith("36 to ")
    assert (failed[2], failed[-2], failed[-1]) == ("2", "noise", "clip.mp4")


def test_a_pass_has_no_table_of_what_failed() -> None:
    assert [row[0] for row in rows(summary(result(fails=0)))] == ["status", "PASS"]


def test_what_a_check_without_a_verdict_wrote_is_no_verdict_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "status.json").write_text(failure_json("WindowNotFull", HOSTILE))
    found = read_status(tmp_path / "status.json")
    assert found == Failure(error="WindowNotFull", message=HOSTILE)
    heading, *said = rendered(summary(found))[1:]
    assert heading.content == "No verdict"
    assert printable(HOSTILE) in "".join(piece.content for piece in said if piece.type == "text")


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"status": "PASS"}', '{"status": "ERROR"}', "[" * 100_000])
def test_a_file_that_no_check_wrote_is_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "status.json").write_text(text)
    with pytest.raises(BadMessage):
        read_status(tmp_path / "status.json")


def test_names_from_outside_stand_in_their_cells_as_they_are() -> None:
    text = summary(result(source=HOSTILE, baseline=HOSTILE))
    assert {len(row) for row in rows(text)} == {7}
    assert [row[-1] for row in rows(text)][1::2] == [printable(HOSTILE)] * 2
    kinds = {piece.type for piece in rendered(text)}
    assert not kinds & {"link_open", "image", "code_inline", "em_open", "html_block"}
    assert {piece.content for piece in rendered(text) if piece.type == "html_inline"} == {"<code>", "</code>"}


@given(st.text())
def test_any_text_is_shown_as_it_is(text: str) -> None:
    pieces = rendered(f"x {markdown(text)} x")
    shown = "".join(piece.content for piece in pieces if piece.type == "text")
    assert shown == f"x {printable(text)} x"
    assert {piece.type for piece in pieces} <= {"paragraph_open", "paragraph_close", "text", "html_inline"}


def test_a_summary_of_a_long_check_with_long_names_stays_small() -> None:
    text = summary(result(fails=2_000, source="|" * 4_000, causes=2))
    assert len(text.encode()) < 200_000
    assert "further runs of windows are left out" in text
