"""Stored state is packed, opened elsewhere, described, and gone on with.

Shared by the generator, which does it with the version that is captured, and by the tests, which do it with the version
of today: both must end with the same verdicts. How the state came about is in `life`.
"""

from __future__ import annotations

import json
import lzma
import shutil
import tarfile
from pathlib import Path
from typing import Any

import redis

from tests.upgrade import clock
from tests.upgrade.footage import append_note
from tests.upgrade.relocation import naming, relocate
from tests.upgrade.world import CONFIG, World, running_redis, running_stack, wait_until

EVENTS, INGEST = "sentinel:events", "sentinel:ingest"
VERDICT, BATCH, PROMOTED = "io.sentinel.verdict.", "io.sentinel.batch.complete.", "io.sentinel.champion.promoted."
FIGURES = ("status", "drift_score", "p_value", "cause", "start", "stop", "confirmed", "failing_since", "baseline_id")
"""What has to be the same of a verdict, to the last digit."""

GOLDEN, YARD = "golden", "yard"
"""The baselines: of every stream, and of the one stream that is called like it. 0.1's fixture has the first alone."""

DEAD_LETTERS = {"source", "chunk", "event", "task"}
STILLS = 18
HALF, FULL = 7, 13  # stills of a camera whose window of 12 is not full yet, and of one that goes on sliding
MILD_CLIP = "clean-colour_cast-2.mp4"
NO_HEALING = {"SENTINEL_COOLDOWN_SECONDS": "86400"}  # FAILs wait, and go on waiting
CLOCK = "clock.json"
"""What `clock` stopped, beside the state; 0.1's fixture has none, and nothing of it is due."""
_STORED = ("baselines", "state/champions", "state/redis", "incoming", "footage", CONFIG, CLOCK)


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
    # What changes at each start, or with time alone.
    told["status"].pop("redis_url")
    told["status"].pop("processes", None)
    for model in told["status"].get("models", ()):
        model["due"] = model.pop("due_at") is not None
    for stream in told["status"]["streams"]:
        stream.pop("seconds_since_last_frame")
    told["baseline"] = world.json("baseline", "show", GOLDEN)
    told["check"] = world.json("check", str(world.footage / "clean.mp4"), "--baseline", GOLDEN)
    told["check_mild"] = world.json("check", str(world.footage / MILD_CLIP), "--baseline", GOLDEN, codes=(0, 1))
    if has_yard(world):
        told["baseline_yard"] = world.json("baseline", "show", YARD)
        told["check_yard"] = world.json("check", str(world.footage / "yard-clean.mp4"), "--baseline", YARD)
    return told


def has_yard(world: World) -> bool:
    """Return whether there is a second line of champions."""
    return (world.folder / "baselines" / YARD).exists()


def store(world: World, archive: Path) -> None:
    """Pack the folders and files that hold state, without what a cache can make again."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    with lzma.open(archive, "wb", preset=9) as packed, tarfile.open(fileobj=packed, mode="w") as tar:
        for name in _STORED:
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
    world = World(folder, dict(NO_HEALING))
    written = folder / CLOCK
    stopped = clock.Stopped(**json.loads(written.read_text(encoding="utf-8"))) if written.exists() else clock.Stopped()
    with running_redis(world.redis_folder) as url:
        relocate(url, old_root, str(folder))
        assert not (left := naming(url, old_root)), f"these still name the old place: {left}"
        with redis.Redis.from_url(url) as client:
            clock.start(client, stopped)
    return world


def go_on(world: World) -> dict[str, Any]:
    """Bring a stack up on stored state, feed what comes next, and return what it came to, by stream."""
    dead = world.folder / "incoming" / "mixed" / "notes.mp4"
    stills = sorted((world.footage / "stills").iterdir())
    failing = {"gate/north": "north", YARD: YARD} if has_yard(world) else {"gate/north": "noisy"}
    with running_stack(world) as client:
        known = {stream: len(verdicts_of(client, stream)) for stream in ("half", "full", *failing)}
        batches = {stream: len(events_of(client, stream, BATCH)) for stream in failing}
        for stream, clip in failing.items():
            fresh = append_note(world.footage / f"{clip}1.mp4", "take 9", world.footage / f"{clip}9.mp4")
            world.drop(fresh, stream)
        for still in stills[HALF:]:
            send_still(client, "half", still)
        for still in stills[FULL:]:
            send_still(client, "full", still)
        wait_for_batches(client, "waiting", 1)
        wait_for_batches(client, "unread", 1)
        wait_for_batches(client, "half", STILLS)
        wait_for_batches(client, "full", STILLS)
        for stream, count in batches.items():
            wait_for_batches(client, stream, count + 1)
        shutil.copyfile(world.footage / "clean.mp4", dead)
        retried = {row["kind"]: _retry(world, row) for row in world.json("dead", "list")}
        wait_for_batches(client, "mixed", 2)  # the torn image ended as one, of no frames
        names = ("waiting", "mixed", *known)
        return {
            "verdicts": {name: verdicts_of(client, name)[known.get(name, 0) :] for name in names},
            "retried": {kind: became.replace("duplicate", "accepted") for kind, became in retried.items()},
            "left": _dead_letters_left(world),
            "promotions": len(events_of(client, None, PROMOTED)),
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
