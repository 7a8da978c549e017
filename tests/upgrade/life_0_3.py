"""How the state in fixture `v0_3` came about, and what version 0.3 said of it.

    python -m tests.upgrade.life_0_3 tests/upgrade/fixtures/v0_3

Run in a checkout of 0.3.0 (commit 7aa7d9e) with this `tests/upgrade` in it, as `make_fixture` says; that takes two
minutes. Since 0.3 a stack keeps incidents: one that a person has acknowledged and that no retraining healed, one of a
stream that is muted, and one that is closed. There is no champion, as that takes 120 held-out triplets, which are no
small file.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import redis

from tests.upgrade import life, scenario
from tests.upgrade.footage import append_note
from tests.upgrade.make_fixture import ARCHIVE
from tests.upgrade.scenario import GOLDEN, NO_HEALING, YARD, events_of, wait_for_batches
from tests.upgrade.world import World, running_redis, running_stack, wait_until

TOLD = "told.json"
PERSON = "Ann"
RECOVERED = "gate/east"
_TRIED = "io.sentinel.challenger.rejected."
_CLEAN_CLIPS = 4  # enough windows that pass to close an incident


def live(world: World) -> None:
    """Run the stack until there is something of all that it stores without a champion."""
    life.make_footage(world)
    for name in (GOLDEN, YARD):
        footage = world.footage / f"{name}.mp4"
        world.run("baseline", "build", str(footage), "--name", name, **life.SMALL)
        footage.unlink()
    world.config.write_text(life.BOUND, encoding="utf-8")
    with running_stack(world, **life.QUICK) as client:
        world.drop(world.footage / "clean.mp4", "dock")
        for clip in ("north1", "north2"):
            world.drop(world.footage / f"{clip}.mp4", "gate/north")
        wait_until("a retraining", lambda: events_of(client, None, _TRIED))
        wait_for_batches(client, "dock", 1)
    with running_stack(world, **NO_HEALING) as client:
        _acknowledge(world, "gate/north")
        world.drop(world.footage / "dark1.mp4", YARD)
        wait_for_batches(client, YARD, 1)
        world.run("streams", "mute", YARD, "--for", "1w", "--by", PERSON)
        _recover(world, client)
        life.watch_cameras(world, client)
        for stream, clip in (("gate/south", "north6"), (YARD, "dark2")):
            world.drop(world.footage / f"{clip}.mp4", stream)
        wait_for_batches(client, "gate/south", 1)
        wait_for_batches(client, YARD, 2)
        life.go_wrong(world, client)
    life.leave_work_waiting(world)


def _acknowledge(world: World, stream: str) -> None:
    (incident,) = [row for row in world.json("incidents", "list") if row["stream"] == stream]
    world.run("incidents", "ack", incident["id"], "--by", PERSON)
    wait_until("the note", lambda: PERSON in {row["acknowledged_by"] for row in world.json("incidents", "list")})


def _recover(world: World, client: redis.Redis) -> None:
    """A stream fails, and passes again until its incident is closed."""
    for clip in ("north3", "north4"):
        world.drop(world.footage / f"{clip}.mp4", RECOVERED)
    wait_for_batches(client, RECOVERED, 2)
    for number in range(_CLEAN_CLIPS):
        clip = append_note(world.footage / "clean.mp4", f"take {number}", world.footage / f"again{number}.mp4")
        world.drop(clip, RECOVERED)
        clip.unlink()
    wait_until(
        "the end of an incident",
        lambda: "closed" in {row["state"] for row in world.json("incidents", "list") if row["stream"] == RECOVERED},
    )


def described(world: World) -> dict[str, Any]:
    """Return what the command line says of stored state, incidents too, with nothing running but Redis."""
    told = scenario.described(world)
    with running_redis(world.redis_folder) as url:
        told["incidents"] = world.json("incidents", "list", SENTINEL_REDIS_URL=url)
    return {name: told[name] for name in ("status", "dead", "incidents", "baseline", "baseline_yard")}


def main(out: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="sentinel-fixture-") as name:
        world = World(Path(name).resolve() / "written")
        world.folder.mkdir()
        live(world)
        scenario.store(world, out / ARCHIVE)
        told = {"root": str(world.folder), **described(world)}
    (out / TOLD).write_text(json.dumps(told, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
