"""What happened in the fixture before it was stored, and what happens to it when it is opened again.

Shared by the generator, which runs both with the version that is captured, and by the tests, which run the second part
with the version of today: both must end with the same verdicts.
"""

from __future__ import annotations

import json
import lzma
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import redis

from tests.upgrade.footage import film, write_clip, write_stills
from tests.upgrade.relocation import relocate
from tests.upgrade.world import World, running_redis, running_stack, wait_until

EVENTS, INGEST = "sentinel:events", "sentinel:ingest"
VERDICT, BATCH, PROMOTED = "io.sentinel.verdict.", "io.sentinel.batch.complete.", "io.sentinel.champion.promoted."
FIGURES = ("status", "drift_score", "p_value", "cause", "start", "stop", "confirmed", "failing_since", "baseline_id")
"""What has to be the same of a verdict, to the last digit."""

GOLDEN_FRAMES, CLIP_FRAMES, STILLS = 60, 24, 18
MILD = ("colour_cast", "2")  # a PASS not far from the threshold: what a changed digit would show in
HALF, FULL = 7, 13  # stills of a camera whose window of 12 is not full yet, and of one that goes on sliding
_MILD_CLIP = f"clean-{MILD[0]}-{MILD[1]}.mp4"
_QUICK = {"SENTINEL_COOLDOWN_SECONDS": "4"}
_NO_HEALING = {"SENTINEL_COOLDOWN_SECONDS": "86400"}  # FAILs wait, and go on waiting
_STACK_FOLDERS = ("baselines", "state/champions", "state/redis", "incoming", "footage")


# --- reading what a stack says --------------------------------------------------------------------


def events_of(client: redis.Redis, stream: str | None, kind: str) -> list[dict[str, Any]]:
    """Return the data of all events of `stream` (None: of any) whose type begins with `kind`."""
    found = []
    for _, fields in client.xrange(EVENTS):
        row = {name.decode(): value.decode() for name, value in fields.items()}
        if row["type"].startswith(kind) and stream in {None, row["stream"]}:
            found.append(json.loads(row["data"]))
    return found


def verdicts_of(client: redis.Redis, stream: str) -> list[dict[str, Any]]:
    """Return the figures of all verdicts of `stream`, oldest first."""
    return [{name: row[name] for name in FIGURES} for row in events_of(client, stream, VERDICT)]


def wait_for_batches(client: redis.Redis, stream: str, count: int) -> None:
    wait_until(f"{count} batches of {stream}", lambda: len(events_of(client, stream, BATCH)) >= count)


def send_still(client: redis.Redis, camera: str, still: Path, *, inline: bool = False) -> None:
    """Write a camera event about `still`, or with it inside, to `sentinel:ingest`."""
    fields: dict[str, Any] = {
        "specversion": "1.0", "id": f"{camera}-{still.stem}", "source": f"/cameras/{camera}",
        "type": "io.sentinel.frame.v1", "datacontenttype": "image/png",
        **({"data": still.read_bytes()} if inline else {"dataref": f"file://{still}"}),
    }  # fmt: skip
    client.xadd(INGEST, fields)


# --- how the state came about ---------------------------------------------------------------------


def make_footage(world: World) -> None:
    """Record all clips and stills; `sentinel sabotage` spoils the copies."""
    clips = world.footage
    write_clip(clips / "golden.mp4", film(GOLDEN_FRAMES, seed=1))
    clean = write_clip(clips / "clean.mp4", film(CLIP_FRAMES, seed=2))
    write_stills(clips / "stills", film(STILLS, seed=3))
    for fault, severity in (("noise", "4"), MILD):
        world.run("sabotage", str(clean), "--out", str(clips), "--fault", fault, "--severity", severity)
    noisy = clips / "clean-noise-4.mp4"
    for number in range(1, 5):
        # The same frames, another content: a copy would be recognised and not counted twice. Players skip the box.
        note = f"take {number}".encode()
        box = (8 + len(note)).to_bytes(4, "big") + b"free" + note
        (clips / f"noisy{number}.mp4").write_bytes(noisy.read_bytes() + box)
    noisy.unlink()  # the fixture is to stay small


