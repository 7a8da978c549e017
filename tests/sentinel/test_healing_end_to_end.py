"""The story of a fault on a running stack: it fails, is healed for its stream alone, and a rollback brings it back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from common.broker import RETRAIN_QUEUE, RETRAIN_TASK, make_app
from common.contracts.events import EventType
from common.contracts.verdicts import Cause, Verdict
from common.settings import Settings
from sentinel.demo.footage import drop
from simulation.saboteur import Fault, sabotage
from simulation.virtual_camera import record
from tests.sentinel.conftest import PATIENCE_SECONDS, Running, World, start, wait_until
from tests.sentinel.watching import events, verdicts, wait_for_batches

SECONDS = 20  # of each clip: as much as a condition takes


@pytest.fixture(scope="module")
def healing_stack(world: World) -> Iterator[Running]:
    """A stack with a state of its own."""
    own = {"SENTINEL_STATE_DIR": str(world.folder / "healing"), "SENTINEL_WATCH_DIR": str(world.folder / "watched")}
    running = start(OwnWorld(world.folder, {**world.environment, **own}))
    yield running
    if running.process.poll() is None:
        running.interrupt()


class OwnWorld(World):
    """The same footage and baseline, for a stack with other folders."""

    @property
    def watch_dir(self) -> Path:
        return Path(self.environment["SENTINEL_WATCH_DIR"])

    @property
    def state_dir(self) -> Path:
        return Path(self.environment["SENTINEL_STATE_DIR"])


def shown(stack: Running, stream: str, clip: Path) -> list[Verdict]:
    """Drop a clip for `stream`, and return the verdicts on it."""
    known = verdicts(stack, stream)
    batches = len(events(stack, stream, EventType.BATCH_COMPLETE))
    drop(clip, stack.world.watch_dir / stream)
    wait_for_batches(stack, stream, batches + 1)
    return verdicts(stack, stream)[len(known) :]


def spoiled(stack: Running, fault: Fault, seed: int) -> Path:
    """Record a clip of the camera, spoil it, and return its path."""
    clean, clip = (stack.world.folder / f"{name} {seed}.mp4" for name in ("healed clean", fault.value))
    record(clean, seconds=SECONDS, fps=10, seed=seed)
    sabotage(clean, clip, fault, 4, seed=seed)
    return clip


def said(stack: Running, *arguments: str) -> Any:
    """Run a command, and return its JSON."""
    done = stack.world.run(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_fault_fails_is_healed_for_its_stream_alone_and_a_rollback_brings_the_fail_back(
    healing_stack: Running,
) -> None:
    stack = healing_stack
    golden = (stack.world.folder / "baselines" / "golden" / "arrays.npz").read_bytes()
    noise, covered = spoiled(stack, Fault.NOISE, 11), spoiled(stack, Fault.COVERED, 12)
    first = shown(stack, "healed", noise)
    assert {(row.status, row.cause) for row in first} == {("FAIL", Cause.NOISE)}
    assert {row.status for row in shown(stack, "hooded", covered)} == {"FAIL"}
