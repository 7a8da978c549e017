"""What a video in object storage costs: requests, bytes and time, at acceptance and for each chunk, on three hosts.

    python -m benchmarks.objects [--seconds 60] [--chunk-seconds 10]

An S3 server (moto's) on the same machine counts what it is asked for. One clip of 1280x720 is described as at its
acceptance; then each of its chunks is decoded, every frame, as an embedding worker does, on the same host, and one in
the middle on another, which has read nothing yet. A third host has a cache of 10 MB, less than the clip: it decodes
that chunk twice, by two processes. A chunk of the file is decoded for comparison. The network is loopback, so times are
of the work and not of the way.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np

from benchmarks.results import save
from common.contracts.batches import SourceKind
from common.ingest.description import describe_file
from common.modalities.video import timeline
from common.modalities.video.decode import sampled_frames
from common.settings import Settings
from common.sources.limits import Limits
from common.sources.local import source_path
from tests.objects import ACCESS_KEY, BUCKET, SECRET_KEY, ObjectServer

_WIDTH, _HEIGHT, _FPS, _GOP = 1280, 720, 25, 50
_BIT_RATE = 4_000_000
_LIMITS = Limits()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60, help="of the clip")
    parser.add_argument("--chunk-seconds", type=int, default=10)
    chosen = parser.parse_args()
    os.environ.update(AWS_ACCESS_KEY_ID=ACCESS_KEY, AWS_SECRET_ACCESS_KEY=SECRET_KEY)
    server = ObjectServer()
    server.start()
    try:
        with tempfile.TemporaryDirectory() as folder:
            save("objects", measured(Path(folder), server, chosen))
    finally:
        server.stop()


def measured(folder: Path, server: ObjectServer, chosen: argparse.Namespace) -> dict[str, object]:
    """Return the figures, and print them."""
    local = folder / "2024-11-24T06-15-00Z.mp4"
    _film(local, chosen.seconds)
    uri = server.put(f"cameras/dock/{local.name}", local.read_bytes())
    size = local.stat().st_size
    print(f"a clip of {chosen.seconds} s, {size / 1e6:.1f} MB, chunks of {chosen.chunk_seconds} s")
    rows: dict[str, object] = {"bytes": size}

    def step(what: str, work: Callable[[], object]) -> None:
        server.requests.clear()
        began = time.monotonic()
        work()
        seconds = time.monotonic() - began
        sent = server.fetched(f"cameras/dock/{local.name}")
        heads = sum(row.method == "HEAD" for row in server.requests)
        gets = sum(row.method == "GET" for row in server.requests)
        rows[what] = {"heads": heads, "gets": gets, "bytes": sent, "seconds": seconds}
        print(f"{what:<36} {heads:3} HEAD {gets:3} GET {sent / 1e6:7.1f} MB {seconds:6.2f} s")

    one, other, tight = (_settings(server, folder / name) for name in ("one", "other", "tight"))
    tight = tight.model_copy(update={"object_cache_mb": 10})
    count = chosen.chunk_seconds * _FPS
    starts = range(0, chosen.seconds * _FPS, count)
    middle = starts[len(starts) // 2]

    def decoding(start: int, own: Settings) -> Callable[[], None]:
        return lambda: _decode(source_path(uri, own.roots), start, count)

    step("described", lambda: describe_file(source_path(uri, one.roots), _LIMITS))
    for number, start in enumerate(starts):
        step(f"chunk {number}, on the same host", decoding(start, one))
    for what, own in (
        ("a middle chunk, on another host", other),
        ("the same, with a cache of 10 MB", tight),
        ("the same there, by another process", tight),
    ):
        _as_another_process()
        step(what, decoding(middle, own))
    step("a chunk of the file", lambda: _decode(local, middle, count))
    return rows


def _settings(server: ObjectServer, state_dir: Path) -> Settings:
    return Settings(
        _env_file=None,
        state_dir=state_dir,
        object_roots=(f"s3://{BUCKET}/cameras",),
        object_endpoint=server.url,
        object_region="us-east-1",
    )


def _decode(path: Path, start: int, count: int) -> None:
    kind = SourceKind.RECORDING
    frames = sampled_frames(path, kind, sample_fps=None, start=start, stop=start + count, limits=_LIMITS)
    assert sum(1 for _ in frames) == count


def _as_another_process() -> None:
    """Forget what this process knows of videos, and not what its host keeps."""
    timeline._read.cache_clear()
    timeline._sampled.cache_clear()


def _film(path: Path, seconds: int) -> None:
    """Write a clip of noise that moves, which takes about the bit rate of a camera."""
    rng = np.random.default_rng(0)
    texture = rng.integers(0, 256, (_HEIGHT // 8, _WIDTH // 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=_FPS, options={"preset": "ultrafast", "g": str(_GOP)})
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = _WIDTH, _HEIGHT, "yuv420p", _BIT_RATE
        for number in range(seconds * _FPS):
            image = np.roll(texture, (3 * number, 5 * number), (0, 1))
            noisy = np.clip(image.astype(np.int16) + rng.integers(-6, 7, image.shape, np.int16), 0, 255)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(noisy.astype(np.uint8), format="rgb24")))
        container.mux(stream.encode())


if __name__ == "__main__":
    main()
