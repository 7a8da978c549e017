"""What benchmarks of watching share: verdicts as the reducer commits them, Sentinel's processes, a listener."""

from __future__ import annotations

import http.client
import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import machine
from benchmarks.workbench import NO_SPEC
from common.contracts.batches import FrameBatch, Source, SourceKind
from common.contracts.ids import content_id
from common.contracts.verdicts import Cause, Judgement, Status, Verdict
from common.features import FeatureBlock
from common.incidents import move_incidents
from common.models.names import DEFAULT_MODEL
from common.settings import Settings
from common.store import Store, keys
from common.store.streams import Committed, JudgedEvent
from sentinel.stack.redis_server import RedisServer
from workers.reducer import verdict_event

FRAMES, STRIDE = 48, 12
_WIDTH = 8  # features of a window: only their number of bytes counts here
_BASELINE = "b" * 32
_REDIS_MB = 1000
_PATIENCE_SECONDS = 120.0
_POLL_SECONDS = 0.05
_SOCKET_SECONDS = 30.0  # the page sends a beat every three


@dataclass
class Feed:
    """Streams whose verdicts are chosen, and committed as the reducer commits those that it has judged."""

    store: Store
    settings: Settings
    count: int = 0
    _stops: dict[str, int] = field(default_factory=dict)
    _failing: dict[str, int] = field(default_factory=dict)

    def begin(self, stream: str) -> None:
        """Let a stream be known, as its first batch does."""
        self.store.batches.register(
            FrameBatch(
                id=content_id(stream, 0), stream=stream,
                source=Source(uri="/a.mp4", kind=SourceKind.RECORDING, size=1, digest=stream),
                expected_frames=FRAMES, starts=(0,), feature_spec=NO_SPEC, received_at=time.time(),
            )
        )  # fmt: skip
        self._stops[stream] = FRAMES

    def commit(self, stream: str, statuses: Sequence[Status]) -> int:
        """Commit one verdict of each status, oldest first; return the position of the last one in the stream."""
        judged = [self._judged(stream, status) for status in statuses]
        while True:
            read = self.store.streams.window(stream)
            rows, incidents = move_incidents(
                self.store, stream, read, judged, model=DEFAULT_MODEL, close_windows=self.settings.close_windows
            )
            done = self.store.streams.commit(
                stream, read=read, state=None, frames=None, chunks=(), batch_events=(), judged=rows, incidents=incidents
            )
            if done is not Committed.CONFLICT:
                self.count += len(judged)
                return self._stops[stream] - STRIDE

    def _judged(self, stream: str, status: Status) -> JudgedEvent:
        stop = self._stops[stream]
        self._stops[stream] = stop + STRIDE
        fails = status is Status.FAIL
        since = self._failing.setdefault(stream, stop - FRAMES) if fails else self._failing.pop(stream, None)
        window = FeatureBlock(
            {"quality": np.full((FRAMES, _WIDTH), stop, np.float32)},
            np.arange(stop - FRAMES, stop) / 5.0,
            ("/a.mp4",),
            np.zeros(FRAMES, np.int32),
        )
        judgement = Judgement(
            status=status, drift_score=0.8 if fails else 0.1, p_value=0.001 if fails else 0.4,
            cause=Cause.NOISE if fails else None, segment="golden", feature_groups=(), leading_features=(),
            worst_frames=(),
        )  # fmt: skip
        verdict = Verdict.place(
            judgement, window, stream=stream, baseline="golden", baseline_id=_BASELINE, stop=stop,
            failing_since=since if fails else None, confirmed=fails,
        )  # fmt: skip
        return JudgedEvent(verdict_event(verdict, DEFAULT_MODEL), window)


def batch_files(store: Store, names: Sequence[str]) -> Iterator[tuple[str, Path]]:
    """Yield the id of each batch of some streams, with the file that it was made of."""
    for name in names:
        prefix = keys.stream_key(name, "batch", "")
        for key in store.client.scan_iter(match=f"{prefix}*", count=1000):
            batch_id = key.decode().removeprefix(prefix)
            yield batch_id, Path(store.batches.source_uri(name, batch_id) or "")


