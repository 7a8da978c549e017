"""Starting, stopping and surviving: nothing is left behind and nothing is lost."""

from __future__ import annotations

import os
import signal

import psutil

from common.contracts.batches import BatchReport
from common.contracts.events import EventType
from sentinel.demo.footage import drop
from tests.sentinel.conftest import World, start, wait_until


def test_ctrl_c_ends_every_process_and_the_next_start_loses_nothing(world: World) -> None:
    first = start(world)
    # Stopped in the middle of its work: the file is seen, its chunks are on their way.
    drop(world.folder / "golden.mp4", world.watch_dir / "restart")
    wait_until("the batch to be accepted", lambda: "restart" in first.store.streams.names())
    family = first.family()
    first.interrupt()
    gone, alive = psutil.wait_procs(family, timeout=20)
    assert not alive, [process.cmdline() for process in alive]
    assert len(gone) >= 8

    (world.watch_dir / "restart").joinpath("late.mp4").write_bytes((world.folder / "clean.mp4").read_bytes())
    second = start(world)
    try:

        def reports() -> list[BatchReport]:
            return [
                e.report
                for e in second.store.event_log.events()
                if e.type is EventType.BATCH_COMPLETE and e.stream == "restart"
            ]

        wait_until("both batches", lambda: len(reports()) == 2)
        assert sorted(report.frames for report in reports()) == [80, 300]
        assert not any(report.dead_chunks for report in reports())
    finally:
        second.interrupt()


def test_a_killed_worker_and_a_killed_redis_come_back_and_the_batch_is_whole(world: World) -> None:
    running = start(world)
    try:
        drop(world.folder / "golden.mp4", world.watch_dir / "killed")
        wait_until("the batch to be accepted", lambda: "killed" in running.store.streams.names())
        victims = [p for p in running.family() if "workers.embedding" in " ".join(p.cmdline())]
        redis = [p for p in running.family() if "redis-server" in p.name()]
        for process in victims[-1:] + redis:
            os.kill(process.pid, signal.SIGKILL)

        def frames() -> list[int]:
            try:
                return [
                    e.report.frames
                    for e in running.store.event_log.events()
                    if e.type is EventType.BATCH_COMPLETE and e.stream == "killed"
                ]
            except Exception:
                return []  # Redis is on its way back

        wait_until("the batch to be judged", frames, seconds=240)
        assert frames() == [300]
    finally:
        running.interrupt()
