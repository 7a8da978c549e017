"""How many frames per second are taken in over MQTT, while the process is killed and Redis is full in between?

    python -m benchmarks.mqtt_ingest [--frames 3000] [--rate 100] [--cameras 16] [--size 100000] [--kills 5]

A real `sentinel mqtt-in` over a real Redis, behind a real mosquitto. Cameras publish with QoS 1, without an id; each
payload ends with a number, so that it is known again. The process is killed (SIGKILL) at equal distances, and for a
third of the time Redis has no room. At the end each payload must be in exactly one batch.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import paho.mqtt.client as paho
import psutil
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.http_ingest import frame_of
from benchmarks.results import save
from benchmarks.watched import batch_files, environment_of, fresh_redis, wait_until
from common.settings import Settings
from common.store import Store
from tests.common.baselines.small import small_baseline
from tests.mosquitto import PASSWORD, USER, Broker

_NUMBER_BYTES = 8
_FILLER_BYTES = 1_000_000
_FILLERS = (650, 800)  # with the first so many producers do not wait yet, with the second they do
_FULL = (1 / 3, 2 / 3)  # of the frames
_LOOK_SECONDS = 0.5
_PATIENCE_SECONDS = 900.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=3000)
    parser.add_argument("--rate", type=float, default=100.0, help="frames per second of all cameras")
    parser.add_argument("--cameras", type=int, default=16)
    parser.add_argument("--size", type=int, default=100_000, help="bytes of a frame")
    parser.add_argument("--kills", type=int, default=5)
    chosen = parser.parse_args()
    with fresh_redis() as (folder, url):
        broker = Broker(folder / "mosquitto", keeps=True, options=["max_queued_messages 0"])
        broker.start()
        try:
            save("mqtt_ingest", measured(folder, url, broker, chosen))
        finally:
            broker.stop()


class _Taking:
    """The process, which is started again after it was killed."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self._environment = environment
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self.most_bytes = 0

    def start(self) -> None:
        with self._log.open("ab") as log:
            command = [sys.executable, "-m", "sentinel", "mqtt-in"]
            self._process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait()

    def look(self) -> None:
        """Note how much memory it has."""
        if self._process is not None and self._process.poll() is None:
            self.most_bytes = max(self.most_bytes, psutil.Process(self._process.pid).memory_info().rss)


def measured(folder: Path, url: str, broker: Broker, chosen: argparse.Namespace) -> dict[str, object]:
    """Return the figures, and print them."""
    settings = Settings(_env_file=None, redis_url=url, state_dir=folder / "state")
    store = Store(url, settings)
    small_baseline(folder / "baselines" / "small")
    own = environment_of(
        folder,
        url,
        SENTINEL_BASELINES_DIR=str(folder / "baselines"),
        SENTINEL_BASELINE="small",
        SENTINEL_MQTT_IN_URL=broker.url,
        SENTINEL_MQTT_IN_TOPICS="cameras/{stream}/frame",
    )
    _fill(store, range(_FILLERS[0]))
    taking = _Taking(own, folder / "mqtt-in.log")
    taking.start()
    wait_until("mqtt-in", lambda: store.mqtt_deliveries.filters("sentinel-frames"))
    publishing = threading.Thread(target=_publish, args=(broker, chosen), daemon=True)
    began = time.monotonic()
    publishing.start()
    try:
        _disturb(store, taking, publishing, chosen)
        published = time.monotonic()
        names = [f"camera{number}" for number in range(chosen.cameras)]
        while sum(store.streams.pending(name) for name in names) < chosen.frames:
            taking.look()
            if time.monotonic() > published + _PATIENCE_SECONDS:
                break
            time.sleep(_LOOK_SECONDS)
        seconds = time.monotonic() - began
    finally:
        taking.kill(signal.SIGTERM)
    found = _found(store, names)
    lost = sum(found[number] == 0 for number in range(chosen.frames))
    doubled = sum(count > 1 for count in found.values())
    print(f"{chosen.frames} frames of {chosen.size} bytes were published, {chosen.rate:g} per second")
    print(f"all were taken in after {seconds:.0f} s; the process was killed {chosen.kills} times")
    print(f"lost {lost}, doubled {doubled}; memory of the process at most {taking.most_bytes / 1e6:.0f} MB")
    return {
        "frames": chosen.frames,
        "seconds": round(seconds, 1),
        "lost": lost,
        "doubled": doubled,
        "most_mb": round(taking.most_bytes / 1e6),
    }


def _disturb(store: Store, taking: _Taking, publishing: threading.Thread, chosen: argparse.Namespace) -> None:
    """Kill the process, and fill Redis for a while, as long as cameras publish."""
    expected, began, killed, full = chosen.frames / chosen.rate, time.monotonic(), 0, False
    while publishing.is_alive():
        taking.look()
        share = (time.monotonic() - began) / expected
        if killed < chosen.kills and share > (killed + 1) / (chosen.kills + 1):
            killed += 1
            taking.kill()
            taking.start()
        wants_full = _FULL[0] < share < _FULL[1]
        if wants_full != full:
            full = wants_full
            _fill(store, range(*_FILLERS)) if full else store.client.delete(*(map(_filler, range(*_FILLERS))))
            print(f"Redis {'is full' if full else 'has room again'} after {time.monotonic() - began:.0f} s")
        time.sleep(_LOOK_SECONDS)
    store.client.delete(*(map(_filler, range(*_FILLERS))))


def _fill(store: Store, numbers: range) -> None:
    for number in numbers:
        store.client.set(_filler(number), bytes(_FILLER_BYTES))


def _filler(number: int) -> str:
    return f"sentinel:filler:{number}"


def _publish(broker: Broker, chosen: argparse.Namespace) -> None:
    """Publish all frames at the rate, each camera in turn, and wait until the broker has them."""
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.username_pw_set(USER, PASSWORD)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    frame, began, under_way = frame_of(chosen.size - _NUMBER_BYTES), time.monotonic(), []
    for number in range(chosen.frames):
        time.sleep(max(0.0, began + number / chosen.rate - time.monotonic()))
        payload = frame + number.to_bytes(_NUMBER_BYTES, "big")
        under_way.append(client.publish(f"cameras/camera{number % chosen.cameras}/frame", payload, qos=1))
    for message in under_way:
        message.wait_for_publish(_PATIENCE_SECONDS)
    client.disconnect()
    client.loop_stop()


def _found(store: Store, names: list[str]) -> Counter[int]:
    """Return in how many batches each payload is."""
    files = (file for _, file in batch_files(store, names))
    return Counter(int.from_bytes(file.read_bytes()[-_NUMBER_BYTES:], "big") for file in files)


if __name__ == "__main__":
    main()
