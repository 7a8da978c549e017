"""Heartbeats: how a process shows that its main loop runs, and how others read that.

Keys of the process NAME, all of which expire:

- `sentinel:process:NAME:starts`       sorted set: id of an instance -> time of its start by Redis' clock
- `sentinel:process:NAME:instance:ID`  hash: host, pid, clock_offset
- `sentinel:process:NAME:exit`         string: the latest `ProcessExit` as JSON

A heartbeat resets the expiry of the instance's hash to one day, so the remaining
time to live gives the age of the last heartbeat by Redis' clock alone. A Redis
whose memory is full still accepts EXPIRE, so processes that wait for room are
not reported as late.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from common.contracts.processes import ProcessExit
from common.errors import BadMessage
from common.processes import HEARTBEAT_SECONDS
from common.store import keys
from common.store.client import binary, text

log = logging.getLogger(__name__)

START_ID_VARIABLE = "PROCESS_START_ID"
"""A supervisor sets this variable to the id of the instance, so that both record the same start."""

_FORGET_SECONDS = 86_400
_COUNT_SECONDS = 3600.0  # older starts are kept only while their instance is alive
_MOST_STARTS = 1000  # of one process kept at a time
_REFRESH_SECONDS = 3600.0  # everything is written again this often, so that it outlives `_FORGET_SECONDS`
_REASON_CHARACTERS = 300
_CLOCK_STEP_SECONDS = 0.5  # a smaller change of the clock's offset is not stored
_TIMEOUT_SECONDS = 2.0  # a heartbeat may delay its main loop by this much


class Heartbeat:
    """The heartbeat of this process, sent by its main loop.

    `beat` costs one small write every `HEARTBEAT_SECONDS` and nothing in
    between, and never raises: while Redis is unavailable the process is late,
    which is what others should see.

    As a context manager it records the end: after an orderly end the start is
    deleted, after an error the error is stored as the reason.

    Parameters
    ----------
    file : is touched with each heartbeat that Redis took, so that a container's health check needs no interpreter;
        None: no file is
    """

    def __init__(self, url: str, process: str, file: Path | None = None) -> None:
        # A client of its own: that of the store retries while Redis is down, and a heartbeat must not block the loop.
        self._client = redis.Redis.from_url(url, socket_timeout=_TIMEOUT_SECONDS, retry=Retry(NoBackoff(), 0))
        self._process = process
        self._id = os.environ.get(START_ID_VARIABLE) or new_start_id()
        self._next = 0.0
        self._refresh = 0.0
        self._offset: float | None = None
        self._file = file

    def beat(self) -> None:
        """Send a heartbeat if `HEARTBEAT_SECONDS` have passed since the last one; otherwise do nothing."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + HEARTBEAT_SECONDS
        try:
            self._write()
            if self._file is not None:
                self._file.touch()
        except (redis.RedisError, OSError) as error:
            log.debug("no heartbeat: %s", error)

    def _write(self) -> None:
        pipe = self._client.pipeline(transaction=False)
        pipe.time()
        pipe.expire(_instance_key(self._process, self._id), _FORGET_SECONDS)
        before = time.time()
        redis_time, known = pipe.execute()
        offset = (before + time.time()) / 2 - _seconds(redis_time)
        steady = self._offset is not None and abs(offset - self._offset) < _CLOCK_STEP_SECONDS
        if known and steady and time.monotonic() < self._refresh:
            return
        note_start(self._client, self._process, self._id)
        key = _instance_key(self._process, self._id)
        row = {"host": socket.gethostname(), "pid": str(os.getpid()), "clock_offset": f"{offset:.3f}"}
        self._client.hset(key, mapping=row)  # type: ignore[arg-type]
        self._client.expire(key, _FORGET_SECONDS)
        self._offset = offset
        self._refresh = time.monotonic() + _REFRESH_SECONDS

    def end(self) -> None:
        """Record an orderly end: the start no longer counts, and the process is not reported as late."""
        with contextlib.suppress(redis.RedisError):
            self._client.delete(_instance_key(self._process, self._id))
            self._client.zrem(keys.process_key(self._process, "starts"), self._id)
        self._client.close()

    def fail(self, reason: str) -> None:
        """Record the error that ends this process."""
        with contextlib.suppress(redis.RedisError):
            note_exit(self._client, self._process, self._id, pid=os.getpid(), code=None, reason=reason)
        self._client.close()

    def __enter__(self) -> Heartbeat:
        self.beat()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, Exception):
            self.fail(f"{type(error).__name__}: {error}")
        else:
            self.end()