def live(world: World) -> None:
    """Run today's stack until there is something of everything that it stores."""
    make_footage(world)
    world.run("baseline", "build", str(world.footage / "golden.mp4"), "--name", "golden")
    with running_stack(world, **_QUICK) as client:
        _heal(world, client)
        world.run("champions", "rollback", "golden")
    (world.footage / "golden.mp4").unlink()  # nothing refers to it any more
    with running_stack(world, **_NO_HEALING) as client:
        _watch_cameras(world, client)
        _fail_again(world, client)
        _go_wrong(world, client)
    _leave_work_waiting(world)


def _heal(world: World, client: redis.Redis) -> None:
    """FAILs of one stream lead to a retraining and a promotion; the same footage passes afterwards."""
    world.drop(world.footage / "clean.mp4", "dock")
    world.drop(world.footage / "noisy1.mp4", "gate/north")
    world.drop(world.footage / "noisy2.mp4", "gate/north")
    wait_until("a promotion", lambda: events_of(client, None, PROMOTED))
    world.drop(world.footage / "noisy3.mp4", "gate/north")
    wait_for_batches(client, "gate/north", 3)
    wait_for_batches(client, "dock", 1)


def _watch_cameras(world: World, client: redis.Redis) -> None:
    """One camera's window stays half filled, another one's has slid on."""
    stills = sorted((world.footage / "stills").iterdir())
    for number, still in enumerate(stills[:FULL]):
        if number < HALF:
            send_still(client, "half", still, inline=number % 2 == 0)
        send_still(client, "full", still)
    wait_for_batches(client, "half", HALF)
    wait_for_batches(client, "full", FULL)


def _fail_again(world: World, client: redis.Redis) -> None:
    """After the rollback the golden baseline judges: FAILs that wait for a retraining, with their evidence."""
    world.drop(world.footage / "noisy4.mp4", "gate/north")
    world.drop(world.footage / _MILD_CLIP, "mild")
    wait_for_batches(client, "gate/north", 4)
    wait_for_batches(client, "mild", 1)


