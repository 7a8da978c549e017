"""How the state in the fixture came about: the life of a stack of version 0.2, until it is stopped.

Two golden baselines, and with that two lines of champions. `golden` judges every stream that nothing else is said of:
v2 was promoted, then rolled back to v1's files as v3, and the line is held there while FAILs wait. `yard` judges the
stream `yard`, by its table in sentinel.toml: v2 is champion, with a baseline that the promotion widened, and FAILs of
another cause wait.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import redis

from tests.upgrade import clock
from tests.upgrade.footage import append_note, film, write_clip, write_stills
from tests.upgrade.scenario import (
    CLIP_FRAMES,
    CLOCK,
    DEAD_LETTERS,
    FULL,
    GOLDEN,
    HALF,
    INGEST,
    MILD_CLIP,
    NO_HEALING,
    PROMOTED,
    STILLS,
    YARD,
    events_of,
    send_still,
    wait_for_batches,
)
from tests.upgrade.world import World, redis_url, running_redis, running_stack, wait_until

GOLDEN_FRAMES = 60
MILD = ("colour_cast", "2")  # a PASS not far from the threshold: what a changed digit would show in
BLUR, DARK = ("blur", "4"), ("low_light", "4")  # noise would not compress
QUICK = {"SENTINEL_COOLDOWN_SECONDS": "4"}
# Features and what is said of each window are most of what is stored: fewer columns, fewer windows.
SMALL = {"SENTINEL_BACKBONE": "mobilenet_v3_small", "SENTINEL_WINDOW_STRIDE": "6"}
BOUND = f'[streams.{YARD}]\nbaseline = "{YARD}"\n'


def live(world: World) -> None:
    """Run today's stack until there is something of everything that it stores."""
    make_footage(world)
    for name in (GOLDEN, YARD):
        footage = world.footage / f"{name}.mp4"
        world.run("baseline", "build", str(footage), "--name", name, **SMALL)
        footage.unlink()  # nothing refers to it any more, and the fixture is to stay small
    world.config.write_text(BOUND, encoding="utf-8")
    with running_stack(world, **QUICK) as client:
        _heal(world, client)
        world.run("champions", "rollback", GOLDEN)
    with running_stack(world, **NO_HEALING) as client:
        watch_cameras(world, client)
        _fail_again(world, client)
        go_wrong(world, client)
    leave_work_waiting(world)


def make_footage(world: World) -> None:
    """Record all clips and stills; `sentinel sabotage` spoils the copies."""
    clips = world.footage
    write_clip(clips / f"{GOLDEN}.mp4", film(GOLDEN_FRAMES, seed=1))
    write_clip(clips / f"{YARD}.mp4", film(GOLDEN_FRAMES, seed=4, board=1))
    clean = write_clip(clips / "clean.mp4", film(CLIP_FRAMES, seed=2))
    write_clip(clips / "yard-clean.mp4", film(CLIP_FRAMES, seed=5, board=1))
    write_stills(clips / "stills", film(STILLS, seed=3))
    spoil(world, clean, MILD)
    takes(spoil(world, clean, BLUR), "north", 6)
    takes(spoil(world, clips / "yard-clean.mp4", BLUR), YARD, 3)
    takes(spoil(world, clips / "yard-clean.mp4", DARK), "dark", 2)


def spoil(world: World, clip: Path, fault: tuple[str, str]) -> Path:
    name, severity = fault
    world.run("sabotage", str(clip), "--out", str(world.footage), "--fault", name, "--severity", severity)
    return world.footage / f"{clip.stem}-{name}-{severity}.mp4"


def takes(clip: Path, name: str, count: int) -> None:
    """Replace `clip` by `count` clips of the same frames and another content: a copy would not be counted twice."""
    for number in range(1, count + 1):
        append_note(clip, f"take {number}", clip.with_name(f"{name}{number}.mp4"))
    clip.unlink()


