"""Frames over MQTT, from a real mosquitto into a real Redis: what is accepted once, what is refused, what waits."""

from __future__ import annotations

import base64
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import cv2
import pytest

from common import broker as celery_broker
from common.actions.dead_letters import retry_letters
from common.contracts.batches import SourceKind
from common.errors import BadBaseline, BrokerUnavailable, SentinelError, SettingsError, StorageUnavailable
from common.features import TimeSource
from common.ingest.accept import Ingestor
from common.mqtt_connection import broker_of_frames
from common.settings import Settings
from common.sources.capture_time import parse_time
from common.store import Store, keys
from common.store.ingest import offer
from producers import mqtt_frames, mqtt_subscriber
from producers.camera_events import CameraEvents
from producers.mqtt_delivery import Delivery
from producers.mqtt_frames import MqttFrames
from producers.mqtt_subscriber import Subscriber
from producers.spool import Spool
from producers.spooled import open_spool
from sentinel.stack.redis_server import RedisServer
from tests.footage import scene, write_clip
from tests.mosquitto import NEEDS_MOSQUITTO, PASSWORD, USER, Broker
from tests.producers.events import EVENT
from tests.producers.subscribing import NAME, Camera, count, registered, subscribed
from tests.served import settings_in, wait_until

PNG = cv2.imencode(".png", scene(1)[0])[1].tobytes()
JPEG = cv2.imencode(".jpg", scene(2)[1])[1].tobytes()

pytestmark = NEEDS_MOSQUITTO


@pytest.fixture
def own(with_baseline: Settings, mosquitto: Broker) -> Settings:
    return with_baseline.model_copy(
        update={
            "mqtt_in_url": mosquitto.url,
            "mqtt_in_topics": ("cameras/{stream}/frame",),
            "mqtt_in_max_bytes": 300_000,
        }
    )


@pytest.fixture
def frames(own: Settings, ingestor: Ingestor) -> MqttFrames:
    return MqttFrames(own, ingestor, open_spool(own))


def unacknowledged(store: Store) -> int:
    return int(store.client.hlen(keys.MQTT_DELIVERIES_PREFIX + NAME))


def structured(**changes: Any) -> bytes:
    return json.dumps({**EVENT, "data_base64": base64.b64encode(PNG).decode(), **changes}).encode()


def test_an_image_becomes_a_batch_that_is_acknowledged_once_it_is_stored(
    own: Settings, frames: MqttFrames, store: Store, camera: Camera
) -> None:
    with subscribed(own, frames, store):
        camera.publish("cameras/dock 3é/frame", PNG)
        camera.publish("cameras/dock 3é/frame", JPEG)
        wait_until("both are accepted", lambda: count(store, "dock 3é") == 2)
        wait_until("both are acknowledged", lambda: unacknowledged(store) == 0)
    batches = registered(store, "dock 3é").values()
    assert {batch.source.kind for batch in batches} == {SourceKind.IMAGE}
    assert {Path(batch.source.uri).read_bytes() for batch in batches} == {PNG, JPEG}
    assert store.client.llen(celery_broker.EMBED_QUEUE) == 2
    with subscribed(own, frames, store):
        camera.publish("cameras/last/frame", PNG)
        wait_until("the next one is accepted", lambda: count(store, "last") == 1)
    assert count(store, "dock 3é") == 2, "what was acknowledged does not come again"


def test_a_clip_comes_with_its_content_type(
    own: Settings, frames: MqttFrames, store: Store, camera: Camera, tmp_path: Path
) -> None:
    write_clip(tmp_path / "clip.mp4", scene(24))
    with subscribed(own, frames, store):
        camera.publish("cameras/dock/frame", (tmp_path / "clip.mp4").read_bytes(), content_type="video/mp4")
        wait_until("it is accepted", lambda: count(store, "dock") == 1)
    (batch,) = registered(store, "dock").values()
    assert batch.source.kind is SourceKind.RECORDING


