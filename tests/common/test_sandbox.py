"""A file that ends its reader ends the child only."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from common.errors import BadSource
from common.sandbox import Sandbox


def add(a: int, b: int) -> int:
    return a + b


def child_id() -> int:
    return os.getpid()


def crash(number: int) -> None:
    os.kill(os.getpid(), number)


def abort() -> None:
    os.abort()


def hang() -> None:
    time.sleep(600)


def refuse(name: str) -> None:
    raise BadSource(f"{name} is empty")


def give_what_does_not_pickle() -> object:
    return lambda: None


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(timeout=60) as sandbox:
        yield sandbox


def test_a_call_returns_what_the_function_does_and_the_child_stays(sandbox: Sandbox) -> None:
    assert sandbox.call(add, 2, 3, subject="sum") == 5
    first = sandbox.call(child_id, subject="id")
    assert first != os.getpid()
    assert sandbox.call(child_id, subject="id") == first


def test_an_error_comes_through_as_it_is(sandbox: Sandbox) -> None:
    with pytest.raises(BadSource, match=r"a\.mp4 is empty"):
        sandbox.call(refuse, "a.mp4", subject="a.mp4")
    assert sandbox.call(add, 1, 1, subject="sum") == 2


def test_an_abort_names_the_file_and_the_next_call_works(sandbox: Sandbox) -> None:
    with pytest.raises(BadSource, match=r"evil\.avi.*crashed.*SIGABRT"):
        sandbox.call(abort, subject="evil.avi")
    assert sandbox.call(add, 1, 1, subject="sum") == 2


def test_a_segmentation_fault_names_the_file_and_the_next_call_works(sandbox: Sandbox) -> None:
    with pytest.raises(BadSource, match=r"evil\.avi.*SIGSEGV"):
        sandbox.call(crash, signal.SIGSEGV, subject="evil.avi")
    assert sandbox.call(add, 1, 1, subject="sum") == 2


def test_a_call_that_hangs_names_the_file_and_the_next_call_works(sandbox: Sandbox) -> None:
    with pytest.raises(BadSource, match=r"slow\.mkv.*longer than"):
        sandbox.call(hang, subject="slow.mkv", timeout=0.5)
    assert sandbox.call(add, 1, 1, subject="sum") == 2


def test_a_child_that_died_while_idle_is_replaced(sandbox: Sandbox) -> None:
    first = psutil.Process(sandbox.call(child_id, subject="id"))
    first.kill()
    psutil.wait_procs([first], timeout=30)
    assert sandbox.call(add, 1, 1, subject="sum") == 2


def test_what_cannot_travel_is_an_error_not_a_crash(sandbox: Sandbox) -> None:
    with pytest.raises(RuntimeError, match="cannot leave the sandbox"):
        sandbox.call(give_what_does_not_pickle, subject="x")
    assert sandbox.call(add, 1, 1, subject="sum") == 2


def test_closing_ends_the_child_even_while_it_works(tmp_path: Path) -> None:
    sandbox = Sandbox(timeout=60)
    child = psutil.Process(sandbox.call(child_id, subject="id"))
    sandbox.close()
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    assert sandbox.call(add, 1, 1, subject="sum") == 2, "a closed sandbox opens again when it is needed"
    sandbox.close()


def devour_memory() -> int:
    return len(bytearray(3_000_000_000))


@pytest.mark.skipif(sys.platform != "linux", reason="other kernels do not bound a process's memory")
def test_a_memory_bomb_goes_off_in_the_child_alone() -> None:
    with Sandbox(timeout=60, memory_mb=1_000) as small:
        with pytest.raises(BadSource, match="SENTINEL_MAX_MEMORY_MB"):
            small.call(devour_memory, subject="bomb")
        assert small.call(add, 1, 1, subject="sum") == 2