def _heal(world: World, client: redis.Redis) -> None:
    """FAILs of one stream lead to a retraining and a promotion; the same footage passes afterwards. In both lines."""
    world.drop(world.footage / "clean.mp4", "dock")
    for stream, clip in (("gate/north", "north"), (YARD, YARD)):
        world.drop(world.footage / f"{clip}1.mp4", stream)
        world.drop(world.footage / f"{clip}2.mp4", stream)
    wait_until("two promotions", lambda: {row["model"] for row in events_of(client, None, PROMOTED)} == {GOLDEN, YARD})
    world.drop(world.footage / "north3.mp4", "gate/north")
    world.drop(world.footage / f"{YARD}3.mp4", YARD)
    wait_for_batches(client, "gate/north", 3)
    wait_for_batches(client, YARD, 3)
    wait_for_batches(client, "dock", 1)


def watch_cameras(world: World, client: redis.Redis) -> None:
    """One camera's window stays half filled, another one's has slid on."""
    stills = sorted((world.footage / "stills").iterdir())
    for number, still in enumerate(stills[:FULL]):
        if number < HALF:
            send_still(client, "half", still, inline=number % 2 == 0)
        send_still(client, "full", still)
    wait_for_batches(client, "half", HALF)
    wait_for_batches(client, "full", FULL)


def _fail_again(world: World, client: redis.Redis) -> None:
    """FAILs that wait, with their evidence: confirmed in both lines, and a run of one stream that is not confirmed."""
    for stream, clip in (("gate/north", "north4"), ("gate/north", "north5"), ("gate/south", "north6"), (YARD, "dark1"),
                         (YARD, "dark2")):  # fmt: skip
        world.drop(world.footage / f"{clip}.mp4", stream)
    world.drop(world.footage / MILD_CLIP, "mild")
    wait_for_batches(client, "gate/north", 5)
    wait_for_batches(client, "gate/south", 1)
    wait_for_batches(client, YARD, 5)
    wait_for_batches(client, "mild", 1)
    for model in (GOLDEN, YARD):
        wait_until(f"FAILs of {model} that wait", lambda model=model: _waiting(world, model))


def _waiting(world: World, model: str) -> int:
    rows = world.json("status")["models"]
    return int(next(row["waiting_fails"] for row in rows if row["model"] == model))


def go_wrong(world: World, client: redis.Redis) -> None:
    """Leave a dead letter of every kind: a source, a chunk, an event, a task."""
    from celery import Celery

    folder = world.incoming / "mixed"
    folder.mkdir(parents=True)
    (folder / "notes.mp4").write_text("this is no video\n" * 20)
    still = (world.footage / "stills" / "000.png").read_bytes()
    (folder / "torn.png").write_bytes(still[: len(still) // 2])
    client.xadd(INGEST, {"specversion": "0.3", "id": "x", "source": "/cameras/bad"})
    app = Celery(broker=redis_url(world.folder / "state"))
    app.send_task("sentinel.embed", kwargs={"chunk": "{}"}, queue="embed")
    app.close()
    wait_until("dead letters", lambda: {row["kind"] for row in world.json("dead", "list")} == DEAD_LETTERS)


def leave_work_waiting(world: World) -> None:
    """Register a batch that no worker is there to embed, and an event that no bridge is there to read."""
    with running_redis(world.redis_folder) as url:
        client = redis.Redis.from_url(url)
        command = [sys.executable, "-m", "sentinel", "watch"]
        with (world.folder / "up.log").open("ab") as log:
            environment = world.environment(SENTINEL_REDIS_URL=url, **NO_HEALING)
            watcher = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            world.drop(world.footage / "clean.mp4", "waiting")
            wait_until("the batch to be registered", lambda: client.llen("embed") >= 1)
        finally:
            watcher.terminate()
            watcher.wait(60)
        send_still(client, "unread", world.footage / "stills" / "001.png", inline=True)
        stopped = clock.stop(client)
        (world.folder / CLOCK).write_text(json.dumps(stopped.to_dict(), indent=1, sort_keys=True), encoding="utf-8")
        client.bgrewriteaof()  # what Redis does by itself once the file has grown: a snapshot at its head
        wait_until("the rewrite", lambda: not client.info("persistence")["aof_rewrite_in_progress"], 60)
        client.close()