def test_an_event_counts_once_whichever_way_it_comes(
    own: Settings, frames: MqttFrames, store: Store, camera: Camera, bridge: CameraEvents, still: Path
) -> None:
    binary = {name: value for name, value in EVENT.items() if name != "datacontenttype"}
    named = json.dumps({**EVENT, "id": "named", "source": "/cameras/other", "dataref": f"file://{still}"}).encode()
    with subscribed(own, frames, store):
        camera.publish("cameras/cam7/frame", structured(time="2026-11-24T06:15:00Z"))
        camera.publish("cameras/cam7/frame", PNG, content_type="image/png", attributes=binary)
        camera.publish("cameras/cam7/frame", structured(), content_type="application/cloudevents+json; charset=UTF-8")
        camera.publish("cameras/other/frame", named)
        camera.publish("cameras/other/frame", named)
        wait_until("all are taken", lambda: count(store, "other") == 1 and unacknowledged(store) == 0)
        camera.publish("cameras/last/frame", PNG)
        wait_until("all before are taken", lambda: count(store, "last") == 1)
    offer(store.client, {**EVENT, "data": PNG})
    bridge.step()
    (batch,) = registered(store, "cam7").values()
    assert (batch.source.taken_at, batch.source.time_source) == (1795500900.0, TimeSource.EVENT)
    assert count(store, "other") == 1
    assert next(iter(registered(store, "other").values())).source.uri == str(still)


class Cut:
    """Takes as `inner` does, and lets `end` end the connection of each first delivery before it is acknowledged."""

    def __init__(self, inner: MqttFrames, end: Callable[[socket.socket], None]) -> None:
        self.inner = inner
        self.end = end
        self.subscriber: Subscriber | None = None
        self.again = 0

    @property
    def filters(self) -> Sequence[str]:
        return self.inner.filters

    @property
    def most_bytes(self) -> int:
        return self.inner.most_bytes

    def take(self, delivery: Delivery, subscriber: str) -> None:
        self.inner.take(delivery, subscriber)
        self.again += delivery.again
        assert self.subscriber is not None
        connection = self.subscriber._client.socket()
        if not delivery.again and connection is not None:
            ended = self.subscriber._connection
            self.end(connection)
            wait_until("the end is seen", lambda: self.subscriber._connection > ended)

    def bury(self, delivery: Delivery, error: Exception) -> None:
        self.inner.bury(delivery, error)


def test_equal_frames_count_each_and_what_is_delivered_again_does_not(
    own: Settings, frames: MqttFrames, store: Store, camera: Camera
) -> None:
    taker = Cut(frames, lambda connection: connection.shutdown(socket.SHUT_RDWR))
    with subscribed(own, taker, store) as subscriber:
        taker.subscriber = subscriber
        for number in range(3):
            camera.publish("cameras/frozen/frame", PNG)
            wait_until("it comes again", lambda number=number: taker.again == number + 1)
        wait_until("all are acknowledged", lambda: unacknowledged(store) == 0)
    assert count(store, "frozen") == 3


def test_what_a_broker_delivers_again_after_its_restart_does_not_count_twice(
    own: Settings, frames: MqttFrames, store: Store, mosquitto: Broker, camera: Camera
) -> None:
    taker = Cut(frames, lambda _: mosquitto.restart())
    with subscribed(own, taker, store) as subscriber:
        taker.subscriber = subscriber
        camera.publish("cameras/cam7/frame", PNG)
        wait_until("it comes again", lambda: taker.again == 1)
        wait_until("it is acknowledged", lambda: unacknowledged(store) == 0)
    assert count(store, "cam7") == 1


REFUSED: list[tuple[str, bytes, dict[str, Any], str]] = [
    ("cameras/cam7/frame", b"", {}, "empty"),
    ("cameras/cam7/frame", b"no image", {}, "no JPEG, PNG"),
    ("cameras/cam7/frame", b"#EXTM3U\nhttp://127.0.0.1:1/x\n", {"content_type": "video/mp4"}, "its payload"),
    ("cameras/cam7/frame", PNG[:20], {}, "its payload"),
    ("cameras/cam7/frame", b"\xff\xd8\xff" + bytes(500), {}, "its payload"),
    ("cameras/cam7/frame", PNG + bytes(300_000), {}, "SENTINEL_MQTT_IN_MAX_BYTES"),
    ("cameras/../frame", PNG, {}, "'..' part"),
    ("cameras//frame", PNG, {}, "a stream name has"),
    ("cameras/a{b}/frame", PNG, {}, "braces"),
    (f"cameras/{'x' * 300}/frame", PNG, {}, "200 characters"),
    ("cameras/a\u202eb/frame", PNG, {}, "control character"),
    ("cameras/cam7/frame", b"{", {}, "no JSON"),
    ("cameras/cam7/frame", b"{" + b'"a":[' * 50_000, {}, "no JSON"),
    ("cameras/cam7/frame", b"[]", {"content_type": "application/cloudevents+json"}, "no JSON object"),
    ("cameras/cam7/frame", structured(data_base64="!"), {}, "not base 64"),
    ("cameras/cam7/frame", structured(source="/cameras/other"), {}, "names stream 'other'"),
    ("cameras/cam7/frame", structured(dataref="file:///etc/passwd"), {}, "dataref is not followed"),
    ("cameras/cam7/frame", structured(specversion="0.3"), {}, "specversion"),
    ("cameras/cam7/frame", PNG, {"attributes": {"specversion": "1.0", "id": "1"}}, "source"),
]