def _go_wrong(world: World, client: redis.Redis) -> None:
    """Leave a dead letter of every kind: a source, a chunk, an event, a task."""
    from celery import Celery

    folder = world.incoming / "mixed"
    folder.mkdir(parents=True)
    (folder / "notes.mp4").write_text("this is no video\n" * 20)
    still = (world.footage / "stills" / "000.png").read_bytes()
    (folder / "torn.png").write_bytes(still[: len(still) // 2])
    client.xadd(INGEST, {"specversion": "0.3", "id": "x", "source": "/cameras/bad"})
    app = Celery(broker=f"redis://127.0.0.1:{client.connection_pool.connection_kwargs['port']}/0")
    app.send_task("sentinel.embed", kwargs={"chunk": "{}"}, queue="embed")
    app.close()
    wait_until("four dead letters", lambda: client.xlen("sentinel:dead") >= 4)


def _leave_work_waiting(world: World) -> None:
    """Register a batch that no worker is there to embed, and an event that no bridge is there to read."""
    with running_redis(world.redis_folder) as url:
        client = redis.Redis.from_url(url)
        command = [sys.executable, "-m", "sentinel", "watch"]
        with (world.folder / "up.log").open("ab") as log:
            environment = world.environment(SENTINEL_REDIS_URL=url, **_NO_HEALING)
            watcher = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            world.drop(world.footage / "clean.mp4", "waiting")
            wait_until("the batch to be registered", lambda: client.llen("embed") >= 1)
        finally:
            watcher.terminate()
            watcher.wait(60)
        send_still(client, "unread", world.footage / "stills" / "001.png", inline=True)
        client.bgrewriteaof()  # what Redis does by itself once the file has grown: a snapshot at its head
        wait_until("the rewrite", lambda: not client.info("persistence")["aof_rewrite_in_progress"], 60)
        client.close()


# --- stored and opened ----------------------------------------------------------------------------


def described(world: World) -> dict[str, Any]:
    """Return what the command line says of stored state, with nothing running but Redis."""
    with running_redis(world.redis_folder) as url:
        told = {
            "status": world.json("status", SENTINEL_REDIS_URL=url),
            "champions": world.json("champions", "list", SENTINEL_REDIS_URL=url),
            "dead": world.json("dead", "list", SENTINEL_REDIS_URL=url),
            "events": world.json("events", "--limit", "10000", SENTINEL_REDIS_URL=url),
        }
    told["status"].pop("redis_url")
    for stream in told["status"]["streams"]:
        stream.pop("seconds_since_last_frame")
    told["baseline"] = world.json("baseline", "show", "golden")
    told["check"] = world.json("check", str(world.footage / "clean.mp4"), "--baseline", "golden")
    told["check_mild"] = world.json("check", str(world.footage / _MILD_CLIP), "--baseline", "golden", codes=(0, 1))
    return told


def store(world: World, archive: Path) -> None:
    """Pack the folders that hold state, without what a cache can make again."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    with lzma.open(archive, "wb", preset=9) as packed, tarfile.open(fileobj=packed, mode="w") as tar:
        for name in _STACK_FOLDERS:
            tar.add(world.folder / name, name, filter=_nobody)


def _nobody(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leave out logs and process ids, and whose files these were."""
    if Path(member.name).name in {"redis.log", "redis.pid"}:
        return None
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def restore(archive: Path, old_root: str, folder: Path) -> World:
    """Unpack the state into `folder`, and move the paths inside it there from `old_root`."""
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    world = World(folder, dict(_NO_HEALING))
    with running_redis(world.redis_folder) as url:
        relocate(url, old_root, str(folder))
    return world


def go_on(world: World) -> dict[str, Any]:
    """Bring a stack up on stored state, feed what comes next, and return what it came to, by stream."""
    dead = world.folder / "incoming" / "mixed" / "notes.mp4"
    stills = sorted((world.footage / "stills").iterdir())
    with running_stack(world) as client:
        known = {stream: len(verdicts_of(client, stream)) for stream in ("half", "full", "gate/north")}
        shutil.copyfile(world.footage / "noisy1.mp4", world.footage / "noisy5.mp4")
        with (world.footage / "noisy5.mp4").open("ab") as file:
            file.write(b"\x00\x00\x00\x0efree" + b"take 5")
        world.drop(world.footage / "noisy5.mp4", "gate/north")
        for still in stills[HALF:]:
            send_still(client, "half", still)
        for still in stills[FULL:]:
            send_still(client, "full", still)
        wait_for_batches(client, "waiting", 1)
        wait_for_batches(client, "unread", 1)
        wait_for_batches(client, "half", STILLS)
        wait_for_batches(client, "full", STILLS)
        wait_for_batches(client, "gate/north", 5)
        shutil.copyfile(world.footage / "clean.mp4", dead)
        retried = {row["kind"]: _retry(world, row) for row in world.json("dead", "list")}
        wait_for_batches(client, "mixed", 2)  # the torn image ended as one, of no frames
        names = ("waiting", "mixed", *known)
        return {
            "verdicts": {name: verdicts_of(client, name)[known.get(name, 0) :] for name in names},
            "retried": {kind: became.replace("duplicate", "accepted") for kind, became in retried.items()},
            "left": _dead_letters_left(world),
        }


def _retry(world: World, letter: dict[str, Any]) -> str:
    """Retry one dead letter, and return what became of it in the command's words.

    A file that was mended in place is taken in by the folder's watcher as well: either is first.
    """
    return world.run("dead", "retry", letter["id"], codes=(0, 3)).strip().rpartition(": ")[2]


def _dead_letters_left(world: World) -> list[str]:
    """Return the kinds of the letters once those that fail again are back."""
    wait_until("letters to come back", lambda: len(_kinds(world)) >= 3)
    return _kinds(world)


def _kinds(world: World) -> list[str]:
    # Not their number: a still's identity holds its path (see `relocation`), so the torn one is given up twice.
    return sorted({row["kind"] for row in world.json("dead", "list")})
