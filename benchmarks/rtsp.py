"""What it costs to fetch live cameras: one process, many cameras of 1080p, a real RTSP server on the same machine.

    python -m benchmarks.rtsp [--cameras 50] [--seconds 150] [--sample key] [--fps 25] [--bit-rate 2000000]

GStreamer's RTSP server plays one clip to every camera; `sentinel rtsp` fetches them all and hands in what it stores,
to a real Redis. No worker runs: each batch is noted as judged as soon as it was handed in, so what is measured is the
fetching. The processor time of the process includes its sandbox, which looks at each segment before it is handed in.
A segment is missing where two that follow each other are further apart than one is long.
"""

from __future__ import annotations

import argparse
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import psutil

from benchmarks.results import save
from benchmarks.watched import environment_of, fresh_redis, running, wait_until
from common.contracts.ids import content_id
from common.settings import Settings
from common.store import Store, keys
from producers.cameras.segments import SUFFIX, Segment, segment_at
from producers.rtsp import batch_id_of
from sentinel.stack.redis_server import free_port
from tests.common.baselines.small import small_baseline

_SERVER = Path(__file__).with_name("rtsp_server.py")
_SYSTEM_PYTHON = "/usr/bin/python3"
_WIDTH, _HEIGHT = 1920, 1080
_LOOP_SECONDS = 10  # of pictures that are made; the clip repeats them
_KEY_SECONDS = 1
_SEGMENT_SECONDS = 10.0
_SPOOL_MB = 400  # so little that the oldest goes while it runs
_MARGIN_SECONDS = 60  # by which the clip is longer than the run
_TURN_SECONDS = 2.0
_EARLY_SHARE = 0.2  # of the run, after which memory is read for the first time
_CONNECT_SECONDS = 120.0
_LATE_SECONDS = 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cameras", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=150.0, help="that are measured, once all are connected")
    parser.add_argument("--sample", choices=["key", "all"], default="key", help="what is stored of each camera")
    parser.add_argument("--fps", type=int, default=25)
    parser.add_argument("--bit-rate", type=int, default=2_000_000, help="of each camera, bits per second")
    chosen = parser.parse_args()
    with fresh_redis() as (folder, url):
        clip = make_clip(
            folder / "clip.mp4", chosen.fps, chosen.bit_rate, chosen.seconds + _CONNECT_SECONDS + _MARGIN_SECONDS
        )
        print(f"clip: {_WIDTH} x {_HEIGHT}, {chosen.fps} frames per second, {clip.stat().st_size / 1e6:.0f} MB")
        save("rtsp", measured(folder, url, clip, chosen.cameras, chosen.seconds, chosen.sample))


