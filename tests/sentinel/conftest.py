"""A real stack for end-to-end tests: `sentinel up` in a process of its own, with seeded weights."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from common.settings import Settings, get_settings
from common.store import Store
from sentinel.stack.info import StackInfo, read_info
from simulation.virtual_camera import record
from tests.converted import share_backbones

SIZE = {"width": 384, "height": 216}
"""Of footage in pixels: making, spoiling and reading it takes a third of the time that 640 by 360 does."""
PATIENCE_SECONDS = 120.0  # generous: two slow cores run seven processes


def wait_until(what: str, true: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"still waiting for: {what}"
        time.sleep(0.1)


@dataclass
class World:
    """A folder with footage, a baseline, and the environment that a stack in it runs with."""

    folder: Path
    environment: dict[str, str]

    @property
    def watch_dir(self) -> Path:
        return self.folder / "incoming"

    @property
    def state_dir(self) -> Path:
        return self.folder / "state"

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "sentinel", *arguments],
            env=self.environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False,
        )  # fmt: skip


@dataclass
class Running:
    """A stack that is up."""

    world: World
    process: subprocess.Popen[bytes]
    info: StackInfo
    store: Store

    def family(self) -> list[psutil.Process]:
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(PATIENCE_SECONDS)


def start(world: World) -> Running:
    log = (world.folder / "up.log").open("ab")
    process = subprocess.Popen([sys.executable, "-m", "sentinel", "up"], env=world.environment, stdout=log, stderr=log)
    log.close()

    def info() -> StackInfo | None:
        assert process.poll() is None, (world.folder / "up.log").read_text()
        return read_info(world.state_dir)

    wait_until("the stack to be up", info)
    found = info()
    assert found is not None
    settings = Settings(_env_file=None, state_dir=world.state_dir)  # type: ignore[call-arg]
    return Running(world, process, found, Store(found.redis_url, settings))


def environment_in(folder: Path) -> dict[str, str]:
    """Return the environment of a stack that keeps everything in `folder` and judges by the baseline `golden` there."""
    own = {
        "SENTINEL_CONFIG": str(folder / "sentinel.toml"),
        "SENTINEL_STATE_DIR": str(folder / "state"),
        "SENTINEL_WATCH_DIR": str(folder / "incoming"),
        "SENTINEL_BASELINES_DIR": str(folder / "baselines"),
        "SENTINEL_BASELINE": "golden",
        "SENTINEL_ALLOWED_ROOTS": str(folder),
        "SENTINEL_WEIGHTS": "random:0",
        "SENTINEL_FLOWER_PORT": "0",
        "SENTINEL_METRICS_PORT": "0",
        "SENTINEL_FLOWER_PASSWORD": "secret",
        "SENTINEL_PAGE_PORT": "0",
        "SENTINEL_SETTLE_SECONDS": "0.5",
        "SENTINEL_COOLDOWN_SECONDS": "15",
        # The gate has tests of its own; here a short training must lead to a promotion.
        "SENTINEL_FIRST_STEPS": "50",
        "SENTINEL_RETRAIN_STEPS": "100",
        "SENTINEL_PROMOTE_MAX_LOSS_DB": "5",
        "SENTINEL_PROMOTE_MAX_WORST_LOSS_DB": "10",
        "SENTINEL_SWEEP_SECONDS": "5",
        "SENTINEL_STUCK_SECONDS": "15",
    }
    return {**{name: value for name, value in os.environ.items() if not name.startswith("SENTINEL_")}, **own}


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Golden footage and the baseline made from it, built once by the real command."""
    folder = tmp_path_factory.mktemp("world")
    record(folder / "golden.mp4", seconds=30, fps=10, seed=1, **SIZE)
    record(folder / "clean.mp4", seconds=8, fps=10, seed=2, **SIZE)
    (folder / "sentinel.toml").touch()
    share_backbones(tmp_path_factory, folder / "state")
    world = World(folder, environment_in(folder))
    built = world.run("baseline", "build", str(folder / "golden.mp4"), "--name", "golden")
    assert built.returncode == 0, built.stderr
    return world


@pytest.fixture(scope="module")
def stack(world: World) -> Iterator[Running]:
    get_settings.cache_clear()
    running = start(world)
    yield running
    if running.process.poll() is None:
        running.interrupt()
