"""What `sentinel up` shows of the logs of its processes."""

from __future__ import annotations

import pytest

from sentinel.cli.stack import ShownLog
from tests.sentinel.cli.conftest import captured

LINES = """
 -------------- embed@here v5.7.0
- ** ---------- [config]
[2026-11-30 07:02:10,819: INFO/MainProcess] embed@here ready.
[tasks]
2026-11-30 07:02:11,708 INFO the page answers
  of no message
[2026-11-30 07:10:42,754: ERROR/ForkPoolWorker-1] Task sentinel.embed raised unexpected: OSError()
Traceback (most recent call last):
  File "a.py", line 1, in f

OSError
[2026-11-30 07:10:43,000: INFO/MainProcess] goes on
worker: Warm shutdown (MainProcess)
Traceback (most recent call last):
KeyError: 1
"""


def test_messages_and_what_belongs_to_trouble_are_shown_and_banners_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def show() -> None:
        shown = ShownLog()
        for line in LINES.splitlines():
            shown("embed", line)
            shown("page", "a banner of another process")

    lines = [line.removeprefix("        embed ") for line in captured(monkeypatch, show).stderr.splitlines()]
    assert lines == [
        "[2026-11-30 07:02:10,819: INFO/MainProcess] embed@here ready.",
        "2026-11-30 07:02:11,708 INFO the page answers",
        "[2026-11-30 07:10:42,754: ERROR/ForkPoolWorker-1] Task sentinel.embed raised unexpected: OSError()",
        "Traceback (most recent call last):",
        '  File "a.py", line 1, in f',
        "OSError",
        "[2026-11-30 07:10:43,000: INFO/MainProcess] goes on",
        "Traceback (most recent call last):",
        "KeyError: 1",
    ]
