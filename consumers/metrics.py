"""Numbers for Prometheus: what the streams, queues, models and processes are doing, on one port.

    sentinel:events  --verdicts, retrainings-->  counters of this process
    Redis            --at each scrape----------> gauges: what `sentinel status` shows

Counters begin at 0 with the process, as Prometheus expects. The consumer group remembers how far it has read, so what
was announced while the process was away is counted when it is back.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

import redis
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from common.contracts.cameras import CameraState
from common.contracts.events import (
    ChallengerRejected,
    ChampionPromoted,
    Event,
    RetrainStarted,
    WindowFailed,
    WindowPassed,
)
from common.contracts.processes import ProcessState
from common.contracts.verdicts import Status
from common.errors import SettingsError
from common.queries import StreamStatus, SystemStatus, system_status
from common.settings import Settings
from common.store import Store, keys, open_store
from common.store.client import entry_position, text
from common.stream_config import settings_of_stream
from consumers.listener import Listener, keep_running

log = logging.getLogger(__name__)

GROUP = "metrics"
"""The consumer group."""

_STREAM_GAUGES: tuple[tuple[str, str, Callable[[StreamStatus], float | None]], ...] = (
    ("sentinel_drift_score", "Drift score of the latest verdict, 0 to 1.", lambda row: row.drift_score),
    ("sentinel_p_value", "p-value of the latest verdict.", lambda row: row.p_value),
    (
        "sentinel_failing",
        "Whether the latest verdict is a FAIL.",
        lambda row: None if row.status is None else float(row.status is Status.FAIL),
    ),
    (
        "sentinel_seconds_since_frame",
        "Seconds since the stream's latest frame was judged.",
        lambda row: row.seconds_since_last_frame,
    ),
    ("sentinel_pending_chunks", "Chunks that wait or are worked on.", lambda row: row.pending_chunks),
)
_OTHER_GAUGES = {
    "sentinel_drift_threshold": "Score above which a window may FAIL.",
    "sentinel_frame_seconds": "Recent mean of seconds of work per sampled frame.",
}
_CAMERA_COUNTERS = {
    "connections": "Times that a live camera was connected, since its process began.",
    "received": "Bytes of packets that a live camera sent, since then.",
    "packets": "Packets that a live camera sent, since then.",
    "segments": "Segments of a live camera that were stored, since then.",
    "lost": "Segments of a live camera that were removed unjudged because the spool was full, since then.",
}
_FRESH_SECONDS = 2.0  # a second scraper within so long is told the same, and Redis is not asked again


class Metrics(Collector):
    """Counts events, and answers a scrape with that and with the state of everything.

    At most `SENTINEL_METRICS_STREAMS` streams are named, those that want attention first: however many streams somebody
    makes up, labels stay bounded. `sentinel_streams` counts them all.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._most = store.settings.metrics_streams
        self._lock = threading.Lock()
        self._verdicts: Counter[tuple[str, str, str]] = Counter()
        self._retrainings: Counter[tuple[str, str]] = Counter()
        self._state: tuple[float, SystemStatus] | None = None
        self.listener = Listener(store, GROUP, self.note)

    def note(self, event: Event) -> None:
        """Count an event."""
        with self._lock:
            match event:
                case WindowPassed() | WindowFailed():
                    verdict = event.verdict
                    self._verdicts[event.stream, verdict.status.value, verdict.cause or ""] += 1
                case RetrainStarted():
                    self._retrainings[event.model, "started"] += 1
                case ChampionPromoted():
                    self._retrainings[event.model, "promoted"] += 1
                case ChallengerRejected():
                    self._retrainings[event.model, "rejected"] += 1
                case _:
                    pass

    def collect(self) -> Iterator[Metric]:
        """Yield every metric; while Redis is away only `sentinel_up`, which is then 0."""
        try:
            found = self._system()
            rows = found.streams[: self._most]
            costs = self._store.chunks.costs([row.stream for row in rows])
            cameras = self._store.cameras.of([row.stream for row in rows])
            lags, kept = self._lags(), self._store.client.xlen(keys.EVENTS)
        except redis.RedisError as error:
            log.warning("a scrape finds no Redis: %s", error)
            yield _gauge("sentinel_up", "Whether Redis answers.", {(): 0})
            return
        yield _gauge("sentinel_up", "Whether Redis answers.", {(): 1})
        yield from self._of_streams(rows, costs)
        yield from self._counted({row.stream for row in rows})
        yield from _of_cameras(cameras)
        yield from _of_stack(found)
        yield _gauge("sentinel_stream_lag_seconds", "How far a group is behind its Stream.", lags, "stream", "group")
        yield _gauge("sentinel_events", "Entries kept on the Stream of events.", {(): kept})

    def _system(self) -> SystemStatus:
        now = time.monotonic()
        with self._lock:
            if self._state is None or now - self._state[0] > _FRESH_SECONDS:
                self._state = now, system_status(self._store, self._store.settings.redis_url or "")
            return self._state[1]

    def _of_streams(self, rows: Sequence[StreamStatus], costs: Mapping[str, float]) -> Iterator[Metric]:
        thresholds = {row.stream: self._threshold(row.stream) for row in rows}
        for name, text_of_it, value in _STREAM_GAUGES:
            yield _gauge(name, text_of_it, {(row.stream,): value(row) for row in rows}, "stream")
        named = {"sentinel_drift_threshold": thresholds, "sentinel_frame_seconds": costs}
        for name, values in named.items():
            yield _gauge(name, _OTHER_GAUGES[name], {(stream,): value for stream, value in values.items()}, "stream")
        frames = CounterMetricFamily("sentinel_frames", "Sampled frames that were judged.", labels=("stream",))
        for row in rows:
            frames.add_metric((row.stream,), row.frames)
        yield frames

    def _threshold(self, stream: str) -> float | None:
        try:
            return settings_of_stream(self._store.settings, stream).drift_threshold
        except SettingsError:  # the file is being edited; `sentinel status` says what is wrong with it
            return None

    def _counted(self, named: set[str]) -> Iterator[Metric]:
        with self._lock:
            verdicts, retrainings = dict(self._verdicts), dict(self._retrainings)
        windows = CounterMetricFamily(
            "sentinel_verdicts", "Verdicts since this process began.", labels=("stream", "status", "cause")
        )
        for (stream, status, cause), count in sorted(verdicts.items()):
            if stream in named:
                windows.add_metric((stream, status, cause), count)
        yield windows
        trained = CounterMetricFamily(
            "sentinel_retrainings", "Retrainings since this process began, by outcome.", labels=("model", "outcome")
        )
        for (model, outcome), count in sorted(retrainings.items()):
            trained.add_metric((model, outcome), count)
        yield trained

    def _lags(self) -> dict[tuple[str, ...], float | None]:
        """Return by how much each consumer group is behind the latest entry of its Stream, seconds."""
        found: dict[tuple[str, ...], float | None] = {}
        for stream in (keys.EVENTS, keys.INGEST):
            latest = self._store.client.xrevrange(stream, count=1)
            if not latest:
                continue
            for group in self._store.client.xinfo_groups(stream):
                behind = entry_position(text(latest[0][0]))[0] - entry_position(text(group["last-delivered-id"]))[0]
                found[stream, text(group["name"])] = max(behind, 0) / 1000.0
        return found


