"""Frigate's events, from a real mosquitto, with what a real HTTP server gives for them where Frigate would."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import pytest

from common.contracts.batches import SourceKind
from common.errors import SentinelError
from common.features import TimeSource
from common.ingest.accept import Ingestor
from common.mqtt_connection import broker_of_frames
from common.settings import Settings
from common.store import Store
from producers import frigate
from producers.frigate import FrigateEvent, FrigateEvents
from producers.mqtt_delivery import NotAFrame
from producers.spool import Spool, SpoolFull
from producers.spooled import open_spool
from sentinel.doctor_mqtt import examine_brokers, examine_frigate
from tests.footage import scene, write_clip
from tests.mosquitto import NEEDS_MOSQUITTO, Broker
from tests.producers.subscribing import Camera, count, registered, subscribed
from tests.served import wait_until

JPEG = cv2.imencode(".jpg", scene(1)[0])[1].tobytes()
NAME = "sentinel-frigate"
ID = "1607123955.475377-mxklsc"

pytestmark = NEEDS_MOSQUITTO


class Nvr:
    """Answers as Frigate's HTTP API does; `answers` says how, `asked` how often each path was asked for."""

    def __init__(self) -> None:
        self.answers: dict[str, Callable[[BaseHTTPRequestHandler], None]] = {}
        self.asked: Counter[str] = Counter()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked[self.path] += 1
                outer.answers.get(self.path, status(404))(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def file(content: bytes, media_type: str = "image/jpeg") -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", media_type)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    return answer


def status(number: int, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(number)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def endless(handler: BaseHTTPRequestHandler) -> None:
    """Send zeros, without saying how many, until nobody listens."""
    handler.send_response(200)
    handler.end_headers()
    with pytest.raises(OSError):
        while True:
            handler.wfile.write(bytes(65_536))


def broken_off(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(JPEG)))
    handler.end_headers()
    handler.wfile.write(JPEG[:100])


def dripping(handler: BaseHTTPRequestHandler) -> None:
    """Send a head that has no end, a byte at a time."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    with pytest.raises(OSError):
        while True:
            handler.wfile.write(b"x")
            time.sleep(0.05)


def dripping_chunks(handler: BaseHTTPRequestHandler) -> None:
    """Send a body in chunks, of which the first has a length that has no end."""
    handler.protocol_version = "HTTP/1.1"
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.send_header("Connection", "close")
    handler.end_headers()
    with pytest.raises(OSError):
        while True:
            handler.wfile.write(b"0")
            time.sleep(0.05)


@pytest.fixture
def nvr() -> Iterator[Nvr]:
    found = Nvr()
    yield found
    found.stop()


@pytest.fixture
def own(with_baseline: Settings, mosquitto: Broker, nvr: Nvr) -> Settings:
    return with_baseline.model_copy(
        update={"mqtt_in_url": mosquitto.url, "frigate_url": nvr.url, "frigate_max_bytes": 500_000}
    )


@pytest.fixture
def events(own: Settings, ingestor: Ingestor) -> FrigateEvents:
    return FrigateEvents(own, ingestor, open_spool(own))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is waited for in hours of operation is waited for briefly."""
    monkeypatch.setattr(frigate, "_AWAY_SECONDS", 0.1)
    monkeypatch.setattr(frigate, "_FORBIDDEN_SECONDS", 0.1)
    monkeypatch.setattr(frigate, "_RETRY_SECONDS", 0.01)
    monkeypatch.setattr(frigate, "_FETCH_SECONDS", 0.5)


def event(event_id: Any = ID, camera: Any = "front_door", kind: str = "end", **changes: Any) -> bytes:
    """Return an event as Frigate's documentation has it."""
    after = {
        "id": event_id,
        "camera": camera,
        "frame_time": 1607123962.082975,
        "snapshot": {"frame_time": 1607123961.837752, "box": [424, 500, 536, 712], "score": 0.77},
        "label": "person",
        "start_time": 1607123955.475377,
        "end_time": 1607123963.0,
        "has_snapshot": True,
        "has_clip": True,
        **changes,
    }
    return json.dumps({"type": kind, "before": after, "after": after}).encode()


def path_of(event_id: str, name: str = "snapshot.jpg") -> str:
    return f"/api/events/{event_id}/{name}"


def numbered(number: int) -> str:
    return f"1607123955.475377-mxkl{number:02}"


def test_of_each_event_that_has_ended_the_snapshot_is_fetched_once(
    own: Settings, events: FrigateEvents, store: Store, camera: Camera, nvr: Nvr
) -> None:
    nvr.answers[path_of(ID)] = file(JPEG)
    with subscribed(own, events, store, NAME):
        for kind in ("new", "update", "end", "end"):
            camera.publish("frigate/events", event(kind=kind))
        camera.publish("frigate/events", event(numbered(1), has_snapshot=False))
        nvr.answers[path_of(numbered(2))] = file(JPEG)
        camera.publish("frigate/events", event(numbered(2), "yard", snapshot_time=1607123961.0, snapshot=None))
        wait_until("both are accepted", lambda: (count(store, "front_door"), count(store, "yard")) == (1, 1))
    assert nvr.asked == {path_of(ID): 1, path_of(numbered(2)): 1}
    (batch,) = registered(store, "front_door").values()
    assert Path(batch.source.uri).read_bytes() == JPEG
    assert (batch.source.taken_at, batch.source.time_source) == (1607123961.837752, TimeSource.EVENT)
    (other,) = registered(store, "yard").values()
    assert other.source.taken_at == 1607123961.0, "as versions before 0.13 say it"
    assert not [path for path in own.posted_dir.iterdir() if path.is_file()], "nothing unfinished is left"


def test_the_clip_is_fetched_once_it_is_there(
    own: Settings, ingestor: Ingestor, store: Store, camera: Camera, nvr: Nvr, tmp_path: Path, impatient: None
) -> None:
    write_clip(tmp_path / "clip.mp4", scene(24))
    clip, path = (tmp_path / "clip.mp4").read_bytes(), path_of(ID, "clip.mp4")
    settings = own.model_copy(update={"frigate_fetch": "clip"})

    def later(handler: BaseHTTPRequestHandler) -> None:
        (status(404) if nvr.asked[path] < 3 else broken_off if nvr.asked[path] < 4 else file(clip, "video/mp4"))(
            handler
        )

    nvr.answers[path] = later
    with subscribed(settings, FrigateEvents(settings, ingestor, open_spool(settings)), store, NAME):
        camera.publish("frigate/events", event())
        wait_until("it is accepted", lambda: count(store, "front_door") == 1)
    (batch,) = registered(store, "front_door").values()
    assert (batch.source.kind, Path(batch.source.uri).read_bytes()) == (SourceKind.RECORDING, clip)
    assert batch.source.taken_at == 1607123955.475377


def test_what_cannot_be_fetched_is_refused_by_name_and_stops_nothing(
    own: Settings, events: FrigateEvents, store: Store, camera: Camera, nvr: Nvr, impatient: None,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    elsewhere = Nvr()
    elsewhere.answers["/secret"] = file(JPEG)
    cases = [
        (status(302, Location=f"{elsewhere.url}/secret"), "redirects to another address"),
        (status(301, Location="file:///etc/passwd"), "redirects to another address"),
        (file(bytes(500_001)), "has 500001 bytes, more than SENTINEL_FRIGATE_MAX_BYTES"),
        (endless, "more than SENTINEL_FRIGATE_MAX_BYTES"),
        (file(b"<html>"), "snapshot.jpg of event"),
        (file(b""), "cannot be fetched: 0 of 0 bytes came"),
        (broken_off, f"cannot be fetched: 100 of {len(JPEG)} bytes came"),
        (status(404), "cannot be fetched: it answers with status 404"),
        (status(500), "cannot be fetched: it answers with status 500"),
        (dripping, "cannot be fetched"),
        (dripping_chunks, "cannot be fetched"),
    ]
    try:
        with subscribed(own, events, store, NAME) as subscriber:
            for number, (answer, reason) in enumerate(cases):
                caplog.clear()
                subscriber._said.clear()
                nvr.answers[path_of(numbered(number))] = answer
                camera.publish("frigate/events", event(numbered(number)))
                wait_until(reason, lambda reason=reason: f"{reason}" in caplog.text and "is refused" in caplog.text)
            nvr.answers[path_of(ID)] = file(JPEG)
            camera.publish("frigate/events", event())
            wait_until("the next one is accepted", lambda: count(store, "front_door") == 1)
    finally:
        elsewhere.stop()
    assert not elsewhere.asked
    assert str(own.state_dir) not in caplog.text
    assert [path.read_bytes() for path in own.posted_dir.rglob("*") if path.is_file()] == [JPEG]


def test_what_the_spool_has_no_room_for_is_not_downloaded(nvr: Nvr, tmp_path: Path) -> None:
    done = threading.Event()

    def announced(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "2000")
        handler.end_headers()
        handler.wfile.flush()
        done.wait(30)

    nvr.answers["/clip.mp4"] = announced
    spool = Spool(tmp_path / "spool", most_bytes=1000, data_retention=0)
    try:
        with spool.receiving() as room, pytest.raises(SpoolFull):
            frigate.fetch(f"{nvr.url}/clip.mp4", tmp_path / "part", room, 5000)
    finally:
        done.set()


def test_while_frigate_is_away_or_asks_for_a_login_its_events_wait(
    own: Settings, ingestor: Ingestor, store: Store, camera: Camera, nvr: Nvr, impatient: None,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        away = own.model_copy(update={"frigate_url": f"http://127.0.0.1:{nobody.getsockname()[1]}"})
        with subscribed(away, FrigateEvents(away, ingestor, open_spool(away)), store, NAME) as subscriber:
            camera.publish("frigate/events", event())
            wait_until("it is said", lambda: "Frigate does not answer at SENTINEL_FRIGATE_URL" in caplog.text)
            (waiting,) = subscriber._waiting
            assert waiting.tries == 0, "that counts as no failure of its own"
    nvr.answers[path_of(ID)] = status(401)
    with subscribed(own, FrigateEvents(own, ingestor, open_spool(own)), store, NAME):
        wait_until("it is said", lambda: "Frigate asks for a login (status 401)" in caplog.text)
        wait_until("it is asked again", lambda: nvr.asked[path_of(ID)] > 7)
        nvr.answers[path_of(ID)] = status(503)
        wait_until("it is said", lambda: "a proxy answers in Frigate's place (status 503)" in caplog.text)
        wait_until("it is asked again", lambda: nvr.asked[path_of(ID)] > 14)
        nvr.answers[path_of(ID)] = file(JPEG)
        wait_until("it is accepted", lambda: count(store, "front_door") == 1)


def test_an_event_that_waits_holds_no_other_up(
    own: Settings, events: FrigateEvents, store: Store, camera: Camera, nvr: Nvr
) -> None:
    nvr.answers[path_of(ID)] = file(JPEG)
    with subscribed(own, events, store, NAME):
        camera.publish("frigate/events", event(numbered(1)))
        wait_until("it was not there", lambda: nvr.asked[path_of(numbered(1))] == 1)
        camera.publish("frigate/events", event())
        wait_until("the next one is accepted", lambda: count(store, "front_door") == 1)
        assert nvr.asked[path_of(numbered(1))] == 1


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "no JSON"),
        (b"\xff\xd8\xff", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[]", "no `after`"),
        (b'{"type": "end", "after": []}', "no `after`"),
        (event(None), "no id"),
        (event("../../config"), "no id"),
        (event(f"{ID}/../../config?"), "no id"),
        (event(f"{ID}\r\nHost: elsewhere"), "no id"),
        (event(f"{ID}\n"), "no id"),
        (event("\u0661607123955.475377-mxklsc"), "no id"),
        (event(f"@127.0.0.1/{ID}"), "no id"),
        (event(camera=None), "names no stream"),
        (event(camera="../yard"), "names no stream"),
        (event(camera="a{b}"), "names no stream"),
    ],
)
def test_a_message_that_is_no_event_names_what_is_wrong(payload: bytes, reason: str) -> None:
    with pytest.raises(NotAFrame, match=reason):
        FrigateEvent.parse(payload)


@pytest.mark.parametrize("value", [None, "1607123961", True, float("nan"), float("inf"), 10**400, [1]])
def test_a_time_that_is_none_is_unknown(value: Any) -> None:
    found = FrigateEvent.parse(event(start_time=value))
    assert found is not None
    assert found.times["clip"] is None


def test_the_doctor_looks_whether_broker_and_frigate_answer(own: Settings, mosquitto: Broker, nvr: Nvr) -> None:
    asked = own.model_copy(update={"mqtt_in_topics": ("frigate/{stream}/+/snapshot",)})
    wait_until("the broker is there", lambda: not broker_of_frames(asked).why_closed())
    assert examine_brokers(asked) == f"mqtt://127.0.0.1:{mosquitto.port}, frames from frigate/{{stream}}/+/snapshot"
    with pytest.raises(SentinelError, match="status 404 for /api/version"):
        examine_frigate(asked)
    nvr.answers["/api/version"] = file(b"0.16.2-4d58206", "text/plain")
    assert examine_frigate(asked) == f"{nvr.url}, the snapshot of each event"
    wrong = asked.model_copy(update={"mqtt_in_url": f"mqtt://cam:s3cret@127.0.0.1:{mosquitto.port}"})
    with pytest.raises(SentinelError, match="Not authorized") as refused:
        examine_brokers(wrong)
    assert "s3cret" not in str(refused.value)
