"""Cameras that post, on a real server and a real Redis: what is accepted, what is refused, and that all counts once."""

from __future__ import annotations

import base64
import http.client
import itertools
import json
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import cv2
import psutil
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from common import broker
from common.camera_tokens import CameraTokens, add_token
from common.contracts.batches import FrameBatch, SourceKind
from common.features import TimeSource
from common.serving import serve
from common.settings import Settings
from common.store import Store, keys
from common.store.ingest import offer
from producers import bodies
from producers.camera_events import CameraEvents
from producers.http_app import Frames
from producers.spooled import open_spool
from sentinel.stack.redis_server import RedisServer, free_port
from tests.footage import scene, write_clip
from tests.hostile.clients import byte_by_byte, chunked_head, without_end
from tests.producers.events import EVENT
from tests.producers.posting import MOST_BYTES, Endpoint, running_endpoint
from tests.served import Answer, settings_in, wait_until

PNG = cv2.imencode(".png", scene(1)[0])[1].tobytes()
OTHER = cv2.imencode(".png", scene(2)[1])[1].tobytes()
BINARY = {f"ce_{name}": value for name, value in EVENT.items() if name != "datacontenttype"}


@pytest.fixture(scope="module")
def http_settings(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return settings_in(tmp_path_factory.mktemp("http"), redis_server)


@pytest.fixture
def with_baseline(http_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(broker, "app", broker.make_app(http_settings))
    return http_settings


@pytest.fixture(scope="module")
def running(http_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with running_endpoint(http_settings, tmp_path_factory.mktemp("log")) as endpoint:
        yield endpoint


@pytest.fixture
def endpoint(running: Endpoint, store: Store) -> Endpoint:
    """The server that all tests share, with an empty Redis and an empty spool."""
    shutil.rmtree(running.spool, ignore_errors=True)
    return running


def registered(store: Store, stream: str) -> dict[str, FrameBatch]:
    prefix = keys.stream_key(stream, "batch", "")
    found = {key.decode().removeprefix(prefix): key for key in store.client.keys("*:batch:*")}
    return {name: FrameBatch.from_json(store.client.hget(key, "message")) for name, key in found.items()}


def structured(data: bytes = PNG, **changes: Any) -> bytes:
    return json.dumps({**EVENT, "data_base64": base64.b64encode(data).decode(), **changes}).encode()


def test_an_image_becomes_a_batch_that_an_embedding_worker_is_sent(endpoint: Endpoint, store: Store) -> None:
    answer = endpoint.post("site/dock 3é", PNG, query="?time=2026-11-24T06:15:00Z")
    assert (answer.status, answer.json["stream"], answer.json["state"]) == (202, "site/dock 3é", "accepted")
    ((batch_id, batch),) = registered(store, "site/dock 3é").items()
    assert answer.json["batch"] == batch_id
    assert (batch.source.kind, batch.source.time_source) == (SourceKind.IMAGE, TimeSource.EVENT)
    assert batch.source.taken_at == 1795500900.0
    (file,) = endpoint.files()
    assert (str(file), file.read_bytes()) == (batch.source.uri, PNG)
    assert store.client.llen(broker.EMBED_QUEUE) == 1


def test_a_clip_becomes_a_batch_of_its_frames(endpoint: Endpoint, store: Store, tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4", scene(24))
    body = (tmp_path / "clip.mp4").read_bytes()
    assert endpoint.post("dock", body, Content_Type="video/mp4; codecs=avc1").status == 202
    (batch,) = registered(store, "dock").values()
    assert (batch.source.kind, batch.source.size) == (SourceKind.RECORDING, len(body))


def test_a_body_too_large_for_memory_is_stored_as_it_came(endpoint: Endpoint, store: Store) -> None:
    body = PNG + bytes(MOST_BYTES - len(PNG))
    assert endpoint.post("dock", body).status == 202
    (file,) = endpoint.files()
    assert file.read_bytes() == body


def test_what_is_posted_again_under_its_id_is_the_batch_that_it_was(endpoint: Endpoint, store: Store) -> None:
    first, again = (endpoint.post("dock", PNG, Idempotency_Key="7") for _ in range(2))
    assert (first.status, again.status) == (202, 202)
    assert (first.json["state"], again.json["state"]) == ("accepted", "duplicate")
    assert first.json["batch"] == again.json["batch"]
    assert endpoint.post("other", PNG, Idempotency_Key="7").json["state"] == "accepted", "ids are each camera's own"
    assert len(endpoint.files()) == 2, "of what counts no more nothing is kept"


def test_without_an_id_content_and_time_tell_posts_apart(endpoint: Endpoint, store: Store) -> None:
    query = "?time=2026-11-24T06:15:00Z"
    dated = [endpoint.post("dock", body, query=query) for body in (PNG, PNG, OTHER)]
    assert [answer.json["state"] for answer in dated] == ["accepted", "duplicate", "accepted"]
    undated = [endpoint.post("dock", PNG) for _ in range(2)]
    assert [answer.json["state"] for answer in undated] == ["accepted"] * 2, "a frozen camera sends equal frames"


def test_an_event_counts_once_whichever_way_it_comes(endpoint: Endpoint, store: Store, bridge: CameraEvents) -> None:
    posted = endpoint.post("cam7", PNG, **BINARY)
    again = endpoint.post("cam7", structured(), Content_Type="application/cloudevents+json; charset=UTF-8")
    offer(store.client, {**EVENT, "data": PNG})
    bridge.step()
    assert (posted.status, again.status, again.json["state"]) == (202, 202, "duplicate")
    assert list(registered(store, "cam7")) == [posted.json["batch"]] == [again.json["batch"]]


def test_a_structured_event_brings_its_image_and_its_time(endpoint: Endpoint, store: Store) -> None:
    event = structured(time="2026-11-24T06:15:00Z", id="ü")
    assert endpoint.post("cam7", event, Content_Type="application/cloudevents+json").status == 202
    assert endpoint.post("cam7", PNG, **{**BINARY, "ce_id": "%C3%BC"}).json["state"] == "duplicate"
    (batch,) = registered(store, "cam7").values()
    assert (batch.source.taken_at, batch.source.time_source) == (1795500900.0, TimeSource.EVENT)


@pytest.mark.parametrize(
    ("headers", "query", "body", "status", "reason"),
    [
        ({"Authorization": "Bearer wrong"}, "", PNG, 401, "token"),
        ({"Authorization": ""}, "", PNG, 401, "token"),
        ({"Authorization": "Basic é"}, "", PNG, 401, "token"),
        ({"Content_Type": "text/html"}, "", PNG, 415, "Content-Type"),
        ({"Content_Type": ""}, "", PNG, 415, "Content-Type"),
        ({"Content_Type": "application/cloudevents-batch+json"}, "", b"[]", 415, "Content-Type"),
        ({"Content_Encoding": "gzip"}, "", PNG, 415, "Content-Encoding"),
        ({}, "", b"#EXTM3U\n", 415, "the body"),
        ({"Content_Type": "video/mp4"}, "", b"#EXTM3U\nhttp://127.0.0.1:1/x\n", 415, "the body"),
        ({"Content_Type": "image/jpeg"}, "", PNG[:20], 415, "the body"),
        ({}, "", b"", 400, "empty"),
        ({}, "?time=yesterday", PNG, 400, "RFC 3339"),
        ({"Idempotency_Key": "x" * 513}, "", PNG, 400, "512"),
        ({}, "", bytes(MOST_BYTES + 1), 413, "SENTINEL_HTTP_MAX_BYTES"),
        (BINARY | {"ce_dataref": "http://169.254.169.254/latest"}, "", PNG, 400, "dataref is not followed"),
        (BINARY | {"ce_dataref": "file:///etc/passwd"}, "", PNG, 400, "dataref is not followed"),
        (BINARY | {"ce_specversion": "0.3"}, "", PNG, 400, "specversion"),
        (BINARY | {"ce_id": "%FF"}, "", PNG, 400, "UTF-8"),
        (BINARY | {"ce_source": "/cameras/other"}, "", PNG, 400, "names stream 'other'"),
        ({"ce_id": "1"}, "", PNG, 400, "specversion"),
    ],
)
def test_what_is_refused_is_told_why_and_leaves_nothing(
    endpoint: Endpoint, store: Store, headers: dict[str, str], query: str, body: bytes, status: int, reason: str
) -> None:
    answer = endpoint.post("cam7", body, query=query, **headers)
    assert (answer.status, reason in answer.json["error"]) == (status, True), answer.body
    assert "/" not in answer.json["error"].replace("image/jpeg", "").replace("video/mp4", ""), "no path of the server"
    assert store.streams.names() == []
    assert endpoint.files() == []


@pytest.mark.parametrize(
    "event",
    [
        b"{",
        b"[" * 100_000,
        b"[]",
        structured(data_base64="!"),
        structured(data_base64=None),
        structured(dataref="http://127.0.0.1/"),
        structured(datacontenttype=3),
        structured(source="/cameras/a\nb"),
        structured(b"not an image"),
    ],
)
def test_an_event_that_is_none_is_refused(endpoint: Endpoint, store: Store, event: bytes) -> None:
    answer = endpoint.post("cam7", event, Content_Type="application/cloudevents+json")
    assert answer.status in {400, 415}, answer.body
    assert store.streams.names() == []
    assert endpoint.files() == []


@pytest.mark.parametrize("name", ["other", "..", "a{b}", "%00", "%ff", "a%2F..%2Fb", "x" * 300])
def test_a_token_opens_its_own_stream_alone(endpoint: Endpoint, store: Store, name: str) -> None:
    headers = {"Authorization": f"Bearer {endpoint.token('cam7')}", "Content-Type": "image/png"}
    assert endpoint.request("POST", f"/streams/{name}/frames", PNG, headers).status == 401
    assert endpoint.request("PUT", "/streams/cam7/frames", PNG, headers).status == 405
    assert store.streams.names() == []


def test_a_token_that_is_taken_out_opens_nothing_and_a_damaged_file_lets_nobody_in(
    endpoint: Endpoint, store: Store
) -> None:
    assert endpoint.post("leaves", PNG).status == 202
    kept = endpoint.tokens.read_text()
    endpoint.tokens.write_text("\n".join(line for line in kept.splitlines() if "leaves" not in line))
    assert endpoint.post("leaves", PNG).status == 401
    endpoint.tokens.write_text(f"{kept}secret-token cam8\n")
    answer = endpoint.post("leaves", PNG)
    assert (answer.status, "retry-after" in answer.headers) == (503, True)
    assert "secret" not in answer.json["error"]
    assert endpoint.post("leaves", PNG).status == 503
    said = endpoint.log.read_text()
    assert (said.count("SENTINEL_HTTP_TOKENS"), "secret" in said) == (1, False)
    endpoint.tokens.write_text(kept)
    assert endpoint.post("leaves", PNG).status == 202


class Watch:
    """The memory of a process, and the space that its spool takes, as they are while a block runs."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._process, self._endpoint = psutil.Process(endpoint.pid), endpoint
        self.began = self._memory()
        self.memory = self.disk = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _memory(self) -> int:
        return int(self._process.memory_info().rss)

    def _look(self) -> None:
        while not self._stop.wait(0.02):
            self.memory = max(self.memory, self._memory())
            with suppress(OSError):  # a file that goes
                self.disk = max(self.disk, sum(file.stat().st_size for file in self._endpoint.files()))


@pytest.mark.parametrize("heeds", [True, False], ids=["who reads the answer", "who does not"])
def test_bodies_without_end_take_neither_memory_nor_disk_and_others_are_served_meanwhile(
    endpoint: Endpoint, store: Store, heeds: bool
) -> None:
    token = endpoint.token("flood")
    assert endpoint.post("cam7", PNG).status == 202
    head = chunked_head("flood", token)
    with Watch(endpoint) as watch, ThreadPoolExecutor(2) as hostile:
        floods = [hostile.submit(without_end, endpoint.port, head, 10**10, heeds=heeds) for _ in range(4)]
        served = 0
        while not all(flood.done() for flood in floods) or not served:
            assert endpoint.post("cam7", PNG).status == 202
            served += 1
    assert all(flood.result().size < 50 * MOST_BYTES for flood in floods), "cut, or told, long before its end"
    if heeds:
        assert {flood.result().status for flood in floods} <= {413, 0}  # 0: cut before it could be read
    assert watch.memory - watch.began < 20 * MOST_BYTES
    assert watch.disk < 8 * MOST_BYTES
    assert [file for file in endpoint.files() if file.suffix == ".part"] == []
    assert "flood" not in store.streams.names()
    said = endpoint.log.read_text()
    assert not any(word in said for word in (token, "flood", "Traceback")), said


def test_a_body_that_comes_byte_by_byte_has_its_time_and_no_more(
    http_settings: Settings, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "_BODY_SECONDS", 1.0)
    token, port, stop = add_token(tmp_path / "tokens", "slow"), free_port(), threading.Event()
    frames = Frames(store, http_settings, CameraTokens(tmp_path / "tokens"), open_spool(http_settings))
    server = threading.Thread(
        target=serve, args=(frames.app, "127.0.0.1", port, stop, lambda: None), kwargs={"said": "here"}
    )
    server.start()
    try:
        wait_until("it to answer", lambda: Endpoint(port, tmp_path / "log").answers())
        head = chunked_head("slow", token) + b"ffff\r\n"
        assert byte_by_byte(port, b"x", pause=0.1, at_once=head).status == 408
    finally:
        stop.set()
        server.join(60)
        frames.close()
    assert not list(http_settings.posted_dir.rglob("*.part"))


def test_no_token_and_nothing_of_what_is_refused_is_in_the_log(endpoint: Endpoint, store: Store) -> None:
    endpoint.post("cam7", b"nothing", Content_Type="text/none")
    endpoint.request("POST", "/streams/stranger/frames", PNG, {"Authorization": "Bearer sesame"})
    said = endpoint.log.read_text()
    assert not any(word in said for word in (endpoint.token("cam7"), "stranger", "sesame", "Traceback")), said


POSTS = st.tuples(st.sampled_from("abc"), st.sampled_from([PNG, OTHER]), st.sampled_from(["plain", "binary"]))
numbers = itertools.count()


@hypothesis_settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(POSTS, min_size=1, max_size=6))
def test_every_202_is_a_batch_that_counts_once_whatever_is_repeated(
    running: Endpoint, store: Store, posts: list[tuple[str, bytes, str]]
) -> None:
    stream = f"law{next(numbers)}"
    answered: dict[tuple[str, str], set[str]] = {}
    for key, body, way in posts:
        own = {**BINARY, "ce_id": key, "ce_source": f"/cameras/{stream}"}
        answer = running.post(stream, body, **(own if way == "binary" else {"Idempotency_Key": key}))
        assert answer.status == 202
        answered.setdefault((key, way), set()).add(answer.json["batch"])
    assert all(len(batches) == 1 for batches in answered.values())
    batches = {batch for found in answered.values() for batch in found}
    assert len(batches) == len(answered) == store.streams.pending(stream)
    assert all(store.batches.known(stream, batch) for batch in batches)
    kept = [Path(store.batches.source_uri(stream, batch) or "") for batch in batches]
    assert all(path.is_file() for path in kept)


def test_the_same_post_from_many_at_a_time_is_one_batch_whose_file_is_there(endpoint: Endpoint, store: Store) -> None:
    endpoint.token("dock")
    for key in ("1", "2", "3"):
        with ThreadPoolExecutor(6) as cameras:
            posts = [cameras.submit(endpoint.post, "dock", PNG, Idempotency_Key=key) for _ in range(6)]
            answers = [post.result() for post in posts]
        assert {answer.status for answer in answers} == {202}
        assert len({answer.json["batch"] for answer in answers}) == 1
        assert [answer.json["state"] for answer in answers].count("accepted") == 1
    assert store.streams.pending("dock") == 3
    kept = [Path(batch.source.uri) for batch in registered(store, "dock").values()]
    assert sorted(kept) == endpoint.files()


def test_more_than_a_cameras_share_at_a_time_is_told_to_wait(endpoint: Endpoint, store: Store) -> None:
    head = (
        f"POST /streams/greedy/frames HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {endpoint.token('greedy')}\r\n"
        f"Content-Type: image/png\r\nContent-Length: {len(PNG)}\r\n\r\n"
    )
    with ExitStack() as slow:
        waiting = [
            slow.enter_context(socket.create_connection(("127.0.0.1", endpoint.port), timeout=30)) for _ in range(8)
        ]
        for connection in waiting:
            connection.sendall(head.encode() + PNG[:10])
        while (answer := endpoint.post("greedy", PNG)).status == 202:
            time.sleep(0.05)  # its connections have not been seen yet
        assert (answer.status, int(answer.headers["retry-after"]) > 0) == (429, True)
        assert endpoint.post("other", PNG).status == 202, "others have their places"
        waiting[0].sendall(PNG[10:])
        assert b" 202 " in waiting[0].recv(20)
    while (answer := endpoint.post("greedy", PNG)).status == 429:
        time.sleep(0.05)
    assert answer.status == 202, "who breaks off gives the place back"


def test_a_stream_without_a_usable_baseline_waits_and_its_camera_is_not_told_of_folders(
    http_settings: Settings, store: Store, tmp_path: Path
) -> None:
    settings = http_settings.model_copy(update={"baseline": "gone", "state_dir": tmp_path / "state"})
    with running_endpoint(settings, tmp_path) as endpoint:
        answer = endpoint.post("cam7", PNG)
        assert (answer.status, int(answer.headers["retry-after"]) > 0) == (503, True)
        assert "/" not in answer.json["error"]
        assert endpoint.files() == []
    assert "gone" in store.golden.waiting()["cam7"].reason


def answer_other_than(status: int, endpoint: Endpoint) -> Answer:
    """Post the same until it is answered otherwise."""
    while (answer := endpoint.post("cam7", PNG, Idempotency_Key="1")).status == status:
        time.sleep(0.1)
    return answer


def test_while_redis_is_full_or_away_nothing_is_accepted_and_what_is_sent_again_counts_once(
    own_redis: RedisServer, http_settings: Settings, tmp_path: Path
) -> None:
    settings = http_settings.model_copy(update={"redis_url": own_redis.url, "state_dir": tmp_path / "state"})
    store = Store(own_redis.url, settings)
    with running_endpoint(settings, tmp_path) as endpoint:
        for number in range(54):
            store.client.set(f"much{number}", bytes(1_000_000))
        answer = endpoint.post("cam7", PNG, Idempotency_Key="1")
        assert (answer.status, int(answer.headers["retry-after"]) > 0) == (429, True)
        assert endpoint.files() == []
        store.client.delete(*store.client.keys("much*"))
        own_redis.stop()
        away = answer_other_than(429, endpoint)
        assert (away.status, int(away.headers["retry-after"]) > 0) == (503, True)
        own_redis.start()
        assert answer_other_than(503, endpoint).status == 202
        assert endpoint.post("cam7", PNG, Idempotency_Key="1").json["state"] == "duplicate"
        assert store.streams.pending("cam7") == 1
    store.client.close()


def post_until_accepted(endpoint: Endpoint, keys_of_camera: range, stop: threading.Event) -> dict[int, str]:
    """Post a frame for each key, again until it is accepted; return the batches that 202s named, so far."""
    named: dict[int, str] = {}
    for key in keys_of_camera:
        while key not in named and not stop.is_set():
            with suppress(OSError, http.client.HTTPException):
                answer = endpoint.post("cam7", PNG, Idempotency_Key=str(key))
                assert answer.status in {202, 429, 503}
                if answer.status == 202:
                    named[key] = answer.json["batch"]
                    continue
            time.sleep(0.2)
    return named


@pytest.mark.timeout(400)
def test_every_202_counts_once_though_redis_and_the_server_are_killed_in_between(
    own_redis: RedisServer, http_settings: Settings, tmp_path: Path
) -> None:
    settings = http_settings.model_copy(update={"redis_url": own_redis.url, "state_dir": tmp_path / "state"})
    keys_of_cameras = [range(100 * number, 100 * number + 40) for number in range(4)]
    stop, named = threading.Event(), []
    with running_endpoint(settings, tmp_path) as endpoint, ThreadPoolExecutor(4) as cameras:
        endpoint.token("cam7")
        under_way = [cameras.submit(post_until_accepted, endpoint, own, stop) for own in keys_of_cameras]
        while len(endpoint.files()) < 20:
            time.sleep(0.01)
        os.kill(own_redis.pid, signal.SIGKILL)
        own_redis.stop()
        own_redis.start()
        while len(endpoint.files()) < 60:
            time.sleep(0.01)
        os.kill(endpoint.pid, signal.SIGKILL)
        stop.set()
        named += [posts.result() for posts in under_way]
    with running_endpoint(settings, tmp_path) as again, ThreadPoolExecutor(4) as cameras:
        again.known = endpoint.known
        everything = [cameras.submit(post_until_accepted, again, own, threading.Event()) for own in keys_of_cameras]
        named += [posts.result() for posts in everything]
    store = Store(own_redis.url, settings)
    batches = {(key, batch) for posts in named for key, batch in posts.items()}
    assert len(batches) == 160, "each key is one batch, whoever was told of it"
    assert store.streams.pending("cam7") == 160
    uris = [batch.source.uri for batch in registered(store, "cam7").values()]
    assert len(uris) == 160
    assert all(Path(uri).read_bytes() == PNG for uri in uris)
    store.client.close()
