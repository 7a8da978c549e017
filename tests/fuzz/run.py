"""`python -m tests.fuzz.run --events 10000 --files 10000 --seed 1`, or `make fuzz`: mutate, feed, account.

Names of fields, streams and files, and paths, are mutated as contents are. Events
go through a real `CameraEvents` in this process, so that an exception ends the run.
Files go into the watched folder of a real stack: each must end as a
complete batch or as a dead letter.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import redis

from common import broker
from common.contracts.batches import Submission
from common.contracts.dead_letters import DeadLetterKind
from common.contracts.events import EventType
from common.contracts.ids import check_stream_name
from common.ingest.accept import Ingestor
from common.modalities.video.encode import write_video
from common.settings import Settings
from common.sources.media_types import is_ignored
from common.store import Store, keys
from common.store.ingest import RawEntry
from producers.camera_events import CameraEvents
from producers.entry_reader import Fields
from sentinel.stack.info import read_info
from sentinel.stack.redis_server import RedisServer
from simulation.virtual_camera import record
from tests.chaos.run import say
from tests.common.baselines.small import small_baseline
from tests.fuzz.mutation import file_name, mutated_bytes, mutated_event

_WAVE = 400  # files that lie in the folder at a time
_PATIENCE_SECONDS = 600.0


class CountingCameraEvents(CameraEvents):
    """Counts what became of the events."""

    def __init__(self, store: Store, ingestor: Ingestor) -> None:
        super().__init__(store, ingestor)
        self.became: Counter[Submission] = Counter()

    def accept(self, fields: Fields) -> Submission:
        submission = super().accept(fields)
        self.became[submission] += 1
        return submission

    def _bury(self, stream_key: str, entry_id: str, fields: Fields, error: Exception) -> None:
        super()._bury(stream_key, entry_id, fields, error)
        self.became[Submission.REJECTED] += 1


def fuzz_events(folder: Path, count: int, seed: int, store: Store, settings: Settings) -> str:
    """Feed `count` mutated camera events; return what became of them, or raise `AssertionError`."""
    rng = random.Random(seed)
    image = folder / "frame.jpg"
    assert cv2.imwrite(str(image), picture(rng))
    (folder / "link.jpg").symlink_to("/etc/passwd")
    (folder / "loop.jpg").symlink_to("loop.jpg")
    (folder / "out").symlink_to("/etc")
    encoded = image.read_bytes()
    ingestor = Ingestor(settings, store)
    cameras = CountingCameraEvents(store, ingestor)
    try:
        for number in range(count):
            good = {
                b"specversion": b"1.0", b"id": b"e%d" % number, b"source": b"/cameras/cam7",
                b"type": b"io.sentinel.frame.v1", b"datacontenttype": b"image/jpeg",
            }  # fmt: skip
            body = {b"data": encoded} if rng.random() < 0.4 else {b"dataref": b"file://" + str(image).encode()}
            key = rng.choice([keys.INGEST, f"{keys.INGEST}:cam7", f"{keys.INGEST}:[/red]"])
            feed(cameras, store, key, mutated_event({**good, **body}, rng), rng)
            if number % 200 == 199 or number == count - 1:
                drain(cameras, store)
    finally:
        ingestor.close()
    return account(cameras, store, count)


def feed(cameras: CameraEvents, store: Store, key: str, event: dict[bytes, bytes], rng: random.Random) -> None:
    """Write `event` as a camera does; now and then with an id that leaves no room for another."""
    last = f"{2**64 - 1}-{2**64 - 1}"
    try:
        store.client.xadd(key, event, id=last if rng.random() < 0.002 else "*")  # type: ignore[arg-type]
    except redis.ResponseError:  # no room: the camera tries again, as cameras do
        time.sleep(5.1)  # the Stream is mended by then
        drain(cameras, store)
        store.client.xadd(key, event)  # type: ignore[arg-type]


def drain(cameras: CameraEvents, store: Store) -> None:
    quiet = 0
    while quiet < 2:
        quiet = 0 if cameras.step() else quiet + 1
    store.client.delete("embed")  # nobody embeds here; the queue must not fill Redis


def account(cameras: CountingCameraEvents, store: Store, count: int) -> str:
    """Check that each event was counted, and each refusal is a dead letter that can be sent again byte for byte."""
    letters = [letter for letter in store.event_log.dead_letters() if letter.kind is DeadLetterKind.EVENT]
    assert sum(cameras.became.values()) == count, f"{count} events fed, {cameras.became} handled"
    assert len(letters) == cameras.became[Submission.REJECTED], f"{len(letters)} letters, {cameras.became}"
    surprises = Counter(
        letter.reason[:120] for letter in letters if letter.traceback and "baseline" not in letter.reason
    )
    assert not surprises, surprises.most_common(5)
    for letter in letters:
        RawEntry.from_json(letter.original)
    for stream in store.streams.names():
        assert check_stream_name(stream) == stream
    return ", ".join(f"{kind.value} {number}" for kind, number in cameras.became.most_common())


def fuzz_files(folder: Path, count: int, seed: int) -> str:
    """Drop `count` mutated files into the watched folder of a real stack; return what became of them."""
    rng = random.Random(seed)
    seeds = seed_files(folder / "seeds", rng)
    record(folder / "golden.mp4", seconds=25, fps=10, seed=1, width=160, height=96)
    environment = {
        "PATH": "/usr/bin:/bin", "HOME": str(folder), "SENTINEL_STATE_DIR": str(folder / "state"),
        "SENTINEL_WATCH_DIR": str(folder / "incoming"), "SENTINEL_BASELINES_DIR": str(folder / "baselines"),
        "SENTINEL_BASELINE": "golden", "SENTINEL_WEIGHTS": "random:0", "SENTINEL_FLOWER_PORT": "0",
        "SENTINEL_METRICS_PORT": "0",
        "SENTINEL_PAGE_PORT": "0",
        "SENTINEL_SETTLE_SECONDS": "0.3", "SENTINEL_COOLDOWN_SECONDS": "86400", "SENTINEL_RESTART_SECONDS": "1",
    }  # fmt: skip
    build = [sys.executable, "-m", "sentinel", "baseline", "build", str(folder / "golden.mp4"), "--name", "golden"]
    subprocess.run([*build, "--json"], env=environment, check=True, stdout=subprocess.DEVNULL)
    with (folder / "up.log").open("ab") as log:
        stack = subprocess.Popen([sys.executable, "-m", "sentinel", "up"], env=environment, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while (info := read_info(folder / "state")) is None:
            assert time.monotonic() < deadline, (folder / "up.log").read_text()
            time.sleep(0.2)
        store = Store(info.redis_url, Settings(_env_file=None))  # type: ignore[call-arg]
        fed = 0
        while fed < count:
            for number in range(fed, min(fed + _WAVE, count)):
                good = rng.choice(seeds)
                # A number at the end keeps contents apart: the same content twice is one.
                data = mutated_bytes(good.read_bytes(), rng) + f"#{number}".encode()
                incoming = hostile_folder(folder / "incoming", rng)
                staging = incoming / f".{number}.part"
                staging.write_bytes(data)
                name = os.fsdecode(file_name(rng)) if rng.random() < 0.3 else ""
                staging.rename(incoming / f"{number:06d}{name}{good.suffix}")
            fed = min(fed + _WAVE, count)
            ended = wait_for(store, fed)
            say(f"{fed} files fed, {sum(ended.values())} accounted for: {dict(ended)}")
        assert sum(ended.values()) == count, ended
        deaths = (folder / "up.log").read_text().count(" ended (")
        return ", ".join(f"{what} {number}" for what, number in ended.items()) + f"; {deaths} processes died"
    finally:
        stack.send_signal(signal.SIGINT)
        stack.wait(120)


def hostile_folder(watched: Path, rng: random.Random) -> Path:
    """Make a folder right in the watched one, of any name that a file system allows, and return it."""
    name = os.fsdecode(file_name(rng)) if rng.random() < 0.3 else "fuzz"
    folder = watched / (name + "_" if is_ignored(name) else name)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def wait_for(store: Store, count: int) -> Counter[str]:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        reports = [event.report for event in store.event_log.events() if event.type is EventType.BATCH_COMPLETE]
        ended = Counter("judged" if not report.dead_chunks else "chunk dead letter" for report in reports)
        letters = sum(letter.kind is DeadLetterKind.SOURCE for letter in store.event_log.dead_letters())
        ended["source dead letter"] = letters
        if sum(ended.values()) >= count:
            return ended
        assert time.monotonic() < deadline, f"{count} files fed, only these ended: {ended}"
        time.sleep(0.5)


def picture(rng: random.Random) -> np.ndarray:
    noise = np.random.default_rng(rng.randrange(1 << 30)).integers(0, 255, (12, 16, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(noise, (64, 48), interpolation=cv2.INTER_CUBIC))


def seed_files(folder: Path, rng: random.Random) -> list[Path]:
    """Write small good files of every format that the folder takes."""
    folder.mkdir(parents=True)
    made = []
    for suffix in (".jpg", ".png", ".webp", ".bmp", ".tiff"):
        made.append(folder / f"still{suffix}")
        assert cv2.imwrite(str(made[-1]), picture(rng))
    for suffix in (".mp4", ".mkv", ".ts", ".webm"):
        made.append(folder / f"clip{suffix}")
        write_video(made[-1], [picture(rng) for _ in range(8)], fps=10.0)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    logging.disable(logging.ERROR)  # a warning for each refusal would hide the figures
    with tempfile.TemporaryDirectory(prefix="sentinel-fuzz-") as name:
        folder = Path(name)
        if chosen.events:
            server = RedisServer(folder / "redis", max_mb=512)
            server.start()
            try:
                small_baseline(folder / "baselines" / "test")
                settings = Settings(
                    _env_file=None, redis_url=server.url, baseline="test", baselines_dir=folder / "baselines",
                    allowed_roots=str(folder), watch_dir=folder / "incoming",
                )  # type: ignore[call-arg]  # fmt: skip
                settings.watch_dir.mkdir()
                broker.app = broker.make_app(settings)
                ended = fuzz_events(folder, chosen.events, chosen.seed, Store(server.url, settings), settings)
                say(f"{chosen.events} mutated camera events: {ended}")
            finally:
                server.stop()
        if chosen.files:
            say(f"{chosen.files} mutated files: {fuzz_files(folder, chosen.files, chosen.seed)}")


if __name__ == "__main__":
    main()