def make_clip(path: Path, fps: int, bit_rate: int, seconds: float) -> Path:
    """Write what every camera sends: a texture that moves, encoded once and repeated packet by packet."""
    rough = np.random.default_rng(0).integers(0, 255, (_HEIGHT // 20, _WIDTH // 20, 3), np.uint8)
    scene = cv2.resize(rough, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_CUBIC)
    loop = path.with_name("loop.mp4")
    options = {"g": str(fps * _KEY_SECONDS), "sc_threshold": "0", "bf": "0", "preset": "ultrafast",
               "x264-params": "sliced-threads=0:slices=1"}  # fmt: skip
    with av.open(str(loop), "w") as output:
        stream = output.add_stream("libx264", rate=fps, options=options)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = _WIDTH, _HEIGHT, "yuv420p", bit_rate
        for number in range(_LOOP_SECONDS * fps):
            moved = np.roll(np.asarray(scene, np.uint8), 2 * number, axis=1)
            picture = av.VideoFrame.from_ndarray(moved, format="rgb24")
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
    with av.open(str(path), "w") as output:
        target, shift = None, 0
        for _ in range(int(seconds / _LOOP_SECONDS) + 1):
            with av.open(str(loop)) as source:
                stream_in = source.streams.video[0]
                target = target or output.add_stream_from_template(stream_in)
                for packet in source.demux(stream_in):
                    if packet.size and packet.pts is not None and packet.dts is not None:
                        packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, target
                        output.mux(packet)
                shift += round(_LOOP_SECONDS / (stream_in.time_base or 1))
    return path


@contextmanager
def server(clip: Path, cameras: int) -> Iterator[tuple[psutil.Process, int]]:
    """Play `clip` to whoever asks for /0, /1, ...; yield the server's process and its port."""
    port = free_port()
    words = [_SYSTEM_PYTHON, str(_SERVER), str(port), *(f"{number}={clip}" for number in range(cameras))]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            if process.stdout is None or process.stdout.readline() != "ready\n":
                raise SystemExit(f"GStreamer's RTSP server does not start; see {_SERVER.name} for what it needs")
            yield psutil.Process(process.pid), port
        finally:
            process.kill()


def measured(folder: Path, url: str, clip: Path, cameras: int, seconds: float, sample: str) -> dict[str, object]:
    """Return the figures, and print them."""
    names = [f"camera {number}" for number in range(cameras)]
    small_baseline(folder / "baselines" / "test")
    config = folder / "live.toml"
    environment = environment_of(
        folder, url, SENTINEL_CONFIG=str(config), SENTINEL_BASELINE="test", SENTINEL_SPOOL_MB=str(_SPOOL_MB),
        SENTINEL_SEGMENT_SECONDS=str(_SEGMENT_SECONDS),
    )  # fmt: skip
    settings = Settings(_env_file=None, redis_url=url, state_dir=folder / "state")
    store, seen = Store(url, settings), dict[Path, Segment]()
    with server(clip, cameras) as (player, port):
        tables = (f'[streams."{name}"]\nurl = "rtsp://127.0.0.1:{port}/{number}"\nsample = "{sample}"\n'
                  for number, name in enumerate(names))  # fmt: skip
        config.write_text("".join(tables))
        with running("rtsp", environment, folder) as started:
            reader = psutil.Process(started.pid)
            wait_until("all cameras", lambda: _connected(store, names) == cameras, _CONNECT_SECONDS)
            began, before = time.monotonic(), (_cpu_seconds(reader), _cpu_seconds(player), _own_cpu_seconds(reader))
            early, received = 0.0, _received(store, names)
            while (elapsed := time.monotonic() - began) < seconds:
                _judge(store, settings, names, seen)
                early = early or (_megabytes(reader) if elapsed > _EARLY_SHARE * seconds else 0.0)
                time.sleep(_TURN_SECONDS)
            shares = [(now - then) / elapsed for now, then in
                      zip((_cpu_seconds(reader), _cpu_seconds(player), _own_cpu_seconds(reader)), before,
                          strict=True)]  # fmt: skip
            late, states = _megabytes(reader), store.cameras.of(names)
            spool = sum(file.stat().st_size for file in settings.live_dir.glob(f"*/*{SUFFIX}")) / 1e6
    figures: dict[str, object] = {
        "cameras": cameras,
        "sample": sample,
        "seconds": elapsed,
        "reader_core_share": shares[0],
        "of_that_without_sandbox": shares[2],
        "server_core_share": shares[1],
        "received_mbit_s": (_received(store, names) - received) * 8 / 1e6 / elapsed,
        "segments": sum(state.segments for state in states.values()),
        "segments_lost": sum(state.lost for state in states.values()),
        "segments_missing": _missing(seen, names),
        "reconnects": sum(state.connections - 1 for state in states.values()),
        "reader_mb_early": early,
        "reader_mb_end": late,
        "spool_mb": spool,
    }
    for name, value in figures.items():
        print(f"{name:20} {value:.3g}" if isinstance(value, float) else f"{name:20} {value}")
    return figures


def _connected(store: Store, names: list[str]) -> int:
    return sum(state.connected for state in store.cameras.of(names).values())


def _received(store: Store, names: list[str]) -> int:
    return sum(state.received for state in store.cameras.of(names).values())


def _judge(store: Store, settings: Settings, names: list[str], seen: dict[Path, Segment]) -> None:
    """Note every segment that is there, and every batch that was handed in as judged."""
    pipe = store.client.pipeline(transaction=False)
    for name in names:
        for file in (settings.live_dir / content_id("spool", name)).glob(f"20*{SUFFIX}"):
            if file not in seen and (segment := segment_at(name, file)) is not None:
                seen[file] = segment
                batch = keys.stream_key(name, "batch", batch_id_of(segment))
                if store.client.exists(batch):
                    pipe.hset(batch, "unreduced", 0)
                else:  # it waits: looked at again
                    del seen[file]
    pipe.execute()


def _missing(seen: dict[Path, Segment], names: list[str]) -> int:
    """Return how many segments lie in gaps between those that were seen."""
    count = 0
    for name in names:
        times = sorted(segment.began for segment in seen.values() if segment.stream == name)
        gaps = (after - before for before, after in pairwise(times))
        count += sum(round(gap / _SEGMENT_SECONDS - 1) for gap in gaps if gap > _SEGMENT_SECONDS + _LATE_SECONDS)
    return count


def _cpu_seconds(process: psutil.Process) -> float:
    return float(sum(sum(row.cpu_times()[:2]) for row in [process, *process.children(recursive=True)]))


def _own_cpu_seconds(process: psutil.Process) -> float:
    return float(sum(process.cpu_times()[:2]))


def _megabytes(process: psutil.Process) -> float:
    return float(sum(row.memory_info().rss for row in [process, *process.children(recursive=True)])) / 1e6


if __name__ == "__main__":
    main()
