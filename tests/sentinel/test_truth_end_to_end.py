"""Truth on a running stack: its process is killed in the middle, each row counts once, and a drop is an incident."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Iterator

import numpy as np
import psutil
import pytest
import redis

from common.contracts.events import EventType
from common.contracts.incidents import Incident
from common.contracts.truth import TruthProgress
from common.contracts.verdicts import Cause
from common.store import keys
from sentinel.demo.footage import drop
from tests.converted import share_backbones
from tests.sentinel.conftest import Running, World, start, wait_until
from tests.sentinel.watching import events, wait_for_batches
from tests.truth import message

STREAM = "yard"
KILLS = 3


@pytest.fixture(scope="module")
def truth_stack(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("truth")
    own = {
        "SENTINEL_STATE_DIR": str(folder / "state"),
        "SENTINEL_WATCH_DIR": str(folder / "incoming"),
        "SENTINEL_TRUTH_WINDOW": "20",
        "SENTINEL_TRUTH_REFERENCE": "200",
    }
    share_backbones(tmp_path_factory, folder / "state")
    running = start(World(folder, {**world.environment, **own}))
    drop(world.folder / "clean.mp4", running.world.watch_dir / STREAM)
    wait_for_batches(running, STREAM)
    yield running
    if running.process.poll() is None:
        running.interrupt()


def truth_process(stack: Running) -> psutil.Process | None:
    for process in stack.family():
        try:
            if process.cmdline()[-1:] == ["truth"]:
                return process
        except psutil.Error:
            continue
    return None


def progress(stack: Running) -> TruthProgress:
    (found,) = stack.store.truth.progress(STREAM)
    return found


def accounted(stack: Running) -> int:
    found = stack.store.truth.progress(STREAM)
    return sum(row.reference_rows + row.judged_rows + row.refused_rows + row.waiting_rows for row in found)


def of_truth(stack: Running) -> list[Incident]:
    return [row for row in stack.store.streams.incidents(STREAM) if row.by_truth]


def hand_in(stack: Running, first: int, scores: list[bool], *, again: int = 0) -> None:
    """Write messages as a program does that has labels: with its own Redis user, some twice, in no order."""
    program = redis.Redis.from_url((stack.world.state_dir / "truth-url").read_text().strip())
    rows = [message(first + n, stream=STREAM, label="car" if ok else "bus") for n, ok in enumerate(scores)]
    rng = random.Random(first)
    rows += rng.sample(rows, k=again)
    rng.shuffle(rows)
    pipe = program.pipeline(transaction=False)
    for fields in rows:
        pipe.xadd(keys.TRUTH, fields)  # type: ignore[arg-type]
    pipe.execute()


def test_rows_count_once_though_their_process_is_killed_and_a_drop_becomes_an_incident(
    truth_stack: Running,
) -> None:
    generator = np.random.default_rng(0)
    wait_until("the process truth", lambda: truth_process(truth_stack))
    hand_in(truth_stack, 0, (generator.random(4000) < 0.9).tolist(), again=1000)
    killed: set[int] = set()
    for _ in range(KILLS):
        wait_until("rows to be taken in", lambda: accounted(truth_stack) > 300)
        victim = truth_process(truth_stack)
        if victim is not None and victim.pid not in killed:
            os.kill(victim.pid, signal.SIGKILL)
            killed.add(victim.pid)
        wait_until(
            "another process truth",
            lambda: (found := truth_process(truth_stack)) is not None and found.pid not in killed,
        )
        time.sleep(0.5)
    assert len(killed) == KILLS
    client = truth_stack.store.client
    wait_until("every message to be handled", lambda: client.xlen(keys.TRUTH) == 0)
    wait_until("every window to be judged", lambda: not truth_stack.store.truth.due())
    assert accounted(truth_stack) == 4000
    judged = events(truth_stack, STREAM, EventType.TRUTH_JUDGED)
    assert progress(truth_stack).judged_rows == 20 * len(judged)
    assert not of_truth(truth_stack), "a model as good as its reference"
    assert not list(truth_stack.store.event_log.dead_letters())

    hand_in(truth_stack, 4000, (generator.random(200) < 0.3).tolist())
    wait_until("the drop to be an incident", lambda: of_truth(truth_stack))
    (incident,) = of_truth(truth_stack)
    assert incident.cause is Cause.MODEL_DECAY
    assert incident.truth is not None and incident.truth.now < 0.6 < incident.truth.reference
    done = truth_stack.world.run("incidents", "list", "--stream", STREAM, "--json")
    assert [row["id"] for row in json.loads(done.stdout)] == [incident.id]
    shown = truth_stack.world.run("status", "--json")
    (found,) = [row for row in json.loads(shown.stdout)["streams"] if row["stream"] == STREAM]
    assert found["truth"][0]["reference_rows"] == 200
    gone = truth_stack.world.run("streams", "forget", STREAM, "--yes", "--json")
    assert gone.returncode == 0, gone.stderr
    assert not list(truth_stack.store.client.scan_iter(f"*{{{STREAM}}}*truth*"))
