"""Metrics on a real Redis and a real port: what they say, that labels stay bounded, and that dashboards follow them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from common.contracts.cameras import CameraState
from common.contracts.events import ChallengerRejected, ChampionPromoted, RetrainStarted
from common.contracts.models import RetrainReport
from common.contracts.verdicts import Status
from common.process_health import process_health
from common.settings import Settings
from common.store import Store
from consumers.metrics import GROUP, Metrics
from sentinel.stack.redis_server import RedisServer, free_port
from tests.common.builders import record, verdict
from tests.consumers.test_retrain_trigger import announce, know

DEPLOY = Path(__file__).parents[2] / "deploy"
HOSTILE = "<script>alert(1)</script>"

Sample = tuple[str, tuple[tuple[str, str], ...]]


def scraped(metrics: Metrics) -> dict[Sample, float]:
    """What a scrape says, as Prometheus reads it."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(metrics)
    return parsed(generate_latest(registry).decode())


def parsed(text: str) -> dict[Sample, float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def of(samples: dict[Sample, float], name: str, **labels: str) -> float | None:
    return samples.get((name, tuple(sorted(labels.items()))))


def report() -> RetrainReport:
    return RetrainReport(model="vfi", stage="done", progress=1.0, detail="")


@pytest.fixture
def metrics(store: Store) -> Metrics:
    know(store)
    return Metrics(store)


def test_verdicts_are_counted_by_status_and_cause(metrics: Metrics, store: Store) -> None:
    for stop in (48, 72, 96):
        announce(store, verdict(status=Status.PASS, stop=stop))
    announce(store, verdict(stop=120))
    metrics.listener.step()
    found = scraped(metrics)
    assert of(found, "sentinel_verdicts_total", stream="dock", status="PASS", cause="") == 3
    assert of(found, "sentinel_verdicts_total", stream="dock", status="FAIL", cause="noise") == 1


def test_an_event_counts_once_for_however_many_turns(metrics: Metrics, store: Store) -> None:
    announce(store, verdict(status=Status.PASS))
    for _ in range(3):
        metrics.listener.step()
    assert of(scraped(metrics), "sentinel_verdicts_total", stream="dock", status="PASS", cause="") == 1


def test_retrainings_are_counted_by_outcome(metrics: Metrics, store: Store) -> None:
    store.event_log.announce(RetrainStarted.about(report(), model="vfi"))
    store.event_log.announce(RetrainStarted.about(report(), model="vfi"))
    store.event_log.announce(ChallengerRejected.about(report(), model="vfi"))
    store.event_log.announce(ChampionPromoted.about(record(2), model="vfi"))
    metrics.listener.step()
    found = scraped(metrics)
    counts = {
        o: of(found, "sentinel_retrainings_total", model="vfi", outcome=o) for o in ("started", "promoted", "rejected")
    }
    assert counts == {"started": 2, "promoted": 1, "rejected": 1}


def test_live_cameras_say_how_their_connections_do(metrics: Metrics, store: Store) -> None:
    state = CameraState(
        stream="dock", url="rtsp://cam/1", connected=True, clock_offset=-1.5, connections=3, segments=7, lost=2
    )
    store.cameras.put([state])
    found = scraped(metrics)
    assert of(found, "sentinel_camera_connected", stream="dock") == 1
    assert of(found, "sentinel_camera_clock_offset_seconds", stream="dock") == -1.5
    assert of(found, "sentinel_camera_lost_total", stream="dock") == 2
    assert of(found, "sentinel_camera_connections_total", stream="dock") == 3


def test_only_so_many_streams_are_named_and_all_are_counted(
    store: Store, settings: Settings, redis_server: RedisServer
) -> None:
    know(store, "a", "b", "c", "d")
    found = scraped(Metrics(Store(redis_server.url, settings.model_copy(update={"metrics_streams": 2}))))
    named = {dict(labels)["stream"] for name, labels in found if name == "sentinel_pending_chunks"}
    assert len(named) == 2
    assert of(found, "sentinel_streams") == 4


def test_a_hostile_name_is_a_label_and_nothing_else(store: Store) -> None:
    quoted = '" 1 # EOF sentinel_up 0 ' + "x" * 100
    for name in (HOSTILE, quoted):
        know(store, name)
    found = scraped(Metrics(store))
    for name in (HOSTILE, quoted):
        assert of(found, "sentinel_frames_total", stream=name) == 0
    assert of(found, "sentinel_up") == 1


def test_how_far_a_group_is_behind(metrics: Metrics, store: Store) -> None:
    announce(store, verdict(status=Status.PASS))
    metrics.listener.step()
    behind = {"stream": "sentinel:events", "group": GROUP}
    assert of(scraped(metrics), "sentinel_stream_lag_seconds", **behind) == 0
    time.sleep(0.05)
    announce(store, verdict(status=Status.PASS, stop=72))
    assert (of(scraped(metrics), "sentinel_stream_lag_seconds", **behind) or 0) >= 0.05
    metrics.listener.step()
    assert of(scraped(metrics), "sentinel_stream_lag_seconds", **behind) == 0


# --- the process


@pytest.fixture
def port(own_redis: RedisServer, tmp_path: Path) -> Iterator[int]:
    """A running `sentinel metrics`."""
    port = free_port()
    own = {"SENTINEL_REDIS_URL": own_redis.url, "SENTINEL_METRICS_PORT": str(port)}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "sentinel", "metrics"], env={**os.environ, **own}, stdout=log, stderr=log
        )
    try:
        deadline = time.monotonic() + 60
        while not reached(port):
            assert process.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, (tmp_path / "log").read_text()


