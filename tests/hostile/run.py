"""`python -m tests.hostile.run --minutes 3 --gigabytes 10`, or `make hostile`: does what means harm stay bounded?

Real processes `http`, `rtsp` and `mqtt-in`, and the workers `embed` and `reduce`, on a Redis of their own. For the
whole time cameras by RTSP and HTTP send nonsense (`tests.hostile.cameras`), and so do clients over HTTP and MQTT;
bodies without end are posted until so many gigabytes have gone out, and heads and bodies come a byte per second. Two
cameras in between mean well. At the end memory, disk, dead letters, logs, and how often cameras were asked have to be
bounded.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import psutil

from common.camera_tokens import add_token
from common.processes import PROCESSES
from common.store import Store
from producers.cameras.segments import folder_name
from sentinel.stack.redis_server import RedisServer, free_port
from tests.chaos.run import say
from tests.footage import scene
from tests.hostile.cameras import HostileCamera, hostile_cameras
from tests.hostile.clients import Sent, byte_by_byte, chunked_head, nonsense, without_end
from tests.mosquitto import MOSQUITTO, Broker
from tests.producers.live import http_camera, motion_jpeg
from tests.producers.posting import Endpoint
from tests.producers.subscribing import Camera
from tests.served import settings_in, wait_until

_SPOOL_MB, _LIVE_MB, _REDIS_MB, _LETTERS = 300, 60, 128, 200
_LOOK_SECONDS = 2.0
_WARM_SHARE = 0.4  # of the time, after which memory has to stay
_GROWTH = 1.25  # times what it was then, and
_SLACK_MB = 80  # as much above: what the largest hostile pictures take for a moment
_LINES_PER_MINUTE = 250  # of one process: fifteen cameras, a few lines each
_HEAD_SECONDS, _BODY_SECONDS, _LATE_SECONDS = 20.0, 60.0, 10.0
_LONGEST_PAUSE = 60.0 * 1.5  # between two attempts to connect, with jitter
_MB = 1_000_000
SECRET = "hostile-run-secret"
PICTURE = cv2.imencode(".png", scene(1)[0])[1].tobytes()


@dataclass
class Running:
    """A process under attack, and what was seen of it: memory with its children, in MB, by time."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    memory: list[float] = field(default_factory=list)

    def look(self) -> None:
        with suppress(psutil.Error):
            own = psutil.Process(self.process.pid)
            rows = [own, *own.children(recursive=True)]
            self.memory.append(sum(row.memory_info().rss for row in rows) / _MB)

    def row(self, minutes: float) -> tuple[str, float, float, float, float]:
        """Return name, memory once warm and at most afterwards, lines and kB of log per minute."""
        warm = self.memory[: int(len(self.memory) * _WARM_SHARE)]
        text = self.log.read_bytes()
        after = self.memory[len(warm) :]
        return self.name, max(warm), max(after), text.count(b"\n") / minutes, len(text) / 1000 / minutes


