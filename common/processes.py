"""The one list of Sentinel's processes.

`sentinel up`, the command line, `sentinel status` and `sentinel doctor` follow it
by themselves; the Procfile, docker-compose.yml and the table in docs/operating.md
are brought up to date by `make generated`. So a new process is a line here and a module.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from common.live_cameras import names_a_camera
from common.settings import Settings

HEARTBEAT_SECONDS = 5.0
"""How often a process leaves a heartbeat in Redis."""

_LATE_SECONDS = 30.0  # six heartbeats, so that a busy machine or a restart of Redis is not an alarm
_LATE_READING_SECONDS = 120.0  # one step of this loop reads whole files, and a slow disk takes its time
_STOP_SECONDS = 5.0
_WORKER_MARGIN_SECONDS = 5.0

Main = Callable[[Settings, threading.Event, Callable[[], None]], None]
"""What a `Command` calls: settings that name a Redis, an event that is set when the process is to stop, and what to
call in each turn of its loop, so that others see it alive."""

FEEDS_WORK = 0
WORKS_IT_OFF = 1


@dataclass(frozen=True)
class Celery:
    """Started by the `celery` program with these arguments."""

    arguments: str


@dataclass(frozen=True)
class Worker:
    """A Celery worker of one queue.

    Attributes
    ----------
    processes : setting that says how many tasks it runs at a time; None: one
    idle_seconds : setting that says after how many seconds without work it ends by itself; 0 or None: it stays
    """

    module: str
    queue: str
    processes: str | None = None
    idle_seconds: str | None = None


@dataclass(frozen=True)
class Command:
    """Started as `sentinel NAME`, which calls `entry`, a function named as MODULE:FUNCTION; see `Main`."""

    entry: str


@dataclass(frozen=True)
class Process:
    """One process.

    Attributes
    ----------
    name : name in the Procfile, in compose, in logs and in heartbeats
    does : what it is for; the command's help and docs/operating.md say it
    start : how it is started
    stop_rank : those that feed work in stop first (0), then those that work it off (1)
    late_after : seconds without a heartbeat after which it is reported as late
    copies : whether any number of them may serve at a time; of the others one does, and a new one waits for its end
    ports : published by compose, as HOST:PORT:PORT
    hears : whether sources come in through it, so that while it is away silence says nothing about a camera
    only_with : settings of which one must be set for it to have work; empty: it always has
    only_with_cameras : whether it has work only where a stream of sentinel.toml has a `url`
    embeds_or_trains : whether it runs backbones or models, so that its container needs them; see the Dockerfile
    """

    name: str
    does: str
    start: Worker | Celery | Command
    stop_rank: int = FEEDS_WORK
    late_after: float = _LATE_SECONDS
    copies: bool = False
    ports: tuple[str, ...] = ()
    hears: bool = False
    only_with: tuple[str, ...] = ()
    only_with_cameras: bool = False
    embeds_or_trains: bool = False

    def has_work(self, settings: Settings) -> bool:
        """Return whether anything is set for it; what has no work is not started, and nobody misses it."""
        if self.only_with_cameras:
            return names_a_camera(settings)
        return not self.only_with or any(getattr(settings, name) for name in self.only_with)

    def may_be_away(self, settings: Settings) -> bool:
        """Return whether it ends by itself while there is no work, so that nobody misses it then."""
        start = self.start
        return isinstance(start, Worker) and bool(start.idle_seconds and getattr(settings, start.idle_seconds))

    def command(self, settings: Settings) -> list[str]:
        """Return the words of its command line; the first is `celery` or `sentinel`."""
        if isinstance(self.start, Command):
            return ["sentinel", self.name]
        if isinstance(self.start, Celery):
            return ["celery", "--quiet", *self.start.arguments.split(), f"--loglevel={settings.log_level}"]
        queue = self.start.queue
        processes = getattr(settings, self.start.processes) if self.start.processes else 1
        options = f"-Q {queue} -n {queue}@%h -c {processes} -O fair --without-mingle --without-gossip"
        return [
            "celery",
            "--quiet",
            "-A",
            self.start.module,
            "worker",
            *options.split(),
            f"--loglevel={settings.log_level}",
        ]

    def patience(self, settings: Settings) -> float:
        """Return how many seconds it may take to stop before it is killed."""
        if isinstance(self.start, Worker):
            return settings.visibility_seconds + _WORKER_MARGIN_SECONDS
        return _STOP_SECONDS


PROCESSES = (
    Process(
        "embed",
        "computes features of frames; run as many as you need, on any number of machines",
        Worker("workers.embedding", "embed", processes="embed_processes"),
        WORKS_IT_OFF,
        embeds_or_trains=True,
        copies=True,
    ),
    Process(
        "reduce",
        "appends frames to each stream's window, judges it, and publishes the verdict",
        Worker("workers.reducer", "reduce"),
        WORKS_IT_OFF,
        copies=True,
    ),
    Process(
        "retrain",
        "fine-tunes a challenger, compares it with the champion, promotes it if it passes the gate; learns cameras",
        Worker("workers.retraining", "retrain", idle_seconds="retrain_idle_seconds"),
        WORKS_IT_OFF,
        embeds_or_trains=True,
    ),
    Process(
        "interpolate",
        "writes videos with more frames per second, by the champion of their stream",
        Worker("workers.interpolating", "interpolate"),
        WORKS_IT_OFF,
        embeds_or_trains=True,
        copies=True,
    ),
    Process(
        "beat",
        "sends what is scheduled: sources of sentinel.toml, the daily check, the sweep for lost work, retention",
        Celery("-A producers.schedule beat"),
        hears=True,
    ),
    Process(
        "camera-events",
        "accepts what cameras write to sentinel:ingest",
        Command("producers.camera_events:main"),
        late_after=_LATE_READING_SECONDS,
        copies=True,
        hears=True,
    ),
    Process(
        "http",
        "accepts images and clips that cameras post, each with a token of its own",
        Command("producers.http:main"),
        ports=("127.0.0.1:8300:8300",),
        hears=True,
        only_with=("http_tokens",),
    ),
    Process(
        "mqtt-in",
        "accepts images and clips that come over MQTT, and fetches what Frigate's events name",
        Command("producers.mqtt:main"),
        late_after=_LATE_READING_SECONDS,
        hears=True,
        only_with=("mqtt_in_topics", "frigate_url"),
    ),
    Process(
        "truth",
        "takes in what is true of frames from sentinel:truth, and judges models of your own by it",
        Command("producers.truth:main"),
    ),
    Process(
        "watch",
        "accepts files from the watched folder",
        Command("sentinel.stack.watch:main"),
        late_after=_LATE_READING_SECONDS,
        hears=True,
    ),
    Process(
        "objects",
        "accepts objects from the watched prefixes of object storage",
        Command("producers.objects:main"),
        late_after=_LATE_READING_SECONDS,
        hears=True,
        only_with=("watch_objects",),
    ),
    Process(
        "rtsp",
        "fetches the live cameras of sentinel.toml, and hands in what they send in short segments",
        Command("producers.rtsp:main"),
        late_after=_LATE_READING_SECONDS,
        hears=True,
        only_with_cameras=True,
    ),
    Process(
        "retrain-trigger",
        "sends a retraining task after confirmed FAILs, once the model's cool-down is over",
        Command("consumers.retrain_trigger:main"),
    ),
    Process(
        "alerts",
        "tells people of incidents, by Apprise, webhooks and a workflow on GitHub",
        Command("consumers.alerts:main"),
        only_with=("alert_urls", "alert_webhooks", "github_repository"),
    ),
    Process(
        "mqtt",
        "says over MQTT how streams are doing, for Home Assistant and others",
        Command("consumers.mqtt:main"),
        only_with=("mqtt_url",),
    ),
    Process(
        "metrics",
        "serves numbers to Prometheus: verdicts, scores, queues, models, processes",
        Command("consumers.metrics:main"),
        ports=("127.0.0.1:9464:9464",),
    ),
    Process(
        "page",
        "shows streams, incidents, models and the stack in a browser, and offers the same to programs",
        Command("dashboard.server:main"),
        ports=("127.0.0.1:8200:8200",),
    ),
    Process(
        "flower",
        "shows queues and workers in a browser",
        Command("sentinel.stack.flower:main"),
        ports=("127.0.0.1:5555:5555",),
    ),
)

WORKERS = tuple(process.name for process in PROCESSES if isinstance(process.start, Worker))
"""Names of those that are Celery workers."""

QUEUES = tuple(process.start.queue for process in PROCESSES if isinstance(process.start, Worker))
"""Celery's queues, which are Redis lists of the same names."""


def wanted_processes(settings: Settings) -> tuple[Process, ...]:
    """Return the processes that have work under these settings, in the list's order."""
    return tuple(process for process in PROCESSES if process.has_work(settings))


def process_of_queues(queues: set[str]) -> str | None:
    """Return the name of the worker that serves one of `queues`; None where none does."""
    for process in PROCESSES:
        if isinstance(process.start, Worker) and process.start.queue in queues:
            return process.name
    return None
