"""What a frame costs the reducer and Redis, with 1 to 1,000 cameras, by window, and frame by frame.

    python -m benchmarks.scale [--cameras 1,10,100,1000] [--chunks 1000]

Feature traffic of simulated cameras (chunks of 12 frames, MobileNetV2's width,
real sensors' names) goes through a real Redis and the reducer's own function,
after every camera's window is full. Printed for each number of cameras: Redis
commands, bytes and reducer time a frame. The reference is the row of 10 cameras.
For these, the same with longer windows (judged four times a window, as by
default), and with cameras that send single frames.
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
from benchmarks.workbench import say
from common.baselines.storage import save_baseline
from common.contracts.batches import FeatureSpec, FrameBatch, Source, SourceKind
from common.contracts.ids import content_id
from common.drift.baseline import Baseline
from common.drift.windows import WindowRule
from common.features import FeatureBlock
from common.modalities.video.sensors import MINIMUM_EFFECTS, SENSOR_NAMES
from sentinel.stack.redis_server import RedisServer

_WIDTH, _CHUNK, _WINDOW = 1280, 12, 48
_OTHERS = ((96, 12), (192, 12), (384, 12), (48, 1), (192, 1))  # windows, and frames a chunk
_FEW = 10  # cameras, the reference
_RECIPE = FeatureSpec(backbone="-", weights="-", precision="-", decode_pipeline="-", sensors="-", sample_fps=5.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cameras", default="1,10,100,1000")
    parser.add_argument("--chunks", type=int, default=1000, help="chunks measured, over all cameras")
    chosen = parser.parse_args()
    counts = [int(count) for count in chosen.cameras.split(",")]
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cases = [(count, _WINDOW, _CHUNK) for count in counts] + [(_FEW, *other) for other in _OTHERS]
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
    """Return a baseline of made-up footage as long as any keeps."""
    return Baseline.fit(
        [("made-up", features(rng, 2000))], name="made-up", feature_spec=_RECIPE,
        rule=WindowRule(frames=window, stride=window // 4), sensor_names=SENSOR_NAMES, minimum_effects=MINIMUM_EFFECTS,
        created_at=0.0, libraries={},
    )  # fmt: skip


def features(rng: np.random.Generator, count: int) -> FeatureBlock:
    return FeatureBlock(
        rng.normal(size=(count, _WIDTH)).astype(np.float32),
        rng.normal(0.0, 0.01, size=(count, len(SENSOR_NAMES))).astype(np.float32),
        np.arange(count) / 5.0,
        ("made-up",),
        np.zeros(count, np.int32),
    ).as_stored()


def measure(
    url: str, folder: Path, cameras: int, window: int, chunk_frames: int, chunks: int, rng: np.random.Generator
) -> dict[str, float]:
    """Return Redis commands, bytes and reducer milliseconds a frame."""
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
            source=Source(uri=f"/{fed}.mp4", kind=SourceKind.VIDEO, size=1, digest=str(fed)),
            expected_frames=chunk_frames, starts=(0,), feature_spec=_RECIPE, received_at=0.0,
        )  # fmt: skip
        fed += 1
        store.batches.register(batch)
        (chunk,) = store.batches.release(stream, 8)
        store.chunks.count_delivery(chunk)
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
    info = client.info()
    return {
        "commands": float(info["total_commands_processed"]),
        "bytes": float(info["total_net_input_bytes"] + info["total_net_output_bytes"]),
        "cpu": float(info["used_cpu_sys"] + info["used_cpu_user"]),
        "memory": float(info["used_memory"]),
    }


def report(rows: list[dict[str, float]]) -> None:
    reference_median = [row for row in rows if (row["window"], row["chunk"]) == (_WINDOW, _CHUNK)]
    reference = next((row for row in reference_median if row["cameras"] == _FEW), reference_median[0])
    print(machine())
    print(f"a frame of {_WIDTH} + {len(SENSOR_NAMES)} features; the reference is {reference['cameras']:.0f} cameras\n")
    print(
        "| cameras | window | frames a chunk | Redis commands | bytes | Redis ms | reducer ms | ratio | kB a camera |"
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
        name: [(row["cameras"], row[column]) for row in reference_median]
        for name, column in (("reducer", "reducer_ms"), ("Redis", "redis_ms"))
    }
    draw_lines("scale", "cost of a frame", "cameras", "ms a frame", lines, logarithmic="x")


if __name__ == "__main__":
    main()
