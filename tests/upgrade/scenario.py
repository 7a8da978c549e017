"""Stored state is packed, opened elsewhere, described, and gone on with.

Shared by the generator, which does it with the version that is captured, and by the tests, which do it with the version
of today, and build the baselines again on the way: both must judge the same frames. How the state came about is in
`life`.
"""

from __future__ import annotations

import json
import lzma
import tarfile
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import redis

from tests.upgrade import clock
from tests.upgrade.footage import append_note
from tests.upgrade.relocation import naming, relocate
from tests.upgrade.world import CONFIG, World, running_redis, running_stack, wait_until

EVENTS, INGEST, DEAD = "sentinel:events", "sentinel:ingest", "sentinel:dead"
VERDICT, BATCH, PROMOTED = "io.sentinel.verdict.", "io.sentinel.batch.complete.", "io.sentinel.champion.promoted."
FIGURES = ("status", "drift_score", "p_value", "cause", "start", "stop", "confirmed", "failing_since", "baseline_id")
"""What is kept of a verdict."""

GOLDEN, YARD = "golden", "yard"
"""The baselines: of every stream, and of the one stream that is called like it. 0.1's fixture has the first alone."""

DEAD_LETTERS = {"source", "chunk", "event", "task"}
STILLS, CLIP_FRAMES = 18, 24
HALF, FULL = 7, 13  # stills of a camera whose window of 12 is not full yet, and of one that goes on sliding
AGAIN = 7  # stills that come once more, so that a window which began anew at HALF or FULL is full
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


def frames_of(client: redis.Redis, stream: str) -> int:
    """Return how many frames the batches of `stream` had that are complete."""
    return sum(int(report["frames"]) for report in events_of(client, stream, BATCH))


def wait_for_frames(client: redis.Redis, stream: str, count: int) -> None:
    wait_until(f"{count} frames of {stream}", lambda: frames_of(client, stream) >= count)


def send_still(client: redis.Redis, camera: str, still: Path, *, inline: bool = False, take: str = "") -> None:
    """Write a camera event about `still`, or with it inside, to `sentinel:ingest`; another take is another event."""
    fields: dict[str, Any] = {
        "specversion": "1.0", "id": f"{camera}-{still.stem}{take}", "source": f"/cameras/{camera}",
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
    if has_yard(world):
        told["baseline_yard"] = world.json("baseline", "show", YARD)
    return told


def has_yard(world: World) -> bool:
    """Return whether there is a second line of champions."""
    return (world.folder / "baselines" / YARD).exists()


def store(world: World, archive: Path) -> None:
    """Pack the folders and files that hold state, without what a cache can make again."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    with lzma.open(archive, "wb", preset=9) as packed, tarfile.open(fileobj=packed, mode="w") as tar:
        for name in _STORED:
            if (world.folder / name).exists():
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


@dataclass
class Continued:
    """What going on came to.

    Attributes
    ----------
    verdicts : stream -> its verdicts since
    frames : stream -> frames that it had when the stack was stopped, and that it has now
    while_waiting : what the command line said before the baselines were built again; empty if they were not
    retried : dead letters and what became of each: `kind`, `id`, and `became` or `error`
    left : dead letters at the end
    promotions : events of promotions, in all
    """

    verdicts: dict[str, list[dict[str, Any]]]
    frames: dict[str, tuple[int, int]]
    while_waiting: dict[str, Any]
    retried: list[dict[str, Any]]
    left: list[dict[str, Any]]
    promotions: int

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def go_on(world: World, rebuild: Callable[[World], None] | None = None) -> Continued:
    """Bring a stack up on stored state, feed what comes next, retry what was given up, and return what it came to.

    Parameters
    ----------
    rebuild : builds the baselines again, once every stream waits for that; None: this version can judge by them
    """
    stills = sorted((world.footage / "stills").iterdir())
    failing = {"gate/north": "north", YARD: YARD} if has_yard(world) else {"gate/north": "noisy"}
    fed = {"half": STILLS, "full": STILLS, "unread": 1, "waiting": CLIP_FRAMES, "mixed": CLIP_FRAMES}
    with running_stack(world) as client:
        streams = (*fed, *failing)
        before = {stream: frames_of(client, stream) for stream in streams}
        known = {stream: len(verdicts_of(client, stream)) for stream in streams}
        expected = fed | {stream: before[stream] + CLIP_FRAMES for stream in failing}
        for stream, clip in failing.items():
            fresh = append_note(world.footage / f"{clip}1.mp4", "take 9", world.footage / f"{clip}9.mp4")
            world.drop(fresh, stream)
        for camera, done in (("half", HALF), ("full", FULL)):
            for still in stills[done:]:
                send_still(client, camera, still)
        while_waiting = {}
        if rebuild is not None:
            while_waiting = _wait_for_baselines(world, client, known)
            rebuild(world)
        else:
            wait_for_frames(client, "waiting", CLIP_FRAMES)
        world.drop(world.footage / "clean.mp4", "mixed", "notes.mp4")
        retried = _retry_all(world)
        for stream, count in expected.items():
            wait_for_frames(client, stream, count)
        for camera in ("half", "full"):  # a window that began anew fills up
            for still in stills[:AGAIN]:
                send_still(client, camera, still, take="-again")
            wait_for_frames(client, camera, STILLS + AGAIN)
        left = _dead_letters_left(world, client)
        return Continued(
            verdicts={stream: verdicts_of(client, stream)[known[stream] :] for stream in streams},
            frames={stream: (before[stream], frames_of(client, stream)) for stream in streams},
            while_waiting=while_waiting,
            retried=retried,
            left=left,
            promotions=len(events_of(client, None, PROMOTED)),
        )


def _wait_for_baselines(world: World, client: redis.Redis, known: dict[str, int]) -> dict[str, Any]:
    """Wait until each stream that something came for waits for its baseline; return what is said meanwhile."""
    streams = set(known)
    refused = {"half": STILLS - HALF, "full": STILLS - FULL, "unread": 1}

    def all_wait() -> bool:
        given_up = Counter(stream for kind, stream in _given_up(client) if kind == "event")
        if any(given_up[stream] < count for stream, count in refused.items()):
            return False
        return streams <= {row["stream"] for row in world.json("status")["without_baseline"]}

    wait_until("every stream to wait for its baseline", all_wait)
    return {
        "dead": world.json("dead", "list"),
        "without_baseline": world.json("status")["without_baseline"],
        "verdicts": sum(len(verdicts_of(client, stream)) - count for stream, count in known.items()),
    }


def _given_up(client: redis.Redis) -> list[tuple[str, str]]:
    """Return kind and stream of every dead letter."""
    return [(fields[b"kind"].decode(), fields[b"stream"].decode()) for _, fields in client.xrange(DEAD)]


def _retry_all(world: World) -> list[dict[str, Any]]:
    """Retry every dead letter, and return what became of each, with its kind.

    A file that was mended in place is taken in by the folder's watcher as well: either is first.
    """
    retried: list[dict[str, Any]] = world.json("dead", "retry", "--all", codes=(0, 3))
    return retried


def _dead_letters_left(world: World, client: redis.Redis) -> list[dict[str, Any]]:
    """Return the dead letters once those that fail again are back."""
    fewest = len(DEAD_LETTERS) - 1  # the source was mended
    wait_until("letters to come back", lambda: len({kind for kind, _ in _given_up(client)}) >= fewest)
    letters: list[dict[str, Any]] = world.json("dead", "list")
    return letters
