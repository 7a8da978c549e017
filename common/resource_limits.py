"""A bound on the memory of a process that opens untrusted files."""

from __future__ import annotations

import logging
import sys

log = logging.getLogger(__name__)


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
