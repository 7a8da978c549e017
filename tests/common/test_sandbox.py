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
from common.sandbox import Cage


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
def cage() -> Iterator[Cage]:
    with Cage(timeout=60) as cage:
        yield cage


def test_a_call_returns_what_the_function_does_and_the_child_stays(cage: Cage) -> None:
    assert cage.call(add, 2, 3, subject="sum") == 5
    first = cage.call(child_id, subject="id")
    assert first != os.getpid()
    assert cage.call(child_id, subject="id") == first


def test_an_error_comes_through_as_it_is(cage: Cage) -> None:
    with pytest.raises(BadSource, match=r"a\.mp4 is empty"):
        cage.call(refuse, "a.mp4", subject="a.mp4")
    assert cage.call(add, 1, 1, subject="sum") == 2


def test_an_abort_names_the_file_and_the_next_call_works(cage: Cage) -> None:
    with pytest.raises(BadSource, match=r"evil\.avi.*crashed.*SIGABRT"):
        cage.call(abort, subject="evil.avi")
    assert cage.call(add, 1, 1, subject="sum") == 2


def test_a_segmentation_fault_names_the_file_and_the_next_call_works(cage: Cage) -> None:
    with pytest.raises(BadSource, match=r"evil\.avi.*SIGSEGV"):
        cage.call(crash, signal.SIGSEGV, subject="evil.avi")
    assert cage.call(add, 1, 1, subject="sum") == 2


def test_a_call_that_hangs_names_the_file_and_the_next_call_works(cage: Cage) -> None:
    with pytest.raises(BadSource, match=r"slow\.mkv.*longer than"):
        cage.call(hang, subject="slow.mkv", timeout=0.5)
    assert cage.call(add, 1, 1, subject="sum") == 2


def test_a_child_that_died_while_idle_is_replaced(cage: Cage) -> None:
    first = psutil.Process(cage.call(child_id, subject="id"))
    first.kill()
    psutil.wait_procs([first], timeout=30)
    assert cage.call(add, 1, 1, subject="sum") == 2


def test_what_cannot_travel_is_an_error_not_a_crash(cage: Cage) -> None:
    with pytest.raises(RuntimeError, match="cannot leave the sandbox"):
        cage.call(give_what_does_not_pickle, subject="x")
    assert cage.call(add, 1, 1, subject="sum") == 2


def test_closing_ends_the_child_even_while_it_works(tmp_path: Path) -> None:
    cage = Cage(timeout=60)
    child = psutil.Process(cage.call(child_id, subject="id"))
    cage.close()
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    assert cage.call(add, 1, 1, subject="sum") == 2, "a closed cage opens again when it is needed"
    cage.close()


def devour_memory() -> int:
    return len(bytearray(3_000_000_000))


@pytest.mark.skipif(sys.platform != "linux", reason="other kernels do not bound a process's memory")
def test_a_memory_bomb_goes_off_in_the_child_alone() -> None:
    with Cage(timeout=60, memory_mb=1_000) as small:
        with pytest.raises(BadSource, match="SENTINEL_MAX_MEMORY_MB"):
            small.call(devour_memory, subject="bomb")
        assert small.call(add, 1, 1, subject="sum") == 2
