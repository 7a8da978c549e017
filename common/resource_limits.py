"""Bounds on the memory of processes that read what is untrusted, or much of it."""

from __future__ import annotations

import ctypes
import logging
import sys

log = logging.getLogger(__name__)

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8  # of glibc's mallopt
_LARGE_BYTES = 128 * 1024
_MOST_HEAPS = 2


def limit_memory(megabytes: int) -> None:
    """Let allocations beyond `megabytes` fail in this process, with `MemoryError`, in place of ending the machine.

    It bounds what the process itself writes to (RLIMIT_DATA), not files that it maps. Linux only: elsewhere the
    kernel does not keep to it.
    """
    if sys.platform != "linux":
        return
    import resource

    wanted = megabytes * 1_000_000
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    try:
        resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))
    except (ValueError, OSError) as error:
        log.warning("the memory of this process cannot be bounded: %s", error)


def return_large_buffers() -> None:
    """Let the C library return buffers above 128 KB to the system once they are freed, and keep few heaps (glibc).

    By default it raises that bound to what was freed last, and gives each thread a heap: with a hundred threads that
    read key frames, memory that nobody uses grows for minutes. Call it before there are threads.
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
        libc.mallopt(_M_ARENA_MAX, _MOST_HEAPS)
