"""A real Flower: it answers under its own names only, and asks for the password as before."""

from __future__ import annotations

import base64
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from common.contracts.processes import ProcessState
from common.errors import SettingsError
from common.process_health import process_health
from common.settings import Settings
from common.store import Store
from common.web_access import known_hosts, require_flower_closed
from sentinel.stack.redis_server import RedisServer, free_port


@contextmanager
def flower(folder: Path, url: str, **environment: str) -> Iterator[int]:
    """Run `sentinel flower`; yields its port."""
    port = free_port()
    own = {"SENTINEL_REDIS_URL": url, "SENTINEL_FLOWER_PORT": str(port), **environment}
    with (folder / "flower.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "sentinel", "flower"], env={**os.environ, **own}, stdout=log, stderr=log
        )
    try:
        deadline = time.monotonic() + 60
        while True:
            assert process.poll() is None, (folder / "flower.log").read_text()
            try:
                status(port, "localhost")
                break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.1)
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, (folder / "flower.log").read_text()


def status(port: int, host: str, *, path: str = "/workers", login: str = "", method: str = "GET") -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    headers = {"Host": host}
    if login:
        headers["Authorization"] = "Basic " + base64.b64encode(login.encode()).decode()
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


@pytest.fixture(scope="module")
def guarded(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    own = {"SENTINEL_FLOWER_PASSWORD": "secret", "SENTINEL_FLOWER_HOSTS": "monitor.example, Other.Example"}
    with flower(tmp_path_factory.mktemp("flower"), redis_server.url, **own) as port:
        yield port


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST.", "monitor.example", "other.example"])
def test_it_answers_under_its_own_names_with_its_password(guarded: int, host: str) -> None:
    for name in (host, f"{host}:{guarded}"):
        assert status(guarded, name, login="sentinel:secret") == 200
        assert status(guarded, name) == 401
        assert status(guarded, name, login="sentinel:guess") == 401


@pytest.mark.parametrize(
    "path", ["/", "/workers", "/tasks", "/api/workers", "/metrics", "/healthcheck", "/static/x.js"]
)
@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:5555", "localhost.evil.example", "127.0.0.2", "10.0.0.1"]
)
def test_no_page_answers_under_another_name_even_with_the_password(guarded: int, path: str, host: str) -> None:
    assert status(guarded, host, path=path, login="sentinel:secret") == 421


CHANGES = (
    "/api/worker/shutdown/embed@here",
    "/api/worker/queue/cancel-consumer/embed@here?queue=embed",
    "/api/task/revoke/1?terminate=true",
    "/api/task/send-task/sentinel.retrain",
    "/api/task/rate-limit/sentinel.embed?ratelimit=1",
)


def test_without_a_password_it_shows_and_changes_nothing(own_redis: RedisServer, tmp_path: Path) -> None:
    with flower(tmp_path, own_redis.url) as port:
        assert status(port, "localhost") == 200
        assert {status(port, "localhost", path=path, method="POST") for path in CHANGES} == {401}


def test_it_leaves_heartbeats_and_an_orderly_end(own_redis: RedisServer, settings: Settings, tmp_path: Path) -> None:
    store = Store(own_redis.url, settings)

    def state() -> ProcessState:
        return next(one.state for one in process_health(store) if one.process == "flower")

    # Flower's own variable, as the stack of the version before used it.
    with flower(tmp_path, own_redis.url, FLOWER_BASIC_AUTH="a:b") as port:
        assert status(port, "localhost", login="a:b") == 200
        assert status(port, "localhost", path="/api/workers") == 401
        deadline = time.monotonic() + 30
        while state() is not ProcessState.ALIVE:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        queues = http.client.HTTPConnection("127.0.0.1", port)
        login = base64.b64encode(b"a:b").decode()
        queues.request("GET", "/api/queues/length", headers={"Host": "localhost", "Authorization": f"Basic {login}"})
        assert "active_queues" in json.loads(queues.getresponse().read())
    assert state() is ProcessState.MISSING


def test_where_others_can_reach_it_it_wants_a_password(settings: Settings) -> None:
    outside = settings.model_copy(update={"flower_host": "0.0.0.0"})
    with pytest.raises(SettingsError, match="SENTINEL_FLOWER_PASSWORD"):
        require_flower_closed(outside)
    require_flower_closed(outside.model_copy(update={"flower_password": "x"}))


def test_the_configured_address_is_one_of_its_names() -> None:
    names = known_hosts("10.0.0.7", ("Cam.Local:5555",))
    assert names == {"localhost", "127.0.0.1", "::1", "10.0.0.7", "cam.local"}
