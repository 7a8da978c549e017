"""What is known of a running process: whether it is alive, and why not."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from common.contracts.ids import Message


class ProcessState(StrEnum):
    """Whether a process does its work."""

    ALIVE = "alive"
    """Its main loop sent a heartbeat lately."""
    STARTING = "starting"
    """It was started a moment ago and has not sent a heartbeat yet."""
    LATE = "late"
    """It sent heartbeats and stopped: its main loop hangs, or it was killed and nobody recorded it."""
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

    All times are Redis' own, so a machine whose clock is wrong is neither late nor early.
    """

    process: str
    state: ProcessState
    why: str = Field("", description="what is wrong, in a sentence; empty if nothing is")
    since: float | None = Field(None, description="when it was started, or if it is late its last heartbeat")
    instances: int = Field(0, description="how many of it are alive")
    host: str = Field("", description="machine of the instance that `state` is about")
    pid: int | None = Field(None, description="process id of that instance")
    clock_offset: float = Field(0.0, description="seconds that the clock of that machine is ahead of Redis' clock")
    starts: int = Field(0, description="how often it was started in the last five minutes")
    last_exit: ProcessExit | None = None

    @property
    def ok(self) -> bool:
        """Whether nobody has to look after it."""
        return self.state in {ProcessState.ALIVE, ProcessState.STARTING}
