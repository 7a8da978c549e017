"""Keeps the processes of the local stack running: starts them, restarts those that die, ends them in order."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from common.store.heartbeats import START_ID_VARIABLE, new_start_id
from sentinel.stack.exit_records import ExitRecords
from sentinel.stack.private_files import UMASK, append_private
from sentinel.stack.tail import end_of

_FIRST_PAUSE_SECONDS = 1.0
_HEALTHY_SECONDS = 60.0  # a process that ran this long and then died starts again without a longer pause
_LAST_WORDS_BYTES = 4096  # of the end of a log, in which its last line is looked for
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(frozen=True)
class ProcessSpec:
    """One process of the stack.

    `stop_rank` orders the stop: what feeds work in ends first (0), what works
    it off next. `patience` is how many seconds it gets before it is killed.
    """

    name: str
    command: Sequence[str]
    stop_rank: int
    patience: float
    environment: Mapping[str, str] = field(default_factory=dict)


def die_with_parent() -> None:
    """Let the kernel end this process if the supervisor is killed (Linux). Runs in the child before its program."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


@dataclass
class _Running:
    spec: ProcessSpec
    process: subprocess.Popen[bytes] | None = None
    start_id: str = ""
    started_at: float = 0.0
    log_start: int = 0  # where in the log the present process began to write
    pause: float = _FIRST_PAUSE_SECONDS
    restart_at: float | None = None


class Supervisor:
    """Runs `specs` until `stop`, each writing to `log_dir/NAME.log`.

    What ends before that is started again after a pause, which doubles up to
    `longest_pause` seconds while it keeps ending; each start and exit goes to
    `records`.
    """

    def __init__(
        self,
        specs: Sequence[ProcessSpec],
        log_dir: Path,
        say: Callable[[str], None],
        records: ExitRecords,
        *,
        longest_pause: float = 30.0,
    ) -> None:
        self._longest_pause = longest_pause
        self._running = [_Running(spec) for spec in specs]
        self._log_dir = log_dir
        self._say = say
        self._records = records

    def start(self) -> None:
        self._log_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        for row in self._running:
            self._launch(row)
        self._records.flush()

    def start_more(self, specs: Sequence[ProcessSpec]) -> None:
        """Start those of `specs` that do not run here yet: what got work while the stack runs."""
        known = {row.spec.name for row in self._running}
        for spec in specs:
            if spec.name not in known:
                self._say(f"{spec.name} has work now, starting it")
                self._running.append(_Running(spec))
                self._launch(self._running[-1])
        self._records.flush()

    def _launch(self, row: _Running) -> None:
        row.start_id = new_start_id()
        with append_private(self._log(row)) as out:
            row.log_start = out.seek(0, os.SEEK_END)
            # A session of its own, so that Ctrl-C in the terminal reaches the supervisor alone, and the
            # whole group can be ended together.
            row.process = subprocess.Popen(
                row.spec.command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                umask=UMASK,
                preexec_fn=die_with_parent,  # noqa: PLW1509, it makes one system call and touches no lock
                env={**os.environ, **row.spec.environment, START_ID_VARIABLE: row.start_id},
            )
        row.started_at = time.monotonic()
        row.restart_at = None
        self._records.started(row.spec.name, row.start_id)

    def restart_dead(self) -> None:
        """Look after the processes once: start again what has died, with a growing pause."""
        now = time.monotonic()
        for row in self._running:
            if row.restart_at is not None:
                if now >= row.restart_at:
                    self._launch(row)
            elif row.process is not None and row.process.poll() is not None:
                self._note_death(row, row.process, now)
        self._records.flush()

    def _note_death(self, row: _Running, process: subprocess.Popen[bytes], now: float) -> None:
        if now - row.started_at > _HEALTHY_SECONDS:
            row.pause = _FIRST_PAUSE_SECONDS
        self._say(
            f"{row.spec.name} ended ({process.returncode}), starting it again in {row.pause:.0f} s; "
            f"see {self._log(row)}"
        )
        reason = last_line(self._log(row), row.log_start)
        self._records.ended(row.spec.name, row.start_id, pid=process.pid, code=process.returncode, reason=reason)
        row.restart_at = now + row.pause
        row.pause = min(row.pause * 2, self._longest_pause)

    def _log(self, row: _Running) -> Path:
        return self._log_dir / f"{row.spec.name}.log"

    def pids(self) -> dict[str, int]:
        return {row.spec.name: row.process.pid for row in self._running if row.process and row.process.poll() is None}

    def stop(self) -> None:
        """End every process: politely by rank, then by force. Returns when all are gone."""
        for rank in sorted({row.spec.stop_rank for row in self._running}):
            alive = [row for row in self._running if row.spec.stop_rank == rank]
            for row in alive:
                row.restart_at = None
                if row.process is not None and row.process.poll() is None:
                    row.process.send_signal(signal.SIGTERM)
            for row in alive:
                self._await(row)
        self._records.close()

    def _await(self, row: _Running) -> None:
        if row.process is None:
            return
        try:
            row.process.wait(row.spec.patience)
        except subprocess.TimeoutExpired:
            self._say(
                f"{row.spec.name} did not stop within {row.spec.patience:.0f} s and is killed; its work comes again"
            )
        # The group too: a killed parent's children must not outlive it.
        try:
            os.killpg(row.process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
        row.process.wait()


def last_line(log: Path, start: int) -> str:
    """Return the last line that is not empty of what was written to `log` from byte `start` on; "" if there is none."""
    try:
        lines = end_of(log, _LAST_WORDS_BYTES, start).splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
