"""A worker that has no disk in common with anybody: objects over the network, the same verdicts, and kills."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.watched import wait_until
from common.contracts.verdicts import Verdict
from tests.chaos.world import unlike
from tests.network import Network
from tests.networked.site import BASELINE, Footage, Result, Site
from tests.objects import BUCKET, ObjectServer, watching

_OBJECTS = 24
_STREAMS = ("s1", "s2", "s3", "s4")
_KILLS = 20
_WHOLE_HOST = 0.5  # share of the kills that take all of its processes
_PAUSE_SECONDS = (2.0, 9.0)  # between two kills: a worker takes some seconds to start
_SOON = {  # what is lost by a kill is sent again soon
    "SENTINEL_VISIBILITY_SECONDS": "15", "SENTINEL_STUCK_SECONDS": "10", "SENTINEL_SWEEP_SECONDS": "2",
    "SENTINEL_CHUNK_FRAMES": "12",
    # A kill counts as a delivery. What is tested is that nothing is lost, not that a murdered chunk is given up.
    "SENTINEL_MAX_DELIVERIES": "50",
}  # fmt: skip


class Storage:
    """An S3 server on this machine, for those inside `network` too; for the context."""

    def __init__(self, network: Network) -> None:
        self.server = ObjectServer()
        self._network = network

    def __enter__(self) -> Storage:
        self.server.start(self._network.outside)
        for row in self.server.client.list_objects_v2(Bucket=BUCKET).get("Contents", []):
            self.server.delete(row["Key"])  # of another run: servers of one process share what they hold
        self.environment = watching(self.server, "cameras")
        return self

    def __exit__(self, *_: object) -> None:
        self.server.stop()

    @property
    def port(self) -> int:
        return int(self.server.url.rpartition(":")[2])

    def put(self, site: Site, stream: str, clip: Path, number: int) -> None:
        """Put a clip where the producer looks, of a content that no other number has, and write it down."""
        content = unlike(clip, number)
        self.server.client.put_object(Bucket=BUCKET, Key=f"cameras/{stream}/{number:03d}.mp4", Body=content)
        site.expect(stream, clip)


@contextmanager
def two_hosts(folder: Path, footage: Footage, **own: str) -> Iterator[tuple[Network, Storage, Site]]:
    """Redis, S3, reducer and producers here; the host inside has no worker yet."""
    with ExitStack() as ended:
        network = ended.enter_context(Network())
        storage = ended.enter_context(Storage(network))
        site = ended.enter_context(Site(folder, footage, network.outside, **storage.environment, **own))
        network.admit(site.port, storage.port)
        site.start("reduce", "beat", "objects", "watch")
        ended.callback(network.kill)  # before what it talks to ends
        yield network, storage, site


def run(folder: Path, footage: Footage, seed: int) -> Result:
    """A worker with a disk of its own judges as this machine does by the file; then it is killed again and again."""
    result = Result()
    with two_hosts(folder, footage, **_SOON) as (network, storage, site):
        hidden = [site.folder, footage.golden.parent]
        own = {**storage.environment, **_SOON}
        worker = site.start_inside(network, "embed", hidden=hidden, **own)
        _judge(result, network, storage, site)
        rng = random.Random(seed)
        in_hand = 0
        for number in range(_KILLS):
            for extra in range(_OBJECTS // _KILLS + (number < _OBJECTS % _KILLS)):
                at = 100 + 2 * number + extra
                storage.put(site, _STREAMS[at % len(_STREAMS)], footage.clean, at)
            time.sleep(rng.uniform(*_PAUSE_SECONDS))
            in_hand += site.store.client.hlen("unacked") > 0
            if _kill(network, worker, rng):
                worker = site.start_inside(network, "embed", hidden=hidden, **own)
        site.drain(result)
        gets = [row for row in storage.server.requests if row.method == "GET" and row.path.endswith(".mp4")]
        result.expect("objects read whole", 0, sum(not row.range for row in gets))
        frames = sum(site.expected.frames.values())
        counted = sum(event.report.frames for event in site.events() if hasattr(event, "report"))
        result.table(
            ("objects", "frames", "kills", "while tasks were unacknowledged", "frames counted",
             "GET by the worker", "GET without a range", "dead letters"),
            [(_OBJECTS + 2, frames, _KILLS, in_hand, counted, sum(row.client == network.inside for row in gets),
              sum(not row.range for row in gets), site.store.event_log.dead_letter_count())],
        )  # fmt: skip
    return result


def _kill(network: Network, worker: subprocess.Popen[bytes], rng: random.Random) -> bool:
    """Kill all of the host, or one process of it; return whether the worker has to be started again."""
    victim = rng.choice(network.processes())
    if rng.random() < _WHOLE_HOST or victim == worker.pid:
        network.kill()
        worker.wait()
        return True
    os.kill(victim, signal.SIGKILL)
    return False


def _judge(result: Result, network: Network, storage: Storage, site: Site) -> None:
    rows = []
    for number, (stream, clip) in enumerate((("passes", site.footage.clean), ("fails", site.footage.noisy))):
        storage.put(site, stream, clip, number)
        wait_until(f"the verdicts on {stream}", lambda stream=stream: site.is_complete(stream), 240)
        said = site.sentinel("check", str(clip), "--baseline", BASELINE, "--json")
        by_file = [Verdict.model_validate(row) for row in json.loads(said.stdout)["windows"]]
        by_object = site.verdicts(stream)
        same = [(v.start, v.stop, v.status, v.drift_score, v.p_value, v.cause) for v in by_file]
        result.expect(f"{stream}: verdicts by file = by object", same, by_object)
        worst = max(by_object, key=lambda row: row[3])
        gets = [row for row in storage.server.requests if row.client == network.inside and row.method == "GET"]
        figures = (*_figures(same), *_figures(by_object))
        rows.append((stream, len(by_file), *figures, worst[2], same == by_object, len(gets)))
        storage.server.requests.clear()
    result.expect("what passes and what fails", ["PASS", "FAIL"], [str(row[6]) for row in rows])
    result.table(
        ("footage", "windows", "score of the file", "its p", "score of the object", "its p", "verdict",
         "all windows equal", "GET by the worker"), rows,
    )  # fmt: skip


def _figures(windows: Sequence[tuple[object, ...]]) -> tuple[str, str]:
    """Return the highest score and the lowest p, for people."""
    return f"{max(row[3] for row in windows):.4f}", f"{min(row[4] for row in windows):.4f}"