def test_what_is_no_frame_is_refused_by_name_and_stops_nothing(
    own: Settings, frames: MqttFrames, store: Store, camera: Camera, caplog: pytest.LogCaptureFixture
) -> None:
    with subscribed(own, frames, store) as subscriber:
        for number, (topic, payload, more, reason) in enumerate(REFUSED):
            caplog.clear()
            subscriber._said.clear()  # what is said again and again is said now and then
            camera.publish(topic, payload, **more)
            camera.publish("cameras/good/frame", PNG)
            wait_until("the next one is accepted", lambda number=number: count(store, "good") == number + 1)
            said = [row.getMessage() for row in caplog.records if "is refused" in row.getMessage()]
            assert (len(said), [reason in line for line in said]) == (1, [True]), (topic, payload[:40], said)
            assert f"number {number + 1} since the start" in said[0]
            assert said[0].isprintable()
            assert str(own.state_dir) not in said[0]
    assert store.streams.names() == ["good"]
    assert len([path for path in own.posted_dir.rglob("*") if path.is_file()]) == len(REFUSED)


@pytest.mark.parametrize(
    "uri", ["file:///etc/passwd", "http://169.254.169.254/latest", "s3://bucket/key", "ftp://127.0.0.1/x.png"]
)
def test_a_dataref_leads_nowhere_but_into_allowed_folders(
    own: Settings, frames: MqttFrames, store: Store, camera: Camera, uri: str
) -> None:
    with subscribed(own, frames, store):
        camera.publish("cameras/cam7/frame", json.dumps({**EVENT, "dataref": uri}).encode())
        wait_until("it is a dead letter", lambda: store.event_log.dead_letter_count() == 1)
    assert store.streams.names() == []


def test_a_payload_that_would_fill_the_memory_does_not_come(
    own: Settings, frames: MqttFrames, store: Store, camera: Camera
) -> None:
    small = own.model_copy(update={"max_data_bytes": 1000})
    taker = MqttFrames(small, frames._ingestor, frames._spool)
    with subscribed(small, taker, store):
        camera.publish("cameras/cam7/frame", PNG + bytes(20_000_000))
        camera.publish("cameras/cam7/frame", PNG)
        wait_until("the next one is accepted", lambda: count(store, "cam7") == 1)


def test_what_is_retained_is_no_frame_however_often_it_is_subscribed_to(
    own: Settings, frames: MqttFrames, store: Store, camera: Camera
) -> None:
    camera.publish("cameras/before/frame", PNG, retain=True)
    for number in (1, 2):
        with subscribed(own, frames, store):
            camera.publish("cameras/cam7/frame", JPEG, retain=True)
            wait_until("it is accepted", lambda number=number: count(store, "cam7") == number)
    assert store.streams.names() == ["cam7"]


def test_a_broker_that_sends_what_is_retained_all_the_same_is_not_believed(
    own: Settings, frames: MqttFrames, store: Store, camera: Camera
) -> None:
    camera.publish("cameras/before/frame", PNG, retain=True)
    with subscribed(own, frames, store) as subscriber:
        subscriber._client.subscribe("cameras/+/frame", qos=1)  # the way of MQTT 3.1.1
        camera.publish("cameras/cam7/frame", PNG)
        wait_until("the next one is accepted", lambda: count(store, "cam7") == 1)
    assert store.streams.names() == ["cam7"]


