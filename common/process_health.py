"""Which of Sentinel's processes are alive, and what is wrong with the others."""

from __future__ import annotations

from common.contracts.processes import ProcessExit, ProcessHealth, ProcessState
from common.processes import PROCESSES, Process
from common.store import Store
from common.store.heartbeats import Instance, Signs

_CRASH_STARTS = 3
_CRASH_SECONDS = 300.0
_STARTING_SECONDS = 60.0  # importing TensorFlow and loading a backbone on a busy machine takes this long


def process_health(store: Store) -> tuple[ProcessHealth, ...]:
    """Return how each process of the list is doing, in the list's order.

    One that has no work under the store's settings is left out, unless it runs all the same, and so is one that may
    be away.
    """
    settings = store.settings
    signs = {process: store.heartbeats.signs(process.name) for process in PROCESSES}
    return tuple(
        health_of(process, found)
        for process, found in signs.items()
        if found.instances or (process.has_work(settings) and not process.may_be_away(settings))
    )


def health_of(process: Process, signs: Signs) -> ProcessHealth:
    """Return how `process` is doing, going by what it and its supervisors left in Redis."""
    since = signs.now - _CRASH_SECONDS
    starts = max((sum(at > since for at in times) for times in signs.starts.values()), default=0)
    alive = [one for one in signs.instances if signs.now - one.beat_at <= process.late_after]
    silent = [one for one in signs.instances if one not in alive]
    late = [one for one in silent if not _is_replaced(one, signs.instances)]
    found = ProcessHealth(
        process=process.name,
        state=ProcessState.MISSING,
        instances=len(alive),
        starts=starts,
        last_exit=signs.last_exit,
    )
    if starts >= _CRASH_STARTS and starts - sum(one.started_at > since for one in alive) >= _CRASH_STARTS - 1:
        why = f"started {starts} times in {_CRASH_SECONDS / 60:.0f} minutes"
        if signs.last_exit:
            why += f"; the last one {_how_it_ended(signs.last_exit)}"
        newest = max(signs.instances, key=lambda one: one.started_at, default=None)
        return _with(found, newest, state=ProcessState.CRASH_LOOPING, why=why)
    if late:
        worst = min(late, key=lambda one: one.beat_at)
        why = _why_late(worst, len(alive) + len(late), signs.now)
        return _with(found, worst, state=ProcessState.LATE, since=worst.beat_at, why=why)
    if alive:
        return _with(found, alive[0], state=ProcessState.ALIVE)
    return _without_heartbeat(found, signs)


def _is_replaced(instance: Instance, others: tuple[Instance, ...]) -> bool:
    """Return whether another one was started on the same machine after the last heartbeat of `instance`."""
    return any(
        one is not instance and one.host == instance.host and one.started_at > instance.beat_at for one in others
    )


def _without_heartbeat(found: ProcessHealth, signs: Signs) -> ProcessHealth:
    """Complete `found` for a process of which no instance left a heartbeat."""
    started_at = max((at for times in signs.starts.values() for at in times), default=None)
    ended = signs.last_exit
    if ended is not None and (started_at is None or ended.at >= started_at):
        return _with(found, None, why=_how_it_ended(ended))
    if started_at is None:
        return _with(found, None, why="it has left no heartbeat: start it, or see its log")
    seconds = signs.now - started_at
    if seconds <= _STARTING_SECONDS:
        return _with(found, None, state=ProcessState.STARTING, since=started_at)
    return _with(
        found, None, since=started_at, why=f"started {seconds:.0f} s ago and has left no heartbeat: see its log"
    )


def _with(found: ProcessHealth, instance: Instance | None, **fields: object) -> ProcessHealth:
    """Return `found` with what is known of `instance`, and with `fields`."""
    about: dict[str, object] = {}
    if instance is not None:
        about = {
            "host": instance.host,
            "pid": instance.pid,
            "since": instance.started_at,
            "clock_offset": instance.clock_offset,
        }
    return found.model_copy(update={**about, **fields})


def _why_late(instance: Instance, copies: int, now: float) -> str:
    which = f"process {instance.pid} on {instance.host}" + (f", one of {copies}," if copies > 1 else "")
    return (
        f"{which} has left no heartbeat for {now - instance.beat_at:.0f} s: "
        "it hangs, was killed, or cannot reach Redis; see its log"
    )


def _how_it_ended(ended: ProcessExit) -> str:
    code = "" if ended.code is None else f" with exit code {ended.code}"
    return f"ended{code}: {ended.reason or 'its log is empty'}"