def reached(port: int) -> bool:
    try:
        return bool(scrape(port))
    except OSError:
        return False


def scrape(port: int) -> dict[Sample, float]:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # whatever proxy another test has set
    with direct.open(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return parsed(answer.read().decode())


def test_the_process_serves_them_lives_through_a_restart_of_redis_and_is_seen_alive(
    port: int, settings: Settings, own_redis: RedisServer
) -> None:
    store = Store(own_redis.url, settings)
    know(store)
    announce(store, verdict(status=Status.PASS))
    wanted = {"stream": "dock", "status": "PASS", "cause": ""}
    wait_for(lambda: of(scrape(port), "sentinel_verdicts_total", **wanted) == 1)
    assert {row.process: row.instances for row in process_health(store)}["metrics"] == 1
    own_redis.stop()
    try:
        wait_for(lambda: scrape(port) == {("sentinel_up", ()): 0.0})
    finally:
        own_redis.start()
    wait_for(lambda: of(scrape(port), "sentinel_up") == 1)


def wait_for(seen) -> None:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + 60
    while not seen():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_port_that_is_taken_is_said_with_what_to_do(port: int, own_redis: RedisServer) -> None:
    own = {"SENTINEL_REDIS_URL": own_redis.url, "SENTINEL_METRICS_PORT": str(port)}
    ended = subprocess.run(
        [sys.executable, "-m", "sentinel", "metrics"],
        env={**os.environ, **own},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode != 0
    assert "set SENTINEL_METRICS_PORT to a free port" in ended.stderr


# --- dashboards and alert rules


@pytest.mark.parametrize("file", ["prometheus/alerts.yml", "grafana/sentinel.json"])
def test_every_metric_that_is_named_is_exported(file: str, metrics: Metrics, store: Store) -> None:
    announce(store, verdict())
    metrics.listener.step()
    registry = CollectorRegistry(auto_describe=False)
    registry.register(metrics)
    exported = set(re.findall(r"^# TYPE (\w+)", generate_latest(registry).decode(), re.MULTILINE))
    text = (DEPLOY / file).read_text()
    rows = yaml.safe_load(text) if file.endswith("yml") else json.loads(text)
    named = set(re.findall(r"\bsentinel_\w+", json.dumps(rows)))
    assert len(named) > 5
    assert named <= exported
