"""MQTT with a real mosquitto: what streams are told of, what is left when they are forgotten, and outages."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from common.contracts.verdicts import Status
from common.errors import SettingsError
from common.settings import Settings
from common.store import Store
from consumers.mqtt import Mqtt, level
from sentinel.stack.redis_server import RedisServer
from tests.common.builders import verdict
from tests.consumers.test_listener import wait_until
from tests.consumers.test_retrain_trigger import announce, know
from tests.mosquitto import NEEDS_MOSQUITTO, Broker

HOSTILE = "a/+/#<script>[/red] \u00e9 " + "x" * 120

pytestmark = NEEDS_MOSQUITTO


class Ear:
    """Hears everything, as Home Assistant does; `topics` has the latest payload of each that is not empty."""

    def __init__(self, port: int) -> None:
        self.topics: dict[str, bytes] = {}
        self.heard: list[tuple[str, bytes]] = []
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.username_pw_set("cam@home", "p:ss")
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self._client.on_message = lambda _c, _u, message: self._hear(message.topic, message.payload)
        self._client.connect_async("127.0.0.1", port)
        self._client.loop_start()

    def _hear(self, topic: str, payload: bytes) -> None:
        self.heard.append((topic, payload))
        self.topics[topic] = payload
        if not payload:
            del self.topics[topic]

    def state(self, stream: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.topics.get(f"sentinel/{level(stream)}/state", b"{}"))
        return found

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    found = Broker(tmp_path / "mosquitto")
    found.start()
    yield found
    found.stop()


@pytest.fixture
def ear(broker: Broker) -> Iterator[Ear]:
    found = Ear(broker.port)
    yield found
    found.stop()


@contextmanager
def publishing(store: Store, broker: Broker) -> Iterator[Mqtt]:
    found = Mqtt(store, broker.url)
    found.start()
    wait_until("it is connected", found._connected.is_set)
    try:
        yield found
    finally:
        found.stop()


def test_a_stream_is_told_of_with_its_cause_and_home_assistant_finds_it(
    store: Store, broker: Broker, ear: Ear, settings: Settings
) -> None:
    know(store)
    with publishing(store, broker) as mqtt:
        mqtt.step()
        wait_until("it is there", lambda: ear.state("dock"))
        assert ear.state("dock")["status"] is None
        assert ear.topics["sentinel/status"] == b"online"
        assert ear.topics["sentinel/dock/availability"] == b"online"
        configs = {topic: json.loads(text) for topic, text in ear.topics.items() if topic.endswith("/config")}
        assert {topic.split("/")[1] for topic in configs} == {"binary_sensor", "sensor", "image"}
        for about in configs.values():
            assert about["device"]["name"] == "dock"
            assert any(about.get(key, "").startswith("sentinel/dock/") for key in ("state_topic", "image_topic"))
    wait_until("it says good-bye", lambda: ear.topics["sentinel/status"] == b"offline")


def test_a_hostile_name_is_one_level_of_a_topic(store: Store, broker: Broker, ear: Ear) -> None:
    names = (HOSTILE, "a-b", "a/b", level("a/b"))
    know(store, *names)
    with publishing(store, broker) as mqtt:
        mqtt.step()
        wait_until("all are there", lambda: all(ear.state(name) for name in names))
    assert ear.state(HOSTILE)["stream"] == HOSTILE
    assert all(topic.count("/") <= 4 for topic in ear.topics)
    assert len({level(name) for name in names}) == 4, "no name is another one's digest"


def test_many_streams_are_told_of_a_few_at_a_time(store: Store, broker: Broker, ear: Ear) -> None:
    names = [f"cam{number}" for number in range(50)]
    know(store, *names)
    with publishing(store, broker) as mqtt:
        for _ in range(3):
            mqtt.step()
        wait_until("all are there", lambda: all(ear.state(name) for name in names))


def test_a_stream_that_was_forgotten_leaves_nothing_retained(store: Store, broker: Broker, ear: Ear) -> None:
    know(store, "dock", "gate")
    with publishing(store, broker) as mqtt:
        mqtt.step()
        wait_until("both are there", lambda: ear.state("dock") and ear.state("gate"))
        store.client.zrem("sentinel:streams", "gate")
        mqtt._anew.set()
        mqtt.step()
        mqtt.step()
        wait_until("it is gone", lambda: not ear.state("gate"))
        assert ear.state("dock")
        late = Ear(broker.port)
        try:
            wait_until("a late one hears what is retained", lambda: late.state("dock"))
            device = ear.topics.keys() - {"sentinel/status"}
            assert {topic for topic, payload in late.heard if payload} >= device
            assert not any("gate" in topic or b'"gate"' in payload for topic, payload in late.heard)
        finally:
            late.stop()


@pytest.mark.parametrize("url", ["http://broker", "mqtt://", "mqtt://host:port", "nonsense"])
def test_an_address_that_is_none_is_said(url: str, store: Store) -> None:
    with pytest.raises(SettingsError, match="write mqtt://user:password@host:port"):
        Mqtt(store, url)


def test_the_process_goes_on_after_the_broker_and_itself_were_killed(
    own_redis: RedisServer, settings: Settings, broker: Broker, ear: Ear, tmp_path: Path
) -> None:
    store = Store(own_redis.url, settings)
    know(store)
    own = {"SENTINEL_REDIS_URL": own_redis.url, "SENTINEL_MQTT_URL": broker.url}

    def start() -> subprocess.Popen[bytes]:
        with (tmp_path / "log").open("ab") as log:
            command = [sys.executable, "-m", "sentinel", "mqtt"]
            return subprocess.Popen(command, env={**os.environ, **own}, stdout=log, stderr=log)

    process = start()
    try:
        wait_until("it is told of", lambda: ear.state("dock"))
        broker.stop()
        time.sleep(1.0)
        ear.topics.clear()
        broker.start()
        wait_until("a broker that forgot is told again", lambda: ear.state("dock"))
        process.send_signal(signal.SIGKILL)
        process.wait()
        wait_until("its last will is heard", lambda: ear.topics.get("sentinel/status") == b"offline")
        announce(store, verdict(status=Status.PASS))
        process = start()
        wait_until("it is back", lambda: ear.topics.get("sentinel/status") == b"online")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        wait_until("it says good-bye", lambda: ear.topics["sentinel/status"] == b"offline")
    finally:
        process.kill()
        process.wait()
    assert "p:ss" not in (tmp_path / "log").read_text()


def test_of_two_processes_the_one_that_lives_says_so_when_the_other_dies(
    own_redis: RedisServer, settings: Settings, broker: Broker, ear: Ear, tmp_path: Path
) -> None:
    know(Store(own_redis.url, settings))
    own = {"SENTINEL_REDIS_URL": own_redis.url, "SENTINEL_MQTT_URL": broker.url}
    command = [sys.executable, "-m", "sentinel", "mqtt"]

    def said(first: int = 0) -> list[bytes]:
        return [payload for topic, payload in ear.heard if topic == "sentinel/status"][first:]

    with (tmp_path / "log").open("wb") as log:
        processes = []
        try:
            for count in (1, 2):
                processes.append(subprocess.Popen(command, env={**os.environ, **own}, stdout=log, stderr=log))
                wait_until(f"{count} are there", lambda count=count: said().count(b"online") >= count)
            for ending in (signal.SIGKILL, signal.SIGTERM):
                before = len(said())
                processes[0].send_signal(ending)
                processes[0].wait()
                wait_until(
                    "it is missed and contradicted", lambda before=before: said(before) == [b"offline", b"online"]
                )
                processes.pop(0)
                processes.append(subprocess.Popen(command, env={**os.environ, **own}, stdout=log, stderr=log))
                wait_until("another is there", lambda before=before: len(said(before)) > 2)
            for process in processes:
                process.kill()
                process.wait()
            wait_until("all are gone", lambda: ear.topics["sentinel/status"] == b"offline")
        finally:
            for process in processes:
                process.kill()
                process.wait()