def test_what_comes_while_nobody_is_there_is_delivered_later_even_by_a_broker_that_was_restarted(
    own: Settings, frames: MqttFrames, store: Store, mosquitto: Broker, camera: Camera
) -> None:
    with subscribed(own, frames, store):
        pass
    for number in range(30):
        camera.publish("cameras/cam7/frame", PNG + bytes(number))
    mosquitto.restart()
    with subscribed(own, frames, store):
        wait_until("all are accepted", lambda: count(store, "cam7") == 30)
        mosquitto.restart()
        wait_until("the camera is back", camera._client.is_connected)
        camera.publish("cameras/cam7/frame", PNG)
        wait_until("it has connected anew", lambda: count(store, "cam7") == 31)


def test_a_broker_that_forgets_sessions_is_said(
    own: Settings, frames: MqttFrames, store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    forgetful = Broker(tmp_path / "forgetful")
    forgetful.start()
    settings = own.model_copy(update={"mqtt_in_url": forgetful.url})
    try:
        with subscribed(settings, frames, store):
            assert "does not know this subscriber" not in caplog.text, "the first time there was nothing to know"
            forgetful.stop()
            forgetful.start()
            wait_until("it is said", lambda: "does not know this subscriber" in caplog.text)
    finally:
        forgetful.stop()


def test_topics_that_are_no_longer_set_are_left(
    own: Settings, frames: MqttFrames, store: Store, camera: Camera
) -> None:
    other = own.model_copy(update={"mqtt_in_topics": ("gates/{stream}",)})
    taker = MqttFrames(other, frames._ingestor, frames._spool)
    with subscribed(own, frames, store):
        pass
    with subscribed(other, taker, store):
        camera.publish("gates/one", PNG)
        wait_until("the new topic is read", lambda: count(store, "one") == 1)
        camera.publish("cameras/cam7/frame", PNG)
        camera.publish("gates/two", PNG)
        wait_until("the next one is accepted", lambda: count(store, "two") == 1)
    assert set(store.streams.names()) == {"one", "two"}


def test_while_redis_is_full_or_away_nothing_is_acknowledged_and_then_all_counts_once(
    own_redis: RedisServer, own: Settings, camera: Camera, caplog: pytest.LogCaptureFixture
) -> None:
    settings = own.model_copy(update={"redis_url": own_redis.url})
    store = Store(own_redis.url, settings)
    ingestor = Ingestor(settings, store)
    try:
        with subscribed(settings, MqttFrames(settings, ingestor, open_spool(settings)), store) as subscriber:
            for number in range(54):
                store.client.set(f"much{number}", bytes(1_000_000))
            for _ in range(12):
                camera.publish("cameras/cam7/frame", PNG)
            wait_until("it is said", lambda: "messages wait at the broker: Redis holds" in caplog.text)
            wait_until("the window is full", lambda: len(subscriber._waiting) == 8)
            camera.publish("cameras/cam7/frame", PNG)
            assert len(subscriber._waiting) == 8, "the broker holds the rest back"
            assert count(store, "cam7") == 0
            own_redis.stop()
            subscriber._said.clear()
            caplog.clear()
            wait_until("it is said", lambda: "messages wait at the broker" in caplog.text)
            own_redis.start()
            assert count(store, "cam7") == 0
            store.client.delete(*store.client.keys("much*"))
            wait_until("all are accepted", lambda: count(store, "cam7") == 13)
            wait_until("all are acknowledged", lambda: not subscriber._waiting)
    finally:
        ingestor.close()
        store.client.close()
    assert not any(row.levelno >= logging.ERROR for row in caplog.records)


def test_while_the_spool_is_full_messages_wait_and_those_that_nothing_holds_back_are_dropped(
    own: Settings, ingestor: Ingestor, store: Store, camera: Camera, caplog: pytest.LogCaptureFixture
) -> None:
    spool = Spool(own.posted_dir, most_bytes=len(PNG) + 10, data_retention=900.0)
    with subscribed(own, MqttFrames(own, ingestor, spool), store) as subscriber:
        camera.publish("cameras/cam7/frame", PNG)
        wait_until("one fits", lambda: count(store, "cam7") == 1)
        camera.publish("cameras/cam7/frame", PNG)
        wait_until("the next waits", lambda: "messages wait at the broker: the spool is full" in caplog.text)
        for _ in range(9):
            camera.publish("cameras/unassured/frame", PNG, qos=0)
        wait_until("one is dropped", lambda: "QoS 0 on 'cameras/unassured/frame' is dropped, number 1" in caplog.text)
        assert count(store, "cam7") == 1
        spool._most = 100 * len(PNG)
        wait_until("all are taken", lambda: (count(store, "cam7"), count(store, "unassured")) == (2, 8))
        assert not subscriber._waiting


def test_a_frame_of_a_stream_that_cannot_be_judged_is_a_dead_letter_that_can_be_retried(
    own: Settings, ingestor: Ingestor, store: Store, camera: Camera, bridge: CameraEvents
) -> None:
    gone = own.model_copy(update={"baseline": "gone"})
    broken = Ingestor(gone, store)
    try:
        with subscribed(gone, MqttFrames(gone, broken, open_spool(gone)), store):
            camera.publish("cameras/cam7/frame", PNG)
            camera.publish("cameras/cam7/frame", structured(id="its own", time="2026-11-24T06:15:00.25Z"))
            wait_until("both are dead letters", lambda: store.event_log.dead_letter_count() == 2)
            wait_until("both are acknowledged", lambda: unacknowledged(store) == 0)
    finally:
        broken.close()
    assert not [path for path in own.posted_dir.rglob("*") if path.is_file()]
    for _ in retry_letters(store, own, list(store.event_log.dead_letters())):
        pass
    while bridge.step():
        pass
    times = {batch.source.taken_at for batch in registered(store, "cam7").values()}
    assert len(times) == 2 and parse_time("2026-11-24T06:15:00.25Z") in times


def test_a_frame_that_comes_again_after_its_dead_letter_has_no_second_one(own: Settings, store: Store) -> None:
    gone = own.model_copy(update={"baseline": "gone"})
    with closing(Ingestor(gone, store)) as broken:
        frames = MqttFrames(gone, broken, open_spool(gone))
        for again, at in ((False, 1.0), (True, 2.0), (False, 3.0)):  # a kill before the acknowledgement, another frame
            frame = Delivery("cameras/cam7/frame", PNG, len(PNG), 1, again, "", {}, at, 0)
            with pytest.raises(SentinelError) as caught:
                frames.take(frame, NAME)
            frames.bury(frame, caught.value)
    assert store.event_log.dead_letter_count() == 2


def test_of_such_frames_dead_letters_hold_so_many_that_redis_has_room_for_work(
    own: Settings, store: Store, camera: Camera, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(mqtt_frames, "_MOST_BURIED_BYTES", 2 * len(PNG))
    gone = own.model_copy(update={"baseline": "gone"})
    broken = Ingestor(gone, store)
    try:
        with subscribed(gone, MqttFrames(gone, broken, open_spool(gone)), store) as subscriber:
            for _ in range(3):
                camera.publish("cameras/cam7/frame", PNG)
            wait_until("the third is refused", lambda: "refused, number 1 since the start: stream cam7" in caplog.text)
            wait_until("all are acknowledged", lambda: not subscriber._waiting)
    finally:
        broken.close()
    assert store.event_log.dead_letter_count() == 2


def test_what_redis_has_no_room_for_does_not_use_up_the_room_for_dead_letters(
    own: Settings, ingestor: Ingestor, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt_frames, "_MOST_BURIED_BYTES", len(PNG))
    frames = MqttFrames(own, ingestor, open_spool(own))
    frame = Delivery("cameras/cam7/frame", PNG, len(PNG), 1, False, "", {}, 1.0, 0)

    def full(*_: object, **__: object) -> None:
        raise BrokerUnavailable("Redis is full")

    with monkeypatch.context() as patched:
        patched.setattr(ingestor, "bury", full)
        with pytest.raises(BrokerUnavailable):
            frames.bury(frame, BadBaseline("it is gone"))
    frames.bury(frame, BadBaseline("it is gone"))
    assert store.event_log.dead_letter_count() == 1


@pytest.mark.parametrize(("failures", "letters"), [(2, 0), (3, 1)])
def test_object_storage_that_is_away_is_asked_three_times_before_a_dead_letter(
    own: Settings,
    frames: MqttFrames,
    ingestor: Ingestor,
    store: Store,
    camera: Camera,
    still: Path,
    monkeypatch: pytest.MonkeyPatch,
    failures: int,
    letters: int,
) -> None:
    monkeypatch.setattr(mqtt_subscriber, "_PAUSE_SECONDS", 0.01)
    accept_file, left = ingestor.accept_file, [failures]

    def away(*arguments: Any, **options: Any) -> Any:
        left[0] -= 1
        if left[0] >= 0:
            raise StorageUnavailable("the object storage does not answer")
        return accept_file(*arguments, **options)

    monkeypatch.setattr(ingestor, "accept_file", away)
    with subscribed(own, frames, store):
        camera.publish("cameras/cam7/frame", json.dumps({**EVENT, "dataref": str(still)}).encode())
        wait_until("it is taken", lambda: count(store, "cam7") + store.event_log.dead_letter_count() == 1)
    assert store.event_log.dead_letter_count() == letters


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_error_of_what_reads_ends_the_process_and_is_no_silence(
    own: Settings, frames: MqttFrames, store: Store, camera: Camera
) -> None:
    def unforeseen(*_: object) -> None:
        raise ValueError("unforeseen")

    with subscribed(own, frames, store):
        pass
    camera.publish("cameras/cam7/frame", PNG)
    subscriber = Subscriber(broker_of_frames(own), NAME, frames, store)
    subscriber._client.on_message = unforeseen
    with pytest.raises(RuntimeError, match=r"nothing reads from the broker at mqtt://127\.0\.0\.1"):
        subscriber.run(threading.Event())
    with subscribed(own, frames, store):
        wait_until("what came then is not lost", lambda: count(store, "cam7") == 1)


def test_a_broker_that_is_away_is_said_with_the_reason(
    own: Settings, frames: MqttFrames, store: Store, mosquitto: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    mosquitto.end()
    subscriber = Subscriber(broker_of_frames(own), NAME, frames, store)
    stop = threading.Event()
    thread = threading.Thread(target=subscriber.run, args=(stop,))
    thread.start()
    address = f"mqtt://127.0.0.1:{mosquitto.port}"
    wait_until("it is said", lambda: f"{address} cannot be reached: [Errno 111] Connection refused" in caplog.text)
    stop.set()
    thread.join(30)
    assert not thread.is_alive()


def test_a_password_that_is_wrong_is_said_and_not_shown(
    own: Settings, frames: MqttFrames, store: Store, mosquitto: Broker, camera: Camera, tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    (tmp_path / "password").write_text("sesame\n")
    from_file = own.model_copy(
        update={
            "mqtt_in_url": f"mqtt://cam%40home@127.0.0.1:{mosquitto.port}",
            "mqtt_password_file": tmp_path / "password",
        }
    )
    subscriber = Subscriber(broker_of_frames(from_file), NAME, frames, store)
    stop = threading.Event()
    thread = threading.Thread(target=subscriber.run, args=(stop,))
    thread.start()
    wait_until("it is said", lambda: "refuses: Not authorized; correct SENTINEL_MQTT_IN_URL" in caplog.text)
    stop.set()
    thread.join()
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    with subscribed(from_file, frames, store):
        camera.publish("cameras/cam7/frame", PNG)
        wait_until("it is accepted", lambda: count(store, "cam7") == 1)
    assert "sesame" not in caplog.text
    assert PASSWORD not in caplog.text
    assert PASSWORD not in repr(broker_of_frames(from_file))


def certificates(folder: Path) -> dict[str, Path]:
    """Make an authority, and a key and certificate of 127.0.0.1 that it vouches for."""
    names = {name: folder / name for name in ("ca.pem", "ca.key", "key.pem", "request", "cert.pem", "san")}
    names["san"].write_text("subjectAltName=IP:127.0.0.1\n")
    ca, ca_key, key, request, cert, san = map(str, names.values())
    new = ["openssl", "req", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-batch"]
    for command in (
        [*new, "-x509", "-days", "2", "-subj", "/CN=authority", "-keyout", ca_key, "-out", ca],
        [*new, "-subj", "/CN=broker", "-keyout", key, "-out", request],
        ["openssl", "x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-days", "2",
         "-extfile", san, "-out", cert],
    ):  # fmt: skip
        subprocess.run(command, check=True, capture_output=True)
    return names


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl: it is in Debian's package of that name")
def test_a_broker_that_speaks_tls_is_believed_if_its_authority_is_named(
    own: Settings, frames: MqttFrames, store: Store, tmp_path: Path
) -> None:
    files = certificates(tmp_path)
    options = [f"certfile {files['cert.pem']}", f"keyfile {files['key.pem']}"]
    secure = Broker(tmp_path / "secure", listener=options)
    secure.start()
    unknown = own.model_copy(update={"mqtt_in_url": secure.url.replace("mqtt://", "mqtts://")})
    known = unknown.model_copy(update={"mqtt_ca_file": files["ca.pem"]})
    try:
        wait_until("it is there", lambda: not broker_of_frames(known).why_closed())
        assert "CERTIFICATE_VERIFY_FAILED" in broker_of_frames(unknown).why_closed()
        with subscribed(known, frames, store) as subscriber:
            subscriber._client.publish("cameras/cam7/frame", PNG, qos=1)
            wait_until("it is accepted", lambda: count(store, "cam7") == 1)
    finally:
        secure.stop()
    broken = known.model_copy(update={"mqtt_ca_file": tmp_path / "none.pem"})
    with pytest.raises(SettingsError, match="SENTINEL_MQTT_CA_FILE"):
        broker_of_frames(broken).client()


def test_the_access_list_of_the_manual_lets_cameras_write_their_own_topics(
    own: Settings, frames: MqttFrames, store: Store, tmp_path: Path
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "mqtt.md").read_text(encoding="utf-8")
    rules = next(block for block in page.split("```") if "pattern write" in block).strip()
    (tmp_path / "acl").write_text(rules.replace("user sentinel", f"user {USER}") + "\n")
    (tmp_path / "acl").chmod(0o600)
    strict = Broker(tmp_path / "strict", options=[f"acl_file {tmp_path / 'acl'}"])
    strict.start()
    settings = own.model_copy(update={"mqtt_in_url": strict.url})
    camera = Camera(strict)
    try:
        with subscribed(settings, frames, store):
            camera.publish("cameras/other/frame", PNG)
            camera.publish(f"cameras/{USER}/frame", PNG)
            wait_until("its own is accepted", lambda: count(store, USER) == 1)
        assert store.streams.names() == [USER]
    finally:
        camera.stop()
        strict.stop()


@contextmanager
def process(settings: Settings, mosquitto: Broker, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run `sentinel mqtt-in` until the context ends, which kills it."""
    (log.parent / "none.toml").touch()
    variables = {
        "SENTINEL_REDIS_URL": str(settings.redis_url),
        "SENTINEL_STATE_DIR": str(settings.state_dir),
        "SENTINEL_WATCH_DIR": str(settings.watch_dir),
        "SENTINEL_BASELINES_DIR": str(settings.baselines_dir),
        "SENTINEL_BASELINE": "test",
        "SENTINEL_CONFIG": str(log.parent / "none.toml"),
        "SENTINEL_MQTT_IN_URL": mosquitto.url,
        "SENTINEL_MQTT_IN_TOPICS": "cameras/{stream}/frame",
        "SENTINEL_FRIGATE_URL": "http://127.0.0.1:9",
    }
    with log.open("ab") as output:
        command = [sys.executable, "-m", "sentinel", "mqtt-in"]
        started = subprocess.Popen(command, env={**os.environ, **variables}, stdout=output, stderr=output)
    try:
        yield started
    finally:
        started.kill()
        started.wait()


def test_of_a_process_that_is_killed_nothing_is_lost_and_nothing_doubled(
    redis_server: RedisServer, store: Store, mosquitto: Broker, camera: Camera, tmp_path: Path
) -> None:
    settings = settings_in(tmp_path, redis_server)
    log = tmp_path / "log"
    with process(settings, mosquitto, log):
        wait_until("it is subscribed", lambda: store.mqtt_deliveries.filters(NAME))
        for _ in range(60):
            camera.publish("cameras/frozen/frame", PNG)  # all equal: only the broker's marks tell them apart
        wait_until("some are accepted", lambda: count(store, "frozen") >= 5)
    with process(settings, mosquitto, log):
        before = count(store, "frozen")
        wait_until("it goes on", lambda: count(store, "frozen") >= min(before + 5, 60))
    with process(settings, mosquitto, log) as last:
        wait_until("all are accepted", lambda: count(store, "frozen") == 60)
        camera.publish("cameras/last/frame", PNG)
        wait_until("all before are taken", lambda: count(store, "last") == 1)
        assert store.mqtt_deliveries.filters("sentinel-frigate") == {"frigate/events"}, "beside the other session"
        last.send_signal(signal.SIGTERM)
        assert last.wait(30) == 0
    assert count(store, "frozen") == 60
    kept = [Path(batch.source.uri) for batch in registered(store, "frozen").values()]
    assert all(path.read_bytes() == PNG for path in kept)
    assert len(set(kept)) == 60
    said = log.read_text()
    assert not any(word in said for word in (PASSWORD, "p%3Ass", "Traceback")), said
