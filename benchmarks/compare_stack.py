"""One run of a version's whole stack: verdicts, throughput, latency and processor time, seen from outside.

What is assumed of a version, old or new:

- `sentinel up` writes `<state_dir>/stack.json`, which names the Redis (only `redis_url` below reads it)
- entries of `sentinel:events` have the fields `type`, `stream` and `data`, which is JSON
- types begin with `io.sentinel.verdict.` and `io.sentinel.batch.complete.`, whatever version follows; the data of the
  latter has `frames`
- a file is taken in once it has stood still for SENTINEL_SETTLE_SECONDS, which is taken off all times
"""

from __future__ import annotations

import json
import shutil
import signal
import statistics
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import redis

from benchmarks.clips import drop
from benchmarks.compare_trees import Tree

SETTLE_SECONDS = 0.5
_EVENTS = "sentinel:events"
_VERDICT, _COMPLETE = "io.sentinel.verdict.", "io.sentinel.batch.complete."
_START_SECONDS, _WORK_SECONDS, _STOP_SECONDS = 120.0, 900.0, 180.0
_LOOK_SECONDS = 0.1
_SMALL_STREAM = "small"


@dataclass(frozen=True)
class Load:
    """What a stack is fed.

    Attributes
    ----------
    files : by stream, the clips dropped into it all at once
    baselines : by stream, the baseline that judges it
    small : a clip of one window, dropped one by one for the latency
    small_count : how often
    settings : of the stack, beside those that say where things are
    """

    files: Mapping[str, Path]
    baselines: Mapping[str, Path]
    small: Path
    small_baseline: Path
    small_count: int
    settings: Mapping[str, str]


@dataclass(frozen=True)
class StackRun:
    """Figures of one run; `verdicts` by stream, as parsed JSON with the run's own folder taken out of it."""

    verdicts: dict[str, list[dict[str, Any]]]
    frames: int
    seconds: float
    latencies: list[float]
    cpu_seconds: float

    @property
    def figures(self) -> dict[str, float]:
        return {
            "throughput, frames/s": self.frames / self.seconds,
            "latency, s": statistics.median(self.latencies),
            "processor time per frame, ms": 1e3 * self.cpu_seconds / self.frames,
        }