@dataclass(frozen=True)
class Instance:
    """One running instance of a process as of its last heartbeat. Times are Redis' own, in seconds since the epoch."""

    started_at: float
    beat_at: float
    host: str
    pid: int
    clock_offset: float


@dataclass(frozen=True)
class Signs:
    """Everything that Redis holds about one process.

    Attributes
    ----------
    now : Redis' time when this was read
    starts : machine -> times of its starts there, oldest first
    instances : those that sent a heartbeat within a day and have not ended since
    """

    now: float
    starts: dict[str, list[float]]
    instances: tuple[Instance, ...]
    last_exit: ProcessExit | None


class Heartbeats:
    """Reads what processes and their supervisors recorded."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def signs(self, process: str) -> Signs:
        """Return everything that is known about `process`."""
        known = self._client.zrange(keys.process_key(process, "starts"), 0, -1, withscores=True)
        started = {text(start_id): at for start_id, at in cast("list[tuple[bytes, float]]", known)}
        by_machine: dict[str, list[float]] = {}
        for start_id, at in started.items():
            by_machine.setdefault(start_id.rpartition(":")[0], []).append(at)
        pipe = self._client.pipeline(transaction=True)  # lifetimes of one moment
        pipe.time()
        for start_id in started:
            pipe.hgetall(_instance_key(process, start_id))
            pipe.pttl(_instance_key(process, start_id))
        answers = pipe.execute()
        now = _seconds(answers[0])
        rows = zip(started.values(), answers[1::2], answers[2::2], strict=True)
        instances = tuple(_instance(now, at, row, left) for at, row, left in rows if row)
        return Signs(now, by_machine, instances, self._exit(process))

    def _exit(self, process: str) -> ProcessExit | None:
        data = binary(self._client.get(keys.process_key(process, "exit")))
        try:
            return ProcessExit.from_json(data) if data else None
        except BadMessage:
            return None  # another version of Sentinel wrote it; the next exit replaces it


def new_start_id() -> str:
    """Return a unique id for a start on this machine; it begins with the machine's name."""
    return f"{socket.gethostname()}:{uuid.uuid4().hex[:16]}"


def note_start(client: redis.Redis, process: str, start_id: str) -> None:
    """Record a start, once even if process and supervisor both do; delete old starts without a live instance."""
    key, now = keys.process_key(process, "starts"), _seconds(client.time())
    client.expire(key, _FORGET_SECONDS)
    client.zadd(key, {start_id: now}, nx=True)
    client.expire(key, _FORGET_SECONDS)
    old = [text(one) for one in client.zrangebyscore(key, "-inf", now - _COUNT_SECONDS)]
    if gone := [one for one in old if not client.exists(_instance_key(process, one))]:
        client.zrem(key, *gone)
    client.zremrangebyrank(key, 0, -_MOST_STARTS - 1)


def note_exit(client: redis.Redis, process: str, start_id: str, *, pid: int, code: int | None, reason: str) -> None:
    """Record how the instance `start_id` ended. Its start counts, even if the process recorded an orderly end."""
    now = _seconds(client.time())
    ended = ProcessExit(host=socket.gethostname(), pid=pid, code=code, reason=reason[:_REASON_CHARACTERS], at=now)
    pipe = client.pipeline(transaction=False)
    pipe.delete(_instance_key(process, start_id))
    pipe.zadd(keys.process_key(process, "starts"), {start_id: now}, nx=True)
    pipe.set(keys.process_key(process, "exit"), ended.to_json(), ex=_FORGET_SECONDS)
    pipe.execute()


def _seconds(redis_time: tuple[int, int]) -> float:
    """Convert the reply of TIME, seconds and microseconds, to seconds."""
    return redis_time[0] + redis_time[1] / 1e6


def _instance_key(process: str, start_id: str) -> str:
    return keys.process_key(process, f"instance:{start_id}")


def _instance(now: float, started_at: float, row: dict[bytes, bytes], left_ms: int) -> Instance:
    return Instance(
        started_at=started_at,
        beat_at=now - (_FORGET_SECONDS - left_ms / 1000),
        host=text(row[b"host"]),
        pid=int(row[b"pid"]),
        clock_offset=float(row[b"clock_offset"]),
    )
