"""Who gets in: names, tokens, cookies, origins. A real server, real requests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.errors import SettingsError
from common.settings import Settings
from common.web_access import require_page_closed
from dashboard.access import ACTION_HEADER, COOKIE
from sentinel.stack.redis_server import RedisServer
from tests.dashboard.conftest import Page, running_page

TOKEN = "a token with 'quotes' and ümläuts"
READING = ("/api/streams", "/api/stack", "/api/models", "/api/incidents", "/api/openapi.json", "/api/live")
JSON = {"Content-Type": "application/json", ACTION_HEADER: "1"}


@pytest.fixture(scope="module")
def own(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("locked")
    return Settings(_env_file=None, state_dir=folder / "state", watch_dir=folder / "in", redis_url=redis_server.url)  # type: ignore[call-arg]


@pytest.fixture(scope="module")
def locked(own: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    folder = tmp_path_factory.mktemp("page")
    with running_page(own, folder, SENTINEL_PAGE_TOKEN=TOKEN, SENTINEL_PAGE_HOSTS="Monitor.Example:80") as page:
        yield page


@pytest.fixture(scope="module")
def unlocked(own: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with running_page(own, tmp_path_factory.mktemp("page")) as page:
        yield page


@pytest.mark.parametrize("path", READING)
def test_without_the_token_nothing_is_told(locked: Page, path: str) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Cookie": f"{COOKIE}=wrong"}, {"Cookie": "\x7f;;=="}):
        answer = locked.request("GET", path, headers=headers)
        assert answer.status == 401
        assert set(answer.json) == {"error"}


def test_without_the_token_nothing_is_done(locked: Page) -> None:
    assert locked.act("mute", stream="dock", seconds=1).status == 401


def test_the_token_opens_for_programs(locked: Page) -> None:
    answer = locked.request(
        "GET", "/api/streams", headers={"Authorization": f"Bearer {TOKEN}".encode().decode("latin-1")}
    )
    assert answer.status == 200


def test_a_login_gives_a_cookie_that_no_script_and_no_other_page_can_use(locked: Page) -> None:
    wrong = locked.request("POST", "/api/login", b'{"token":"wrong"}', JSON)
    assert (wrong.status, "set-cookie" in wrong.headers) == (401, False)
    right = locked.request("POST", "/api/login", json.dumps({"token": TOKEN}).encode(), JSON)
    assert right.status == 200
    cookie = right.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert TOKEN not in cookie
    assert "secure" not in cookie.lower(), "plain HTTP on loopback would lose it"
    inside = locked.request("GET", "/api/streams", headers={"Cookie": cookie.partition(";")[0]})
    assert inside.status == 200


def test_behind_a_proxy_with_tls_the_cookie_goes_by_tls_alone(locked: Page) -> None:
    login = json.dumps({"token": TOKEN}).encode()
    for said, secure in (("https", True), ("HTTPS, http", True), ("http, https", False), ("http", False)):
        answer = locked.request("POST", "/api/login", login, {**JSON, "X-Forwarded-Proto": said})
        assert ("; secure" in answer.headers["set-cookie"].lower()) is secure, said


def test_the_page_itself_and_health_hold_no_secrets_and_are_open(locked: Page) -> None:
    for path in ("/", "/app.js", "/api.js", "/api.html", "/healthz", "/readyz"):
        assert locked.get(path).status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "monitor.example.evil"]
)
@pytest.mark.parametrize("path", ["/", "/api/streams", "/api/openapi.json", "/app.js"])
def test_it_is_deaf_to_names_that_are_not_its_own(unlocked: Page, path: str, host: str) -> None:
    answer = unlocked.request("GET", path, headers={"Host": host})
    assert answer.status == (421 if host else answer.status)
    assert answer.status in {421, 400}


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:99", "[::1]:8200", "monitor.example", "Monitor.Example."])
def test_it_answers_under_its_own_names(locked: Page, host: str) -> None:
    assert locked.request("GET", "/", headers={"Host": host}).status == 200


def test_an_action_needs_the_header_that_no_foreign_page_can_send(unlocked: Page) -> None:
    body = b'{"stream":"nobody at all","seconds":1}'
    path = "/api/actions/mute"
    plain = unlocked.request("POST", path, body, {"Content-Type": "application/json"})
    assert plain.status == 403
    form = unlocked.request("POST", path, body, {**JSON, "Content-Type": "text/plain"})
    assert form.status == 415
    for origin in (
        "https://evil.example",
        "null",
        "http://127.0.0.1:1",
        f"http://127.0.0.1:{unlocked.port}.evil.example",
    ):
        assert unlocked.request("POST", path, body, {**JSON, "Origin": origin}).status == 403
    own = unlocked.request("POST", path, body, {**JSON, "Origin": f"http://127.0.0.1:{unlocked.port}"})
    assert own.status == 404  # there is no such stream
    asked = unlocked.request(
        "OPTIONS", path, headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    )
    assert "access-control-allow-origin" not in asked.headers


def test_nothing_is_done_by_get(unlocked: Page) -> None:
    for action in ("mute", "accept", "acknowledge", "retry", "rollback", "release"):
        assert unlocked.get(f"/api/actions/{action}").status in {404, 405}


def test_a_body_without_length_or_without_end_is_refused(unlocked: Page) -> None:
    assert unlocked.act("mute", stream="x" * 100_000, seconds=1).status == 413
    assert unlocked.request("POST", "/api/actions/mute", None, {**JSON, "Transfer-Encoding": "chunked"}).status in {
        400,
        413,
    }


@pytest.mark.parametrize("path", ["/", "/api/streams", "/nothing", "/api/actions/mute"])
def test_every_answer_forbids_what_the_page_does_not_need(unlocked: Page, path: str) -> None:
    headers = unlocked.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize(
    "path", ["/../app.py", "/%2e%2e/app.py", "/..%2fapp.py", "/static/../../app.py", "//etc/passwd"]
)
def test_no_path_leaves_the_folder_of_the_page(unlocked: Page, path: str) -> None:
    answer = unlocked.get(path)
    assert answer.status in {400, 404}
    assert b"import" not in answer.body


def test_where_others_can_reach_it_it_wants_a_token(own: Settings) -> None:
    outside = own.model_copy(update={"page_host": "0.0.0.0"})
    with pytest.raises(SettingsError, match="SENTINEL_PAGE_TOKEN"):
        require_page_closed(outside)
    require_page_closed(outside.model_copy(update={"page_token": "x"}))


def test_the_process_refuses_to_start_open_to_others(own: Settings, tmp_path: Path) -> None:
    with (
        pytest.raises(AssertionError, match="SENTINEL_PAGE_TOKEN"),
        running_page(own, tmp_path, SENTINEL_PAGE_HOST="0.0.0.0"),
    ):
        pass
