"""The command line in this process, on a real Redis: quick enough for thousands of names."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from common.settings import get_settings
from common.store import Store
from sentinel.cli import console
from sentinel.cli.main import main
from sentinel.stack.redis_server import RedisServer


@dataclass(frozen=True)
class Done:
    """What a command printed, and its exit code."""

    code: int
    stdout: str
    stderr: str


class Screen(io.TextIOWrapper):
    """A terminal, or with `terminal` False a pipe, that keeps what is written to it."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", newline="")
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal

    def text(self) -> str:
        self.flush()
        buffer = self.buffer
        assert isinstance(buffer, io.BytesIO)
        return buffer.getvalue().decode()


class CommandLine:
    """Runs `sentinel` with the settings of a test."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.patch = patch

    def set(self, name: str, value: str) -> None:
        self.patch.setenv(name, value)
        get_settings.cache_clear()

    def run(self, *arguments: str, width: int | None = None) -> Done:
        """Run a command through a pipe, or on a terminal of `width` columns."""
        with self.patch.context() as patch:
            patch.setattr(sys, "argv", ["sentinel", *arguments])
            for screen in (console.out, console.err):
                patch.setattr(screen, "_width", None)  # what runs the tests may have set a width before it was made
                patch.setattr(screen, "is_interactive", width is not None)  # it asked so when it was made
            if width is not None:
                patch.setenv("COLUMNS", str(width))
            return captured(patch, main, terminal=width is not None)


def captured(patch: pytest.MonkeyPatch, action: Callable[[], object], *, terminal: bool = False) -> Done:
    """Return what `action` prints; anything but an exit that it raises is the test's."""
    out, err = Screen(terminal=terminal), Screen(terminal=terminal)
    patch.setattr(sys, "stdout", out)
    patch.setattr(sys, "stderr", err)
    code = 0
    try:
        action()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
    return Done(code, out.text(), err.text())


@pytest.fixture
def sentinel(store: Store, redis_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    line = CommandLine(monkeypatch)
    line.set("SENTINEL_REDIS_URL", redis_server.url)
    line.set("SENTINEL_STATE_DIR", str(tmp_path / "state"))
    line.set("SENTINEL_WATCH_DIR", str(tmp_path / "incoming"))
    line.set("SENTINEL_BASELINES_DIR", str(tmp_path / "baselines"))
    return line
