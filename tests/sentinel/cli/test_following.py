"""`sentinel events --follow` and `sentinel status --watch`: what goes on is shown as it comes, until Ctrl-C."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from common.contracts.events import WindowFailed, WindowPassed
from common.contracts.verdicts import Status
from common.store import Store, keys
from sentinel.stack.redis_server import RedisServer
from tests.common.builders import batch, verdict

PATIENCE_SECONDS = 90.0


class Followed:
    """A command that goes on, and what it has written so far."""

    def __init__(self, process: subprocess.Popen[bytes], output: int) -> None:
        self.process = process
        self.text = ""
        self._output = output

    def wait_for(self, *words: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not all(word in self.text for word in words):
            assert time.monotonic() < deadline, (words, self.text)
            if select.select([self._output], [], [], 0.2)[0]:
                self.text += os.read(self._output, 65536).decode(errors="replace")

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE_SECONDS)


@contextmanager
def running(url: str, folder: Path, *arguments: str, terminal: bool = False) -> Iterator[Followed]:
    own = {"SENTINEL_REDIS_URL": url, "SENTINEL_STATE_DIR": str(folder / "state"), "TERM": "xterm", "COLUMNS": "120"}
    ours, its = pty.openpty() if terminal else os.pipe()
    with (folder / "errors").open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "sentinel", *arguments],
            env={**os.environ, **own},
            stdout=its,
            stderr=errors,
            # Whoever runs the tests in the background of a shell has them ignore Ctrl-C.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509, it starts no thread
        )
    os.close(its)
    try:
        yield Followed(process, ours)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(PATIENCE_SECONDS)
        os.close(ours)


def announce(store: Store, stream: str, status: Status) -> None:
    kind = WindowFailed if status is Status.FAIL else WindowPassed
    store.event_log.announce(kind.about(verdict(stream=stream, status=status), model="vfi", stream=stream))


@pytest.mark.parametrize("as_json", [False, True])
def test_events_are_followed_and_each_is_shown_once(
    store: Store, redis_server: RedisServer, tmp_path: Path, as_json: bool
) -> None:
    announce(store, "before", Status.PASS)
    options = ["--json"] if as_json else []
    with running(redis_server.url, tmp_path, "events", "--follow", *options) as followed:
        followed.wait_for("before")
        store.client.xadd(keys.EVENTS, {"no": "event"})
        announce(store, "[red]dock[/red]", Status.FAIL)
        announce(store, "after", Status.PASS)
        followed.wait_for("after")
        assert followed.stop() == 0
    lines = followed.text.splitlines()
    assert len(lines) == 3
    if as_json:
        rows = [json.loads(line) for line in lines]
        assert [row["stream"] for row in rows] == ["before", "[red]dock[/red]", "after"]
    else:
        assert "  [red]dock[/red]  " in lines[1]
        assert [line.split()[2] for line in lines] == ["verdict.pass", "verdict.fail", "verdict.pass"]


def test_only_what_is_asked_for_is_followed(store: Store, redis_server: RedisServer, tmp_path: Path) -> None:
    options = ("--stream", "site/*", "--type", "verdict.fail")
    with running(redis_server.url, tmp_path, "events", "--follow", *options) as followed:
        deadline, number = time.monotonic() + PATIENCE_SECONDS, 0
        while f"site/{number - 1} " not in followed.text:  # it may begin with any of them
            assert time.monotonic() < deadline
            announce(store, "elsewhere", Status.FAIL)
            announce(store, f"site/{number}", Status.PASS)
            announce(store, f"site/{number}", Status.FAIL)
            number += 1
            followed.wait_for(f"site/{number - 1} ")
        assert followed.stop() == 0
    assert "elsewhere" not in followed.text and "verdict.pass" not in followed.text


def test_status_is_drawn_anew_on_a_terminal(store: Store, redis_server: RedisServer, tmp_path: Path) -> None:
    store.batches.register(batch("dock", name="of-dock"))
    with running(redis_server.url, tmp_path, "status", "--watch", terminal=True) as followed:
        followed.wait_for("dock", "Ctrl-C ends it")
        store.batches.register(batch("gate", name="of-gate"))
        followed.wait_for("gate")
        assert followed.stop() == 0


def test_status_is_not_drawn_anew_through_a_pipe(store: Store, redis_server: RedisServer, tmp_path: Path) -> None:
    with running(redis_server.url, tmp_path, "status", "--watch") as followed:
        assert followed.process.wait(PATIENCE_SECONDS) == 2
    assert "leave it out" in (tmp_path / "errors").read_text()