def _of_cameras(cameras: Mapping[str, CameraState]) -> Iterator[Metric]:
    connected: dict[tuple[str, ...], float | None] = {
        (stream,): float(state.connected) for stream, state in cameras.items()
    }
    yield _gauge("sentinel_camera_connected", "Whether a live camera is connected.", connected, "stream")
    offsets: dict[tuple[str, ...], float | None] = {(stream,): state.clock_offset for stream, state in cameras.items()}
    ahead = "Seconds by which a live camera's clock is ahead of ours."
    yield _gauge("sentinel_camera_clock_offset_seconds", ahead, offsets, "stream")
    for name, what in _CAMERA_COUNTERS.items():
        counter = CounterMetricFamily(f"sentinel_camera_{name}", what, labels=("stream",))
        for stream, state in sorted(cameras.items()):
            counter.add_metric((stream,), getattr(state, name))
        yield counter


def _of_stack(found: SystemStatus) -> Iterator[Metric]:
    """Yield what is known of incidents, models, queues and processes."""
    states = ((row.state.value, row.cause.value) for stream in found.streams for row in stream.incidents)
    incidents: dict[tuple[str, ...], float | None] = dict(Counter[tuple[str, ...]](states))
    alive = {row.process: row.instances if row.state is ProcessState.ALIVE else 0 for row in found.processes}
    yield _gauge("sentinel_streams", "Streams that are known.", {(): len(found.streams)})
    yield _gauge("sentinel_incidents_open", "Open incidents, by state and cause.", incidents, "state", "cause")
    yield _gauge("sentinel_dead_letters", "Dead letters that nobody has dropped.", {(): found.dead_letters})
    for name, text_of_it, label, values in (
        ("sentinel_queue_depth", "Tasks that wait in a queue.", "queue", found.queues),
        ("sentinel_process_alive", "Instances of a process that leave heartbeats.", "process", alive),
        (
            "sentinel_champion_version",
            "Version of the champion.",
            "model",
            {row.model: row.version for row in found.models},
        ),
        (
            "sentinel_streams_waiting",
            "Streams that wait for the model's next retraining.",
            "model",
            {row.model: row.waiting_streams for row in found.models},
        ),
        (
            "sentinel_model_held",
            "Whether a person's choice of version suspends retraining.",
            "model",
            {row.model: row.held is not None for row in found.models},
        ),
    ):
        yield _gauge(name, text_of_it, {(key,): value for key, value in values.items()}, label)


def _gauge(
    name: str, text_of_it: str, values: Mapping[tuple[str, ...], float | None], *labels: str
) -> GaugeMetricFamily:
    """Return a gauge with a value for each combination of its labels; None is left out."""
    gauge = GaugeMetricFamily(name, text_of_it, labels=labels)
    for key, value in sorted(values.items()):
        if value is not None:
            gauge.add_metric(key, float(value))
    return gauge


def main(settings: Settings, stop: threading.Event, beat: Callable[[], None]) -> None:
    """Count events, and answer Prometheus on `SENTINEL_METRICS_PORT`, until `stop` is set."""
    metrics = Metrics(open_store(settings))
    registry = CollectorRegistry(auto_describe=False)
    registry.register(metrics)
    try:
        server, thread = start_http_server(settings.metrics_port, settings.metrics_host, registry=registry)
    except OSError as error:
        raise SettingsError(
            f"metrics cannot be served on {settings.metrics_host}:{settings.metrics_port} "
            f"({error.strerror or error}): set SENTINEL_METRICS_PORT to a free port, or 0 for any"
        ) from error
    log.info("metrics are at http://%s:%d/metrics", settings.metrics_host, server.server_port)
    try:
        keep_running(metrics.listener.step, stop, beat)
    finally:
        server.shutdown()
        thread.join()
