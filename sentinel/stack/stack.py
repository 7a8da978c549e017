"""The whole stack on this machine: an embedded Redis if none is named, and every process of `common.processes`."""

from __future__ import annotations

import fcntl
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import BinaryIO

import redis
from celery import Celery
from kombu.exceptions import OperationalError

from common.broker import address
from common.errors import AlreadyRunning
from common.processes import wanted_processes
from common.settings import Settings
from common.store.client import without_password
from common.web_access import require_flower_closed, require_page_closed
from sentinel.stack.exit_records import ExitRecords
from sentinel.stack.info import StackInfo, forget_info, read_info, told_settings
from sentinel.stack.private_files import append_private, make_folder, make_private_folder, write_private
from sentinel.stack.redis_server import RedisServer, end_orphan, free_port
from sentinel.stack.supervisor import ProcessSpec, Supervisor

_RESTART_CHECK_SECONDS = 0.5
_CAMERA_URL = "camera-url"  # in the state folder: where cameras on this machine write their events
_TRUTH_URL = "truth-url"  # likewise: where programs on this machine write what is true of frames


class LocalStack:
    """Start with `start`, keep alive with `run`, end with `stop`.

    Parameters
    ----------
    settings : where everything is; an unset `redis_url` means an embedded one
    say : shows one line to the user
    """

    def __init__(self, settings: Settings, say: Callable[[str], None]) -> None:
        self.settings = settings
        self.say = say
        self.state_dir = settings.state_dir.resolve()
        self._lock: BinaryIO | None = None
        self._redis: RedisServer | None = None
        self._supervisor: Supervisor | None = None
        self._specs: Callable[[], list[ProcessSpec]] = list
        self.info: StackInfo | None = None

    def start(self) -> StackInfo:
        """Bring everything up; raise `AlreadyRunning` if this folder's stack is up already."""
        self._take_lock()
        try:
            redis_url = self.settings.redis_url or self._start_redis()
            require_flower_closed(self.settings)
            require_page_closed(self.settings)
            flower = _free_port(self.settings.flower_host, self.settings.flower_port, "Flower", self.say)
            page = _free_port(self.settings.page_host, self.settings.page_port, "the page", self.say)
            make_folder(self.settings.watch_dir, "SENTINEL_WATCH_DIR")
            self.info = StackInfo(
                pid=os.getpid(),
                redis_url=redis_url,
                flower_url=f"http://{self.settings.flower_host}:{flower}",
                page_url=f"http://{self.settings.page_host}:{page}",
                watch_dir=str(self.settings.watch_dir.resolve()),
                settings=told_settings(self.settings),
            )
            self._specs = partial(process_specs, self.settings, redis_url, flower_port=flower, page_port=page)
            self._supervisor = Supervisor(
                self._specs(),
                self.state_dir / "logs",
                self.say,
                ExitRecords(redis_url),
                longest_pause=self.settings.restart_seconds,
            )
            self._supervisor.start()
            self.info.write(self.state_dir)
            return self.info
        except BaseException:
            self.stop()
            raise

    def run(self, stop: threading.Event) -> None:
        """Start again what dies, until `stop` is set."""
        while not stop.wait(_RESTART_CHECK_SECONDS):
            self.restart_dead()

    def restart_dead(self) -> None:
        """Start again what has died, and what got work since the start, such as the first live camera."""
        if self._redis is not None and not self._redis.alive():
            self.say("the embedded Redis ended, starting it again from its append-only file")
            self._redis.start()
        if self._supervisor is not None:
            self._supervisor.restart_dead()
            self._supervisor.start_more(self._specs())

    def pids(self) -> dict[str, int]:
        """Process ids by name, the embedded Redis included."""
        found = self._supervisor.pids() if self._supervisor else {}
        return {"redis": self._redis.pid, **found} if self._redis and self._redis.alive() else found

    def stop(self) -> None:
        """End every process, Redis last, and release the state folder."""
        if self._supervisor is not None:
            self._supervisor.stop()
        if self._redis is not None:
            self._redis.stop()
        if self._lock is not None:
            forget_info(self.state_dir)
            (self.state_dir / _CAMERA_URL).unlink(missing_ok=True)
            (self.state_dir / _TRUTH_URL).unlink(missing_ok=True)
            self._lock.close()
            self._lock = None

    def _take_lock(self) -> None:
        make_private_folder(self.state_dir, "SENTINEL_STATE_DIR")
        lock = append_private(self.state_dir / "stack.lock")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            info = read_info(self.state_dir)
            where = (
                f" (process {info.pid}, Redis {without_password(info.redis_url)}, page {info.page_url})" if info else ""
            )
            raise AlreadyRunning(
                f"Sentinel is already running in {self.state_dir}{where}: stop it with Ctrl-C there, "
                "or give this one a folder of its own with SENTINEL_STATE_DIR"
            ) from error
        self._lock = lock

    def _start_redis(self) -> str:
        folder = self.state_dir / "redis"
        if orphan := end_orphan(folder):
            self.say(f"ended the Redis that a killed stack left behind (process {orphan})")
        self._redis = RedisServer(folder, max_mb=self.settings.redis_max_mb)
        self._redis.start()
        write_private(self.state_dir / _CAMERA_URL, self._redis.camera_url + "\n")
        write_private(self.state_dir / _TRUTH_URL, self._redis.truth_url + "\n")
        return self._redis.url


def _free_port(host: str, wanted: int, what: str, say: Callable[[str], None]) -> int:
    """Return the port on which `what` will listen; another free one than the one wanted if that is taken."""
    if wanted == 0:
        return free_port()
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, wanted))
        except OSError:
            port = free_port()
            say(f"port {wanted} is taken, {what} goes to {port}")
            return port
    return wanted


def process_specs(settings: Settings, redis_url: str, *, flower_port: int, page_port: int) -> list[ProcessSpec]:
    """Return the processes that have work under these settings, as they are started on this machine."""
    environment = {
        "SENTINEL_REDIS_URL": redis_url,
        "SENTINEL_FLOWER_PORT": str(flower_port),
        "SENTINEL_PAGE_PORT": str(page_port),
        # TensorFlow's start-up banner would fill the logs.
        "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2"),
        "PYTHONUNBUFFERED": "1",
    }
    specs = []
    for process in wanted_processes(settings):
        program, *arguments = process.command(settings)
        command = [sys.executable, "-m", program, *arguments]
        specs.append(ProcessSpec(process.name, command, process.stop_rank, process.patience(settings), environment))
    return specs


def wait_for_workers(redis_url: str, names: set[str], seconds: float) -> set[str]:
    """Wait until workers of these names (`embed`, ...) answer; return those that do not within `seconds`."""
    app = Celery()
    app.conf.update(**address(redis_url))
    deadline, missing = time.monotonic() + seconds, set(names)
    while missing and time.monotonic() < deadline:
        try:
            answers = app.control.ping(timeout=1.0) or []
        except (OperationalError, redis.RedisError, OSError):
            time.sleep(1.0)  # Redis is on its way back
            continue
        missing -= {node.partition("@")[0] for answer in answers for node in answer}
    app.close()
    return missing