def redis_url(tree: Tree, state_dir: Path) -> str | None:
    """Return the Redis of the stack that `tree` runs in `state_dir`, password included; None: it is not up yet.

    Both versions known so far say it in `stack.json`. One that says it elsewhere gets its own branch here.
    """
    try:
        told = json.loads((state_dir / "stack.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    found = told.get("redis_url")
    if found is None:
        raise RuntimeError(f"{tree.label}: {state_dir / 'stack.json'} names no redis_url")
    return str(found)


@contextmanager
def _running(tree: Tree, folder: Path, environment: dict[str, str]) -> Iterator[tuple[redis.Redis, psutil.Process]]:
    """Run `sentinel up`; yield a client of its Redis, and its process."""
    log = folder / "up.log"
    with log.open("ab") as out:
        stack = subprocess.Popen(tree.command("up"), cwd=tree.scratch, env=environment, stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + _START_SECONDS
        while (url := redis_url(tree, Path(environment["SENTINEL_STATE_DIR"]))) is None:
            if stack.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{tree.label}: the stack did not start: {log.read_text(errors='replace')}")
            time.sleep(_LOOK_SECONDS)
        with redis.Redis.from_url(url) as client:
            yield client, psutil.Process(stack.pid)
    finally:
        if stack.poll() is None:
            stack.send_signal(signal.SIGINT)
        stack.wait(_STOP_SECONDS)


def run_stack(tree: Tree, folder: Path, load: Load) -> StackRun:
    """Bring a stack of `tree` up in `folder`, feed it, and return what came of it."""
    folder.mkdir(parents=True)
    watched = folder / "incoming"
    # Each version reads its own of the two, and knows nothing of the other: 0.1 the variable, later ones the file.
    config = folder / "sentinel.toml"
    tables = [
        f"[streams.{json.dumps(stream)}]\nbaseline = {json.dumps(str(path))}\n"
        for stream, path in load.baselines.items()
    ]
    config.write_text("\n".join(tables), encoding="utf-8")
    environment = tree.environment(
        {
            **load.settings,
            "SENTINEL_WATCH_DIR": str(watched),
            "SENTINEL_BASELINE": str(load.small_baseline),
            "SENTINEL_CONFIG": str(config),
            "SENTINEL_STREAM_BASELINES": json.dumps({stream: str(path) for stream, path in load.baselines.items()}),
            "SENTINEL_SETTLE_SECONDS": str(SETTLE_SECONDS),
            "SENTINEL_COOLDOWN_SECONDS": "86400",  # no retraining: it would take a core from what is measured
            "SENTINEL_STATE_DIR": str(folder / "state"),
        }
    )
    # Converting a backbone is no part of it: the cache that earlier commands of this version filled is copied.
    shutil.copytree(tree.scratch / "state" / "backbones", folder / "state" / "backbones")
    with _running(tree, folder, environment) as (client, stack):
        warm = [(stream, clip, 0) for stream, clip in {**load.files, _SMALL_STREAM: load.small}.items()]
        for stream, clip, number in warm:
            drop(clip, watched / stream, number)
        _wait_for(client, len(warm), folder)
        latencies = [_latency(client, watched, load.small, number, folder) for number in range(1, load.small_count + 1)]
        done = len(warm) + load.small_count
        before, (last, _) = cpu_seconds(stack), _latest(client)
        for stream, clip in load.files.items():
            drop(clip, watched / stream, 1)
        dropped = time.time()
        _wait_for(client, done + len(load.files), folder)
        spent = cpu_seconds(stack) - before
        rows = _events(client, _COMPLETE, after=last)
        frames = sum(int(row["frames"]) for _, _, row in rows)
        seconds = max(at for at, _, _ in rows) - dropped - SETTLE_SECONDS
        return StackRun(_verdicts(client, str(folder)), frames, seconds, latencies, spent)


def cpu_seconds(stack: psutil.Process) -> float:
    """Return processor seconds so far of a stack's process and all below it, its Redis included."""
    spent = 0.0
    for process in (stack, *stack.children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        spent += times.user + times.system
    return float(spent)


def _latency(client: redis.Redis, watched: Path, clip: Path, number: int, folder: Path) -> float:
    """Return seconds from the drop of a small file to its verdict, by the clock of the Stream's entry id."""
    last, done = _latest(client)
    drop(clip, watched / _SMALL_STREAM, number)
    dropped = time.time()
    _wait_for(client, done + 1, folder)
    ((at, _, _), *_) = _events(client, _VERDICT, after=last)
    return at - dropped - SETTLE_SECONDS


def _events(client: redis.Redis, kind: str, *, after: str = "-") -> list[tuple[float, str, dict[str, Any]]]:
    """Return time in seconds since the epoch, stream and data of the events whose type begins with `kind`."""
    return [
        (int(entry_id.partition("-")[0]) / 1e3, fields[b"stream"].decode(), json.loads(fields[b"data"]))
        for entry_id, fields in _entries(client, after)
        if fields[b"type"].decode().startswith(kind)
    ]


def _entries(client: redis.Redis, after: str) -> list[tuple[str, dict[bytes, bytes]]]:
    """Return the entries of `sentinel:events` after an id (exclusive), `-` for all."""
    rows: Any = client.xrange(_EVENTS, min=after if after == "-" else f"({after}")
    return [(entry_id.decode(), fields) for entry_id, fields in rows]


def _latest(client: redis.Redis) -> tuple[str, int]:
    """Return the id of the latest event, and how many batches are complete."""
    rows = _entries(client, "-")
    return rows[-1][0], sum(fields[b"type"].decode().startswith(_COMPLETE) for _, fields in rows)


def _wait_for(client: redis.Redis, batches: int, folder: Path) -> None:
    deadline = time.monotonic() + _WORK_SECONDS
    seen, last = 0, "-"
    while seen < batches:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{batches} batches fed, {seen} complete; log in {folder / 'up.log'}")
        time.sleep(_LOOK_SECONDS)
        # New entries only: to read all of them again would take a good part of a core from the stack.
        rows = _entries(client, last)
        seen += sum(fields[b"type"].decode().startswith(_COMPLETE) for _, fields in rows)
        last = rows[-1][0] if rows else last


def _verdicts(client: redis.Redis, folder: str) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for _, stream, data in _events(client, _VERDICT):
        found.setdefault(stream, []).append(json.loads(json.dumps(data).replace(folder, "")))
    return found
