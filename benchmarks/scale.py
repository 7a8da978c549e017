"""Cost per frame in the reducer and in Redis, by number of cameras, length of the window and size of the chunks.

    python -m benchmarks.scale [--cameras 1,10,100,1000] [--chunks 1000]

Random features of simulated cameras (chunks of 12 frames, as wide as those of
MobileNetV2 and of the sensors) pass through a real Redis and the reducer's own
function, after the window of each camera has been filled. The table shows Redis
commands, bytes and reducer time per frame. The reference is the row of 10
cameras. For 10 cameras there are also rows with longer windows (judged four
times per window, as by default) and with chunks of single frames.
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import redis

from benchmarks.machine import machine
from benchmarks.results import draw_lines, save
from benchmarks.workbench import NO_SPEC, fit, say
from common.baselines.storage import save_baseline
from common.contracts.batches import FrameBatch, Source, SourceKind
from common.contracts.ids import content_id
from common.drift.baseline import Baseline
from common.drift.windows import WindowRule
from common.features import FeatureBlock, to_half_precision
from common.modalities.video.groups import EMBEDDING, QUALITY
from common.modalities.video.sensors import SENSOR_NAMES
from sentinel.stack.redis_server import RedisServer

_WIDTH, _CHUNK, _WINDOW = 1280, 12, 48
_OTHERS = ((96, 12), (192, 12), (384, 12), (48, 1), (192, 1))  # frames per window, and per chunk
_REFERENCE_CAMERAS = 10
_SPEC = NO_SPEC.model_copy(update={"sample_fps": 5.0})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cameras", default="1,10,100,1000")
    parser.add_argument("--chunks", type=int, default=1000, help="chunks measured, over all cameras")
    chosen = parser.parse_args()
    counts = [int(count) for count in chosen.cameras.split(",")]
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cases = [(count, _WINDOW, _CHUNK) for count in counts] + [(_REFERENCE_CAMERAS, *other) for other in _OTHERS]
        rows = []
        for number, (cameras, window, chunk) in enumerate(cases):
            own = folder / str(number)
            save_baseline(baseline(rng, window), own / "baseline")
            server = RedisServer(own / "redis", max_mb=4000)
            server.start()
            try:
                rows.append(measure(server.url, own, cameras, window, chunk, chosen.chunks, rng))
            finally:
                server.stop()
            say(f"{cameras} cameras, windows of {window}, chunks of {chunk}")
    report(rows)


def baseline(rng: np.random.Generator, window: int) -> Baseline:
    """Return a baseline of random features, of as many frames as a segment keeps at most."""
    rule = WindowRule(frames=window, stride=window // 4)
    return fit("random", [("random", features(rng, 2000))], rule, _SPEC)


def features(rng: np.random.Generator, count: int) -> FeatureBlock:
    """Return random features of `count` frames, as they read back from storage."""
    return FeatureBlock(
        {
            EMBEDDING: to_half_precision(rng.normal(size=(count, _WIDTH)).astype(np.float32)),
            QUALITY: rng.normal(0.0, 0.01, size=(count, len(SENSOR_NAMES))).astype(np.float32),
        },
        np.arange(count) / 5.0,
        ("random",),
        np.zeros(count, np.int32),
    )


def measure(
    url: str, folder: Path, cameras: int, window: int, chunk_frames: int, chunks: int, rng: np.random.Generator
) -> dict[str, float]:
    """Return one row of the table, with Redis commands, bytes and reducer milliseconds per frame.

    Parameters
    ----------
    url : of the Redis
    folder : holds the baseline
    window, chunk_frames : frames per window and per chunk
    chunks : chunks measured, over all cameras
    """
    os.environ |= {"SENTINEL_REDIS_URL": url, "SENTINEL_BASELINE": str(folder / "baseline")}
    os.environ["SENTINEL_STATE_DIR"] = str(folder / "state")
    from common.settings import get_settings
    from workers import context
    from workers.reducer import move_on

    for cached in (get_settings, context.store, context.baselines):
        cached.cache_clear()
    logging.disable(logging.INFO)
    store, client = context.store(), redis.Redis.from_url(url)
    blocks = [features(rng, chunk_frames) for _ in range(32)]
    fed = 0

    def feed(camera: int) -> float:
        nonlocal fed
        stream = f"cam{camera}"
        batch = FrameBatch(
            id=content_id(stream, fed), stream=stream,
            source=Source(uri=f"/{fed}.mp4", kind=SourceKind.RECORDING, size=1, digest=str(fed)),
            expected_frames=chunk_frames, starts=(0,), feature_spec=_SPEC, received_at=0.0,
        )  # fmt: skip
        fed += 1
        store.batches.register(batch)
        (chunk,) = store.batches.release(stream, 8)
        store.chunks.count_delivery(chunk, "task", 60.0)
        store.chunks.finish(chunk, blocks[fed % len(blocks)])
        began = time.perf_counter()
        move_on(stream)
        return time.perf_counter() - began

    for _ in range(window // chunk_frames):
        for camera in range(cameras):
            feed(camera)
    before = usage(client)
    times = [feed(number % cameras) for number in range(chunks)]
    after = usage(client)
    frames = chunks * chunk_frames
    return {
        "cameras": cameras,
        "window": window,
        "chunk": chunk_frames,
        "commands": (after["commands"] - before["commands"]) / frames,
        "bytes": (after["bytes"] - before["bytes"]) / frames,
        "reducer_ms": statistics.mean(times) * 1e3 / chunk_frames,
        "redis_ms": (after["cpu"] - before["cpu"]) * 1e3 / frames,
        "memory_kb": after["memory"] / 1e3 / cameras,
    }


def usage(client: redis.Redis) -> dict[str, float]:
    """Return the counters of Redis: commands, network bytes, processor seconds; and its memory in bytes."""
    info = client.info()
    return {
        "commands": float(info["total_commands_processed"]),
        "bytes": float(info["total_net_input_bytes"] + info["total_net_output_bytes"]),
        "cpu": float(info["used_cpu_sys"] + info["used_cpu_user"]),
        "memory": float(info["used_memory"]),
    }


def report(rows: list[dict[str, float]]) -> None:
    standard = [row for row in rows if (row["window"], row["chunk"]) == (_WINDOW, _CHUNK)]
    reference = next((row for row in standard if row["cameras"] == _REFERENCE_CAMERAS), standard[0])
    print(machine())
    print(f"per frame of {_WIDTH} + {len(SENSOR_NAMES)} features; reference: {reference['cameras']:.0f} cameras\n")
    print(
        "| cameras | window | frames per chunk | Redis commands | bytes | Redis ms | reducer ms | ratio | "
        "kB per camera |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for row in rows:
        ratio = row["reducer_ms"] / reference["reducer_ms"]
        print(
            f"| {row['cameras']:.0f} | {row['window']:.0f} | {row['chunk']:.0f} | {row['commands']:.2f} | "
            f"{row['bytes']:.0f} | {row['redis_ms']:.3f} | {row['reducer_ms']:.3f} | {ratio:.2f} | "
            f"{row['memory_kb']:.0f} |"
        )
    save("scale", {"rows": rows})
    lines = {
        name: [(row["cameras"], row[column]) for row in standard]
        for name, column in (("reducer", "reducer_ms"), ("Redis", "redis_ms"))
    }
    draw_lines("scale", "cost per frame", "cameras", "ms per frame", lines, logarithmic="x")


if __name__ == "__main__":
    main()
