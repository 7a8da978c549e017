"""State of a running process: whether it is alive, and if not, why."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from common.contracts.ids import Message


class ProcessState(StrEnum):
    """State of a process, as its heartbeats and recorded exits show it."""

    ALIVE = "alive"
    """Its main loop sent a heartbeat recently."""
    STARTING = "starting"
    """It was started a moment ago and has not sent a heartbeat yet."""
    LATE = "late"
    """Its heartbeats stopped: the main loop hangs, or the process was killed and no exit was recorded."""
    MISSING = "missing"
    """It has not sent a heartbeat, or it ended."""
    CRASH_LOOPING = "crash-looping"
    """It was started three times or more within five minutes."""


class ProcessExit(Message):
    """How a process ended, as its supervisor saw it or as the process itself recorded it."""

    host: str
    pid: int
    code: int | None = Field(description="exit code, minus the signal's number if a signal ended it; None: not known")
    reason: str = Field(description="last line of its log, or the error that ended it")
    at: float = Field(description="Redis' time, seconds since 1970")


class ProcessHealth(Message):
    """How one process of `common.processes.PROCESSES` is doing, over all machines that run it.

    All times are those of Redis' clock, so a wrong clock on a machine does not make its processes look late.
    """

    process: str
    state: ProcessState
    why: str = Field("", description="what is wrong, as a sentence; empty if nothing is wrong")
    since: float | None = Field(None, description="time of its start; if it is late, of its last heartbeat")
    instances: int = Field(0, description="number of instances that are alive")
    host: str = Field("", description="machine of the instance that `state` is about")
    pid: int | None = Field(None, description="process id of that instance")
    clock_offset: float = Field(0.0, description="seconds by which that machine's clock is ahead of Redis' clock")
    starts: int = Field(0, description="number of starts in the last five minutes")
    last_exit: ProcessExit | None = None

    @property
    def ok(self) -> bool:
        """Whether the process needs no attention."""
        return self.state in {ProcessState.ALIVE, ProcessState.STARTING}
