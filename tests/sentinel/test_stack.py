"""Starting, stopping and surviving: nothing is left behind and nothing is lost."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import redis

from common.contracts.batches import BatchReport
from common.contracts.events import EventType
from common.contracts.processes import ProcessState
from common.process_health import process_health
from common.processes import wanted_processes
from common.store.ingest import offer
from sentinel.demo.footage import drop
from tests.converted import share_backbones
from tests.sentinel.conftest import Running, World, environment_in, start, wait_until


def reports(running: Running, stream: str) -> list[BatchReport]:
    events = running.store.event_log.events()
    return [row.report for row in events if row.type is EventType.BATCH_COMPLETE and row.stream == stream]


def test_after_ctrl_c_and_after_a_kill_the_next_start_loses_nothing(
    world: World, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    own = {"SENTINEL_BASELINES_DIR": world.environment["SENTINEL_BASELINES_DIR"]}
    restarted = World(tmp_path, {**environment_in(tmp_path), **own})
    (tmp_path / "sentinel.toml").touch()
    share_backbones(tmp_path_factory, restarted.state_dir)
    first = start(restarted)
    # Stopped in the middle of its work: the file is seen, its chunks are on their way.
    drop(world.folder / "golden.mp4", restarted.watch_dir / "restart")
    wait_until("the batch to be accepted", lambda: "restart" in first.store.streams.names())
    family = first.family()
    first.interrupt()
    gone, alive = psutil.wait_procs(family, timeout=20)
    assert not alive, [process.cmdline() for process in alive]
    assert len(gone) >= 8
    assert not (restarted.state_dir / "camera-url").exists()
    assert not (restarted.state_dir / "truth-url").exists()

    restarted.state_dir.chmod(0o755)  # as the version before made it
    (restarted.watch_dir / "restart").joinpath("late.mp4").write_bytes((world.folder / "clean.mp4").read_bytes())
    second = start(restarted)
    wait_until("both batches", lambda: len(reports(second, "restart")) == 2)
    assert sorted(report.frames for report in reports(second, "restart")) == [80, 300]
    assert not any(report.dead_chunks for report in reports(second, "restart"))
    second.store.client.set("sentinel:kept", "yes")
    orphan = next(p for p in second.family() if "redis-server" in " ".join(p.cmdline()))
    second.process.kill()
    second.process.wait()
    third = start(restarted)
    try:
        wait_until("the orphan to be gone", lambda: not orphan.is_running())
        assert third.info.redis_url != second.info.redis_url
        assert third.store.client.get("sentinel:kept") == b"yes"
    finally:
        third.interrupt()


def states(running: Running) -> dict[str, ProcessState]:
    return {one.process: one.state for one in process_health(running.store)}


def test_every_process_is_alive_and_doctor_says_so_with_nothing_set_but_the_folder(
    world: World, stack: Running
) -> None:
    wanted = wanted_processes(stack.store.settings)
    everyone = dict.fromkeys((process.name for process in wanted), ProcessState.ALIVE)
    wait_until("all processes to be alive", lambda: states(stack) == everyone)
    bare = {name: value for name, value in world.environment.items() if not name.startswith("SENTINEL_")}
    looked = subprocess.run(
        [sys.executable, "-m", "sentinel", "doctor", "--json"], cwd=world.folder,
        env={**bare, "SENTINEL_STATE_DIR": str(world.state_dir)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    rows = {row["what"]: row for row in json.loads(looked.stdout)}
    assert {what.removeprefix("process ") for what in rows if what.startswith("process ")} == set(everyone)
    assert all(row["ok"] for row in rows.values()), rows
    assert "golden" in rows["baseline"]["detail"]

    hung = next(p for p in stack.family() if p.cmdline()[-1] == "retrain-trigger")
    hung.suspend()
    wait_until("it to be late", lambda: states(stack)["retrain-trigger"] is ProcessState.LATE)
    assert {**everyone, "retrain-trigger": ProcessState.LATE} == states(stack)
    hung.resume()
    wait_until("it to be alive again", lambda: states(stack) == everyone)


def test_only_this_user_reads_what_the_stack_leaves_and_cameras_have_a_password_of_their_own(
    world: World, stack: Running
) -> None:
    assert stat.S_IMODE(world.state_dir.stat().st_mode) == 0o700
    for name in ("stack.json", "camera-url", "truth-url", "redis", "logs"):
        found = [world.state_dir / name, *(world.state_dir / name).rglob("*")]
        assert not any(path.stat().st_mode & 0o077 for path in found), name
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(port=stack.store.client.connection_pool.connection_kwargs["port"]).ping()
    camera = redis.Redis.from_url((world.state_dir / "camera-url").read_text().strip())
    offer(camera, {"specversion": "1.0"})
    with pytest.raises(redis.exceptions.NoPermissionError):
        camera.xrange("sentinel:ingest")
    secret = stack.info.redis_url.split(":")[2].partition("@")[0]
    assert not any(secret in " ".join(process.cmdline()) for process in stack.family())
    assert secret not in (world.folder / "up.log").read_text()
    assert not any(secret in log.read_text(errors="replace") for log in (world.state_dir / "logs").iterdir())


def test_a_killed_worker_and_a_killed_redis_come_back_and_the_batch_is_whole(world: World, stack: Running) -> None:
    drop(world.folder / "golden.mp4", world.watch_dir / "killed")
    wait_until("the batch to be accepted", lambda: "killed" in stack.store.streams.names())
    victims = [p for p in stack.family() if "workers.embedding" in " ".join(p.cmdline())]
    redis = [p for p in stack.family() if "redis-server" in p.name()]
    for process in victims[-1:] + redis:
        os.kill(process.pid, signal.SIGKILL)

    def frames() -> list[int]:
        try:
            return [report.frames for report in reports(stack, "killed")]
        except Exception:
            return []  # Redis is on its way back

    wait_until("the batch to be judged", frames, seconds=240)
    assert frames() == [300]