@contextmanager
def fresh_redis() -> Iterator[tuple[Path, str]]:
    """Print what is measured on, and run a Redis for the context; yields an empty folder and the Redis's URL."""
    logging.disable(logging.INFO)
    print(f"{machine()}\nload of the machine before: {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = RedisServer(folder / "redis", max_mb=_REDIS_MB)
        server.start()
        try:
            yield folder, server.url
        finally:
            server.stop()


def environment_of(folder: Path, url: str, **own: str) -> dict[str, str]:
    """Return the environment of processes that use the Redis at `url` and keep their files in `folder`."""
    (folder / "none.toml").touch()
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("SENTINEL_")},
        "SENTINEL_REDIS_URL": url,
        "SENTINEL_STATE_DIR": str(folder / "state"),
        "SENTINEL_WATCH_DIR": str(folder / "incoming"),
        "SENTINEL_BASELINES_DIR": str(folder / "baselines"),
        "SENTINEL_CONFIG": str(folder / "none.toml"),
        **own,
    }


def start(command: str, environment: dict[str, str], folder: Path) -> subprocess.Popen[bytes]:
    """Start `sentinel COMMAND`; what it logs goes to COMMAND.log in `folder`."""
    with (folder / f"{command}.log").open("ab") as log:
        return subprocess.Popen([sys.executable, "-m", "sentinel", command], env=environment, stdout=log, stderr=log)


@contextmanager
def running(command: str, environment: dict[str, str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run `sentinel COMMAND` until the context ends."""
    process = start(command, environment, folder)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(_PATIENCE_SECONDS)


def wait_until(what: str, true: Callable[[], object], seconds: float = _PATIENCE_SECONDS) -> None:
    """Wait until `true` returns something true; raise `TimeoutError` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"still waiting for {what}")
        time.sleep(_POLL_SECONDS)


def get(port: int, path: str) -> bytes | None:
    """Return what a server on loopback answers with 200; None if it answers otherwise or not yet."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_SOCKET_SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
    except OSError:
        return None
    finally:
        connection.close()
    return body if answer.status == http.HTTPStatus.OK else None


class Listener(threading.Thread):
    """A browser that listens to the page's events from now on, and comes back after the last one that it saw.

    Attributes
    ----------
    seen : id of an entry of `sentinel:events` -> how often it came
    resets : how often it was told that there is a gap
    reconnects : how often its connection was cut
    """

    def __init__(self, port: int, heard: Callable[[dict[str, Any], float], None] | None = None) -> None:
        super().__init__(daemon=True)
        self.seen: dict[str, int] = {}
        self.resets = self.reconnects = 0
        self._port = port
        self._heard = heard
        self._cut = threading.Event()
        self._ended = threading.Event()
        self.after = str(json.loads(get(port, "/api/position") or b"{}")["at"])

    def cut(self) -> None:
        """Break its connection off after the next line that it reads; it connects again by itself."""
        self._cut.set()

    def end(self) -> None:
        self._ended.set()
        self.join()

    def run(self) -> None:
        while not self._ended.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_SOCKET_SECONDS)
            try:
                self._listen(connection)
            except (OSError, http.client.HTTPException):
                time.sleep(_POLL_SECONDS)
            finally:
                connection.close()
            self.reconnects += 1

    def _listen(self, connection: http.client.HTTPConnection) -> None:
        connection.request("GET", "/api/live", headers={"Last-Event-ID": self.after})
        answer = connection.getresponse()
        name, at = "", ""
        while line := answer.readline().decode().rstrip("\n") or "-":
            now = time.time()
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("id: "):
                at = line.removeprefix("id: ")
            elif line.startswith("data: "):
                self.after = at or self.after
                self.resets += name == "reset"
                if name == "event":
                    self.seen[at] = self.seen.get(at, 0) + 1
                    if self._heard is not None:
                        self._heard(json.loads(line.removeprefix("data: ")), now)
                name, at = "", ""
            if self._ended.is_set():
                return
            if self._cut.is_set():
                self._cut.clear()
                return