class Attack:
    """One run. `problems` is empty at the end, or something was not bounded."""

    def __init__(self, folder: Path, minutes: float, gigabytes: float) -> None:
        self.folder, self.minutes, self.most = folder, minutes, int(gigabytes * 1e9)
        self.problems: list[str] = []
        self.stop = threading.Event()
        self.counts: Counter[str] = Counter()
        self.floods: list[Sent] = []
        self.slow: dict[str, list[Sent]] = {"head": [], "body": []}
        self.answered: list[float] = []  # seconds of the good camera's posts
        self.errors: list[BaseException] = []
        self.disk: Counter[str] = Counter()

    def run(self) -> None:
        with ExitStack() as ended:
            redis = RedisServer(self.folder / "redis", max_mb=_REDIS_MB)
            redis.start()
            ended.callback(redis.stop)
            self.settings = settings_in(self.folder, redis)
            self.store = Store(redis.url, self.settings)
            self.endpoint = Endpoint(free_port(), self.folder / "http.log", tokens=self.folder / "tokens")
            self.tokens = {name: add_token(self.endpoint.tokens, name) for name in ("good", "flood", "slow", "noise")}
            cameras = hostile_cameras(self.folder)
            for camera in cameras.values():
                ended.callback(camera.close)
            good = ended.enter_context(http_camera(motion_jpeg(60.0)))
            self._write_config(cameras, good)
            broker = self._broker(ended)
            names = ["embed", "reduce", "http", "rtsp", *(["mqtt-in"] if broker else [])]
            running = [ended.enter_context(self._running(name, broker)) for name in names]
            wait_until("`http` to answer", self.endpoint.answers)
            self._attack(running, broker)
            self._report(running, cameras)

    def _write_config(self, cameras: Mapping[str, HostileCamera], good: int) -> None:
        (self.folder / "password").write_text(f"{SECRET}\n")
        who = f'user = "bob"\npassword_file = "{self.folder / "password"}"\n'
        rows = [f'[streams."{name}"]\nurl = "{camera.url}"\n{who}' for name, camera in cameras.items()]
        rows.append(f'[streams.well]\nurl = "http://127.0.0.1:{good}/video"\n')
        (self.folder / "sentinel.toml").write_text("\n".join(rows))

    def _broker(self, ended: ExitStack) -> Broker | None:
        if MOSQUITTO is None:
            say("no mosquitto: nothing comes over MQTT")
            return None
        broker = Broker(self.folder / "mosquitto")
        broker.start()
        ended.callback(broker.stop)
        return broker

    @contextmanager
    def _running(self, name: str, broker: Broker | None) -> Iterator[Running]:
        own = {
            "SENTINEL_REDIS_URL": self.settings.redis_url or "",
            "SENTINEL_STATE_DIR": str(self.settings.state_dir),
            "SENTINEL_WATCH_DIR": str(self.settings.watch_dir),
            "SENTINEL_BASELINES_DIR": str(self.settings.baselines_dir),
            "SENTINEL_BASELINE": "test",
            "SENTINEL_WEIGHTS": "random:0",
            "SENTINEL_CONFIG": str(self.folder / "sentinel.toml"),
            "SENTINEL_HTTP_PORT": str(self.endpoint.port),
            "SENTINEL_HTTP_TOKENS": str(self.endpoint.tokens),
            "SENTINEL_HTTP_SPOOL_MB": str(_SPOOL_MB),
            "SENTINEL_SPOOL_MB": str(_LIVE_MB),
            "SENTINEL_SEGMENT_SECONDS": "5",
            "SENTINEL_CAMERA_SECONDS": "3",
            "SENTINEL_MAX_EVENTS": str(_LETTERS),
            "SENTINEL_EMBED_PROCESSES": "1",
            "SENTINEL_DATA_RETENTION_SECONDS": "10",
        }
        if broker is not None:
            own |= {"SENTINEL_MQTT_IN_URL": broker.url, "SENTINEL_MQTT_IN_TOPICS": "cameras/{stream}/frame"}
        process = next(row for row in PROCESSES if row.name == name)
        program, *rest = process.command(self.settings.model_copy(update={"embed_processes": 1}))
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SENTINEL_")}
        log = self.folder / f"{name}.log"
        with log.open("wb") as output:
            started = subprocess.Popen(
                [sys.executable, "-m", program, *rest], env={**environment, **own}, stdout=output, stderr=output
            )
        try:
            yield Running(name, started, log)
        finally:
            started.send_signal(signal.SIGTERM)
            try:
                started.wait(60)
            except subprocess.TimeoutExpired:
                started.kill()

    # --- what is done to them -------------------------------------------------------------------

    def _attack(self, running: list[Running], broker: Broker | None) -> None:
        deeds: list[Callable[[], None]] = [self._flood, self._flood, self._slow_head, self._slow_body, self._nonsense]
        deeds += [self._noise_posted, self._good]
        threads = [threading.Thread(target=self._guarded, args=(deed,), daemon=True) for deed in deeds]
        if broker is not None:
            camera = Camera(broker)
            threads.append(threading.Thread(target=self._guarded, args=(lambda: self._published(camera),), daemon=True))
        for thread in threads:
            thread.start()
        began = shown = time.monotonic()
        # All of the bytes are to go out, however long that takes.
        while (now := time.monotonic()) < began + 60 * self.minutes or self.counts["flooded"] < self.most:
            self._look(running)
            if now - shown > 30:
                shown = now
                memory = ", ".join(f"{row.name} {row.memory[-1]:.0f} MB" for row in running)
                say(f"{now - began:4.0f} s: {memory}; {self.counts['flooded'] / 1e9:.1f} GB flooded; {dict(self.disk)}")
            time.sleep(_LOOK_SECONDS)
        self.minutes = (time.monotonic() - began) / 60
        self.stop.set()
        for thread in threads:
            thread.join(_BODY_SECONDS + _LATE_SECONDS + 30)

    def _guarded(self, deed: Callable[[], None]) -> None:
        try:
            while not self.stop.is_set():
                deed()
        except BaseException as error:
            self.errors.append(error)

    def _look(self, running: list[Running]) -> None:
        for row in running:
            row.look()
            if row.process.poll() is not None:
                raise AssertionError(f"{row.name} has ended: {row.log.read_text()[-3000:]}")
        for name, folder in (("posted", self.settings.posted_dir), ("live", self.settings.live_dir)):
            size = 0
            for file in folder.rglob("*"):
                with suppress(OSError):
                    size += file.stat().st_size
            self.disk[name] = max(self.disk[name], size // _MB)
        self.disk["redis"] = max(self.disk["redis"], self.store.client.info("memory")["used_memory"] // _MB)
        self.disk["letters"] = max(self.disk["letters"], self.store.event_log.dead_letter_count())

    def _flood(self) -> None:
        """Post bodies without end, on one connection after the other."""
        if self.counts["flooded"] >= self.most:
            self.stop.wait(1)
            return
        sent = without_end(
            self.endpoint.port, chunked_head("flood", self.tokens["flood"]), 10**10, heeds=bool(len(self.floods) % 2)
        )
        self.floods.append(sent)
        self.counts["flooded"] += sent.size

    def _slow_head(self) -> None:
        self.slow["head"].append(byte_by_byte(self.endpoint.port, b"GET / HTTP/1.1\r\nX: y"))

    def _slow_body(self) -> None:
        head = chunked_head("slow", self.tokens["slow"]) + b"ffff\r\n"
        self.slow["body"].append(byte_by_byte(self.endpoint.port, b"x", at_once=head))

    def _nonsense(self) -> None:
        with suppress(OSError):
            self.counts[f"nonsense {nonsense(self.endpoint.port, random.Random())}"] += 1
        time.sleep(0.05)

    def _noise_posted(self) -> None:
        """Post random bytes as what is read, with a token."""
        data = os.urandom(random.choice([10, 1000, 100_000]))
        kind = random.choice(["image/jpeg", "image/png", "video/mp4", "application/cloudevents+json", "text/html"])
        body = random.choice(
            [
                data,
                b"\xff\xd8\xff" + data,
                PICTURE[:60] + data,
                json.dumps({"data_base64": base64.b64encode(data).decode()}).encode(),
            ]
        )
        head = {"Authorization": f"Bearer {self.tokens['noise']}", "Content-Type": kind}
        with suppress(OSError):
            self.counts[f"noise {self.endpoint.request('POST', '/streams/noise/frames', body, head).status}"] += 1
        time.sleep(0.1)

    def _good(self) -> None:
        began = time.monotonic()
        head = {"Authorization": f"Bearer {self.tokens['good']}", "Content-Type": "image/png"}
        status = self.endpoint.request("POST", "/streams/good/frames", PICTURE, head).status
        self.counts[f"good {status}"] += 1
        self.answered.append(time.monotonic() - began)
        self.stop.wait(1)

    def _published(self, camera: Camera) -> None:
        data = os.urandom(random.choice([1, 1000, 50_000]))
        payload = random.choice(
            [data, b"\xff\xd8\xff" + data, b'{"specversion": "1.0"}', b"{" * 1000, PICTURE[:60] + data]
        )
        topic = random.choice(["cameras/noise/frame", "cameras/{x}/frame", "cameras/a\\b/frame", "cameras/../frame"])
        camera.publish(topic, payload, content_type=random.choice([None, "video/mp4", "x" * 1000]))
        self.counts["published"] += 1
        time.sleep(0.05)

    # --- what has to hold -----------------------------------------------------------------------

    def _report(self, running: list[Running], cameras: Mapping[str, HostileCamera]) -> None:
        if self.errors:
            self.problems.append(f"a client failed: {self.errors[0]!r}")
        say(f"after {self.minutes:.1f} minutes")
        print("\n| process | MB once warm | most MB afterwards | lines of log per minute | kB of log per minute |")  # noqa: T201
        print("|---|---|---|---|---|")  # noqa: T201
        for row in running:
            name, warm, after, lines, size = row.row(self.minutes)
            print(f"| `{name}` | {warm:.0f} | {after:.0f} | {lines:.0f} | {size:.1f} |")  # noqa: T201
            self._require(after < _GROWTH * warm + _SLACK_MB, f"{name}: memory grew from {warm:.0f} to {after:.0f} MB")
            self._require(lines < _LINES_PER_MINUTE, f"{name}: {lines:.0f} lines of log per minute")
            said = row.log.read_text(errors="replace")
            leaked = [word for word in (SECRET, *self.tokens.values()) if word in said]
            self._require(not leaked, f"the log of {name} holds a token or a password")
        self._report_bounds()
        self._report_clients()
        self._report_cameras(cameras)

    def _report_bounds(self) -> None:
        print("\n| what | most | bound |\n|---|---|---|")  # noqa: T201
        rows = [
            ("MB posted", self.disk["posted"], _SPOOL_MB), ("MB of live cameras", self.disk["live"], 1.2 * _LIVE_MB),
            ("MB in Redis", self.disk["redis"], _REDIS_MB), ("dead letters", self.disk["letters"], 2 * _LETTERS),
        ]  # fmt: skip
        for what, most, bound in rows:
            print(f"| {what} | {most} | {bound:.0f} |")  # noqa: T201
            self._require(most <= bound, f"{most} {what}, more than {bound:.0f}")

    def _report_clients(self) -> None:
        rows = [f"{name} {count}" for name, count in sorted(self.counts.items()) if name != "flooded"]
        largest = max((sent.size for sent in self.floods), default=0) / 1e6
        say(f"{self.counts['flooded'] / 1e9:.1f} GB in {len(self.floods)} bodies, of each at most {largest:.0f} MB")
        say("answers: " + ", ".join(rows))
        self._require(largest < 2 * self.settings.http_max_bytes / 1e6, "a body without end was read for too long")
        for what, most in (("head", _HEAD_SECONDS), ("body", _BODY_SECONDS)):
            longest = max((sent.seconds for sent in self.slow[what]), default=0.0)
            say(f"a {what} of a byte per second: {len(self.slow[what])} ended, after {longest:.0f} s at most")
            self._require(0 < longest < most + _LATE_SECONDS, f"a slow {what} lasted {longest:.0f} s")
        say(
            f"the good camera's posts took {statistics.median(self.answered):.2f} s, {max(self.answered):.1f} s at most"
        )
        refused = [name for name in self.counts if name.startswith("good ") and name not in {"good 202", "good 429"}]
        self._require(not refused, f"the good camera was answered otherwise: {refused}")
        self._require(self.counts["good 202"] > 10 * self.minutes, "the good camera was hardly served")

    def _report_cameras(self, cameras: Mapping[str, HostileCamera]) -> None:
        print("\n| camera | connections | first pause, s | longest pause, s |\n|---|---|---|---|")  # noqa: T201
        firsts = []
        for name, camera in cameras.items():
            gaps = camera.gaps
            if gaps:
                firsts.append(gaps[0])
            shown = f"{gaps[0]:.1f} | {max(gaps):.1f}" if gaps else "|"
            print(f"| {name} | {len(camera.asked)} | {shown} |")  # noqa: T201
            self._require(bool(camera.asked), f"{name} was never asked")
            self._require(not gaps or min(gaps) >= 0.5, f"{name} was asked again after {min(gaps, default=0):.2f} s")
        backing_off = [row.gaps for row in (cameras["ends-at-once"], cameras["rtsp-elsewhere"])]
        for gaps in backing_off:
            self._require(len(gaps) < 3 or max(gaps) > 4 * gaps[0], f"no back-off: {gaps}")
            self._require(max(gaps, default=0) < _LONGEST_PAUSE + 10, f"a pause of {max(gaps, default=0):.0f} s")
        self._require(len({round(gap, 2) for gap in firsts}) > len(firsts) // 2, "pauses have no jitter")
        segments = sorted((self.settings.live_dir / folder_name("well")).glob("20*.mp4"))
        states = self.store.cameras.of(["well"])
        handed = states["well"].segments if "well" in states else 0
        say(f"the good live camera: {handed} segments of 5 s, {len(segments)} on disk")
        self._require(handed >= 0.5 * self.minutes * 12, f"the good live camera got {handed} segments stored")

    def _require(self, true: bool, otherwise: str) -> None:
        if not true:
            self.problems.append(otherwise)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--gigabytes", type=float, default=10.0, help="of bodies without end")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sentinel-hostile-") as name:
        attack = Attack(Path(name), chosen.minutes, chosen.gigabytes)
        attack.run()
    for problem in attack.problems:
        say(f"BROKEN: {problem}")
    sys.exit(1 if attack.problems else 0)


if __name__ == "__main__":
    main()
