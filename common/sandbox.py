"""A child process that opens untrusted files first.

Some files end the process that reads them, inside a native library where no
`except` reaches (one public AVI aborts OpenCV's reader). In the sandbox such a file
ends the child, and its caller gets a `BadSource` that names the file.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import ParamSpec, TypeVar, cast

from common.errors import BadSource
from common.resource_limits import limit_memory

P = ParamSpec("P")
R = TypeVar("R")

_START_SECONDS = 120.0  # a new child imports its libraries, which is slow on a loaded machine and no file's fault
_FAREWELL_SECONDS = 2.0  # an idle child ends at once; what takes longer hangs


class _Started:
    """Sent by the child when it has understood its task; from here on the file's time runs."""


class Sandbox:
    """Runs functions in one child process that is replaced when it crashes or hangs.

    Parameters
    ----------
    timeout : seconds that a call may take unless it says otherwise
    memory_mb : what the child may allocate, megabytes; None: as much as there is

    The child is spawned with the first call, not forked, and ends with `close`
    or with this process, however that ends. Calls of several threads queue up.
    """

    def __init__(self, timeout: float, memory_mb: int | None = None) -> None:
        self.timeout = timeout
        self.memory_mb = memory_mb
        self._lock = threading.Lock()
        self._child: _Child | None = None

    def call(self, function: Callable[..., R], /, *arguments: object, subject: str, timeout: float | None = None) -> R:
        """Return `function(*arguments)`, computed in the child.

        Parameters
        ----------
        function : one that can be imported, with arguments and a result that pickle
        subject : the file that it is about, named if the child does not survive it
        timeout : seconds for this call

        Raises
        ------
        BadSource
            If the child crashes or takes too long. What `function` raises comes through as it is.
        """
        seconds = self.timeout if timeout is None else timeout
        with self._lock:
            try:
                child = self._ready_child(function, arguments)
                answer = child.answer(seconds)
            except TimeoutError as error:
                self._drop()
                raise BadSource(
                    f"{subject}: reading it took longer than {seconds:.0f} s: it is damaged, or its disk is too slow"
                ) from error
            except EOFError as error:
                how = child.how_it_ended()
                self._drop()
                raise BadSource(
                    f"{subject}: the decoder crashed on it ({how}): it is damaged; re-encode or replace it"
                ) from error
            except BaseException:  # interrupted while waiting: a late answer must not be taken for the next call's
                self._drop()
                raise
        if isinstance(answer, BaseException):
            raise answer
        return cast(R, answer)

    def close(self) -> None:
        """End the child. A later call would start another."""
        with self._lock:
            self._drop()

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ready_child(self, function: Callable[..., object], arguments: tuple[object, ...]) -> _Child:
        """Return a child that has started on the task. One that died while it was idle is replaced."""
        if self._child is not None:
            with suppress(EOFError, OSError):
                self._child.start(function, arguments)
                return self._child
            self._drop()
        self._child = child = _Child(self.memory_mb)
        try:
            child.start(function, arguments)
        except (EOFError, OSError) as error:
            how = child.how_it_ended()
            self._drop()
            raise RuntimeError(f"the sandbox process does not start ({how})") from error
        return child

    def _drop(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.end()


class _Child:
    """One child process and the line to it."""

    def __init__(self, memory_mb: int | None) -> None:
        context = multiprocessing.get_context("spawn")
        self.line, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, memory_mb), name="sentinel-sandbox", daemon=True)
        self.process.start()
        theirs.close()  # else the end of the child would not close the line
        self.end = weakref.finalize(self, _end, self.process, self.line, os.getpid())

    def start(self, function: Callable[..., object], arguments: tuple[object, ...]) -> None:
        self.line.send((function, arguments))
        if not self.line.poll(_START_SECONDS):
            raise OSError("no answer")
        said = self.line.recv()
        if isinstance(said, BaseException):
            raise said

    def answer(self, seconds: float) -> object:
        try:
            if not self.line.poll(seconds):
                raise TimeoutError
            return self.line.recv()
        except ConnectionError as error:
            raise EOFError from error

    def how_it_ended(self) -> str:
        self.process.join(_FAREWELL_SECONDS)
        code = self.process.exitcode
        if code is None or code >= 0:
            return f"exit code {code}"
        with suppress(ValueError):
            return signal.Signals(-code).name
        return f"signal {-code}"


def _end(process: SpawnProcess, line: Connection, owner: int) -> None:
    line.close()
    if os.getpid() == owner:  # a fork holds a copy of this object, and the child is not its to end
        process.kill()
        process.join(_FAREWELL_SECONDS)


def _serve(line: Connection, memory_mb: int | None) -> None:
    """Answer calls until the other end closes the line. Runs in the child."""
    if memory_mb is not None:
        limit_memory(memory_mb)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides when this ends
    while True:
        try:
            function, arguments = line.recv()
        except (EOFError, OSError):
            return
        except Exception as error:
            line.send(RuntimeError(f"the sandbox cannot run this: {error!r}"))
            continue
        try:
            line.send(_Started())
            _send_answer(line, function, arguments)
        except OSError:  # the parent has gone
            return


def _send_answer(line: Connection, function: Callable[..., object], arguments: tuple[object, ...]) -> None:
    try:
        answer = function(*arguments)
    except MemoryError:
        answer = BadSource(
            "it needs more memory than SENTINEL_MAX_MEMORY_MB allows: raise it, or scale the source down"
        )
    except Exception as error:
        answer = error
    try:
        line.send(answer)
    except OSError:
        raise
    except Exception as error:  # an exception or result that does not pickle
        line.send(RuntimeError(f"{answer!r} cannot leave the sandbox: {error!r}"))
