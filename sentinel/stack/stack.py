"""The whole stack on this machine: an embedded Redis if none is named, and every process of the Procfile."""

from __future__ import annotations

import fcntl
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

import psutil
import redis
from celery import Celery
from kombu.exceptions import OperationalError

from common.contracts.ids import Message
from common.errors import SentinelError, SettingsError
from common.settings import Settings
from common.stream_config import config_path
from sentinel.stack.redis_server import RedisServer, free_port
from sentinel.stack.supervisor import ProcessSpec, Supervisor

_RESTART_CHECK_SECONDS = 0.5
_PRODUCER_PATIENCE_SECONDS = 5.0
_WORKER_MARGIN_SECONDS = 5.0


class StackInfo(Message):
    """What a running stack says of itself, in `<state_dir>/stack.json`."""

    pid: int
    redis_url: str
    flower_url: str
    watch_dir: str
    baseline: str | None = None
    config: str | None = None
    baselines_dir: str = ""
    allowed_roots: tuple[str, ...] = ()


class AlreadyRunning(SentinelError):
    """A stack with the same state folder runs already."""


def read_info(state_dir: Path) -> StackInfo | None:
    """Return what the stack of `state_dir` says of itself, or None when none runs."""
    try:
        info = StackInfo.from_json((state_dir / "stack.json").read_bytes())
    except (OSError, SentinelError):
        return None
    return info if psutil.pid_exists(info.pid) else None


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
        self._lock: IO[str] | None = None
        self._redis: RedisServer | None = None
        self._supervisor: Supervisor | None = None
        self.info: StackInfo | None = None

    def start(self) -> StackInfo:
        """Bring everything up; raise `AlreadyRunning` if this folder's stack is up already."""
        self._take_lock()
        try:
            redis_url = self.settings.redis_url or self._start_redis()
            flower = _flower_address(self.settings, self.say)
            make_folder(self.settings.watch_dir, "SENTINEL_WATCH_DIR")
            self.info = StackInfo(
                pid=os.getpid(),
                redis_url=redis_url,
                flower_url=f"http://{flower[0]}:{flower[1]}",
                watch_dir=str(self.settings.watch_dir.resolve()),
                baseline=self.settings.baseline,
                config=str(config) if (config := config_path(self.settings)) else None,
                baselines_dir=str(self.settings.baselines_dir.resolve()),
                allowed_roots=tuple(str(root.resolve()) for root in self.settings.allowed_roots),
            )
            self._supervisor = Supervisor(
                process_specs(self.settings, redis_url, flower),
                self.state_dir / "logs",
                self.say,
                longest_pause=self.settings.restart_seconds,
            )
            self._supervisor.start()
            (self.state_dir / "stack.json").write_text(self.info.to_json(), encoding="utf-8")
            return self.info
        except BaseException:
            self.stop()
            raise

    def run(self, stop: threading.Event) -> None:
        """Tend the processes until `stop` is set."""
        while not stop.wait(_RESTART_CHECK_SECONDS):
            self.restart_dead()

    def restart_dead(self) -> None:
        if self._redis is not None and not self._redis.alive():
            self.say("the embedded Redis ended, starting it again from its append-only file")
            self._redis.start()
        if self._supervisor is not None:
            self._supervisor.restart_dead()

    def pids(self) -> dict[str, int]:
        """Process ids by name, the embedded Redis included."""
        found = self._supervisor.pids() if self._supervisor else {}
        return {"redis": self._redis.pid, **found} if self._redis and self._redis.alive() else found

    def stop(self) -> None:
        """End every process, Redis last, and give the state folder free."""
        if self._supervisor is not None:
            self._supervisor.stop()
        if self._redis is not None:
            self._redis.stop()
        if self._lock is not None:
            (self.state_dir / "stack.json").unlink(missing_ok=True)
            self._lock.close()
            self._lock = None

    def _take_lock(self) -> None:
        make_folder(self.state_dir, "SENTINEL_STATE_DIR")
        lock = (self.state_dir / "stack.lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            info = read_info(self.state_dir)
            where = f" (process {info.pid}, Redis {info.redis_url}, Flower {info.flower_url})" if info else ""
            raise AlreadyRunning(
                f"Sentinel is already running in {self.state_dir}{where}: stop it with Ctrl-C there, "
                "or give this one a folder of its own with SENTINEL_STATE_DIR"
            ) from error
        self._lock = lock

    def _start_redis(self) -> str:
        folder = self.state_dir / "redis"
        _end_orphan(folder / "redis.pid", self.say)
        self._redis = RedisServer(folder, max_mb=self.settings.redis_max_mb)
        self._redis.start()
        (folder / "redis.pid").write_text(str(self._redis.pid), encoding="utf-8")
        return self._redis.url


def make_folder(path: Path, setting: str) -> None:
    """Make a folder that a setting names; raise `SettingsError` where that cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"{setting} is {path}, which cannot be made ({error.strerror}): name another folder"
        ) from error


def _end_orphan(pid_file: Path, say: Callable[[str], None]) -> None:
    """End the Redis of a stack that was killed: two servers on one append-only file would ruin it."""
    try:
        orphan = psutil.Process(int(pid_file.read_text()))
        if "redis-server" in " ".join(orphan.cmdline()):
            say(f"ending the Redis that a killed stack left behind (process {orphan.pid})")
            orphan.terminate()
            orphan.wait(15)
    except (OSError, ValueError, psutil.Error):
        return  # none is left, or the number now belongs to another program


def _flower_address(settings: Settings, say: Callable[[str], None]) -> tuple[str, int]:
    """Return where Flower will listen; another free port than the one set if that is taken."""
    host, port = settings.flower_host, settings.flower_port
    if host not in {"127.0.0.1", "localhost", "::1"} and not settings.flower_password:
        raise SettingsError(f"SENTINEL_FLOWER_HOST is {host}, which others can reach: set SENTINEL_FLOWER_PASSWORD too")
    if port == 0:
        return host, free_port()
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            taken, port = port, free_port()
            say(f"port {taken} is taken, Flower goes to {port}")
    return host, port


def process_specs(settings: Settings, redis_url: str, flower: tuple[str, int]) -> list[ProcessSpec]:
    """Return the processes of the stack. The Procfile names the same ones."""
    environment = {
        "SENTINEL_REDIS_URL": redis_url,
        # TensorFlow's start-up banner would fill the logs.
        "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2"),
        "PYTHONUNBUFFERED": "1",
    }
    if settings.flower_password:
        # By environment, because arguments can be read by everyone on the machine.
        environment["FLOWER_BASIC_AUTH"] = f"{settings.flower_user}:{settings.flower_password}"
    celery = [sys.executable, "-m", "celery"]
    sentinel = [sys.executable, "-m", "sentinel"]
    patience = settings.visibility_seconds + _WORKER_MARGIN_SECONDS

    def worker(module: str, queue: str, processes: int) -> ProcessSpec:
        options = f"worker -Q {queue} -n {queue}@%h -c {processes} -O fair --without-mingle --without-gossip"
        level = f"--loglevel={settings.log_level}"
        return ProcessSpec(queue, [*celery, "-A", module, *options.split(), level], 1, patience, environment)

    def feeder(name: str, command: list[str]) -> ProcessSpec:
        return ProcessSpec(name, command, 0, _PRODUCER_PATIENCE_SECONDS, environment)

    return [
        worker("workers.embedding", "embed", settings.embed_processes),
        worker("workers.reducer", "reduce", 1),
        worker("workers.retraining", "retrain", 1),
        feeder("beat", [*celery, "-A", "producers.schedule", "beat"]),
        feeder("bridge", [*sentinel, "bridge"]),
        feeder("watch", [*sentinel, "watch"]),
        feeder("retrain-trigger", [*sentinel, "retrain-trigger"]),
        feeder("flower", [*celery, "-A", "common.broker", "flower", f"--address={flower[0]}", f"--port={flower[1]}"]),
    ]


def wait_for_workers(redis_url: str, names: set[str], seconds: float) -> set[str]:
    """Wait until workers of these names (`embed`, ...) answer; return those that do not within `seconds`."""
    app = Celery(broker=redis_url)
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
