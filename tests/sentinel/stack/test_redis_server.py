"""The embedded Redis: who gets in, what they may do there, and what it leaves on disk."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from common.broker import make_app
from common.errors import BrokerUnavailable
from common.redis_users import RedisUser
from common.settings import Settings
from common.store import keys
from common.store.ingest import offer
from sentinel.stack import redis_server
from sentinel.stack.redis_server import RedisServer, end_orphan, find_redis_server, free_port

ONCE = Retry(NoBackoff(), 0)


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """As `sentinel up` starts it, without the further rights that other tests have."""
    server = RedisServer(tmp_path / "redis", max_mb=64)
    server.start()
    yield server
    server.stop()


def test_without_a_password_nobody_gets_in(own_redis: RedisServer) -> None:
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(port=own_redis.port, retry=ONCE).ping()
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(port=own_redis.port, password="guess", retry=ONCE).ping()
    assert redis.Redis.from_url(own_redis.url).ping()


@pytest.mark.parametrize(
    "command",
    [
        ("CONFIG", "SET", "dir", "/tmp"), ("CONFIG", "GET", "*"), ("CONFIG", "REWRITE"), ("DEBUG", "SLEEP", "0"),
        ("MODULE", "LIST"), ("MODULE", "LOAD", "/tmp/x.so"), ("REPLICAOF", "127.0.0.1", "1"),
        ("SLAVEOF", "127.0.0.1", "1"), ("MIGRATE", "127.0.0.1", "1", "key", "0", "10"), ("SHUTDOWN",),
        ("SHUTDOWN", "NOSAVE"),
        ("ACL", "SETUSER", "default", "+@all"), ("ACL", "LIST"), ("SYNC",), ("BGREWRITEAOF",), ("SAVE",), ("MONITOR",),
    ],
)  # fmt: skip
def test_nobody_may_administer_the_server_whatever_password_he_has(own_redis: RedisServer, command: tuple[str]) -> None:
    client = redis.Redis.from_url(own_redis.url)
    # Redis 7 refuses DEBUG and MODULE to everybody, before it looks at rights.
    with pytest.raises(redis.exceptions.ResponseError, match=r"no permissions|command not allowed"):
        client.execute_command(*command)
    with pytest.raises(redis.exceptions.ResponseError):  # not through a script either
        client.eval(f"return redis.call({', '.join(repr(word) for word in command)})", 0)
    assert client.ping()


def test_what_sentinel_and_celery_need_goes_on_working(own_redis: RedisServer) -> None:
    client = redis.Redis.from_url(own_redis.url)
    assert client.info("memory")["maxmemory_policy"] == "noeviction"
    assert client.info("persistence")["aof_enabled"] == 1
    assert client.eval("return redis.call('SET', 'sentinel:a', 'b')", 0)
    app = make_app(Settings(_env_file=None, redis_url=own_redis.url))  # type: ignore[call-arg]
    app.send_task("sentinel.reduce", kwargs={"stream": "cam7"}, queue="reduce")
    assert client.llen("reduce") == 1
    assert app.control.ping(timeout=0.2) == []


def test_a_camera_may_write_events_and_nothing_else(own_redis: RedisServer) -> None:
    camera = redis.Redis.from_url(own_redis.camera_url)
    offer(camera, {"specversion": "1.0"})
    forbidden = (
        lambda: camera.lpush("embed", "x"),
        lambda: camera.xadd(keys.EVENTS, {"a": "b"}),
        lambda: camera.xrange(keys.INGEST),
        lambda: camera.xdel(keys.INGEST, "0-1"),
        lambda: camera.get("x"),
        camera.flushall,
        camera.info,
        lambda: camera.config_get("*"),
    )
    for act in forbidden:
        with pytest.raises(redis.exceptions.NoPermissionError):
            act()


def test_a_program_that_knows_labels_may_write_truth_and_nothing_else(own_redis: RedisServer) -> None:
    program = redis.Redis.from_url(own_redis.truth_url)
    program.xadd(keys.TRUTH, {"id": "1"})
    for act in (lambda: offer(program, {"a": "b"}), lambda: program.xrange(keys.TRUTH), program.flushall):
        with pytest.raises(redis.exceptions.NoPermissionError):
            act()


def test_the_password_is_on_no_command_line_and_in_no_file(own_redis: RedisServer) -> None:
    redis.Redis.from_url(own_redis.url).set("sentinel:a", "b")
    urls = (own_redis.url, own_redis.camera_url, own_redis.truth_url)
    secrets = [url.split(":")[2].split("@")[0] for url in urls]
    assert len(set(secrets)) == 3
    shown = " ".join(psutil.Process(own_redis.pid).cmdline())
    written = [path.read_bytes() for path in own_redis.folder.rglob("*") if path.is_file()]
    for secret in secrets:
        assert len(secret) > 30
        assert secret not in shown
        assert not any(secret.encode() in data for data in written)


def test_what_it_writes_is_readable_by_this_user_alone(own_redis: RedisServer) -> None:
    redis.Redis.from_url(own_redis.url).set("sentinel:a", "b")
    assert stat.S_IMODE(own_redis.folder.stat().st_mode) == 0o700
    files = [path for path in own_redis.folder.rglob("*") if path.is_file()]
    assert any("aof" in path.name for path in files)
    for path in files:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_every_start_has_another_password_and_finds_what_the_last_one_kept(tmp_path: Path) -> None:
    first = RedisServer(tmp_path, max_mb=64)
    first.start()
    redis.Redis.from_url(first.url).set("sentinel:kept", "yes")
    first.stop()
    second = RedisServer(tmp_path, max_mb=64, port=first.port)
    second.start()
    try:
        assert second.url != first.url
        assert redis.Redis.from_url(second.url).get("sentinel:kept") == b"yes"
        with pytest.raises(redis.AuthenticationError):
            redis.Redis.from_url(first.url).ping()
    finally:
        second.stop()


def test_a_folder_with_quotes_and_spaces_in_its_name_is_used(tmp_path: Path) -> None:
    server = RedisServer(tmp_path / 'a "b" c\\d é', max_mb=64)
    server.start()
    redis.Redis.from_url(server.url).set("sentinel:a", "b")
    assert any("aof" in path.name for path in server.folder.rglob("*"))
    server.stop()


def test_a_server_that_knows_no_users_is_refused_and_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = tmp_path / "redis-server"
    bare = tmp_path / "without-users.conf"  # a pipe would leave the server without a parent that ends it
    old.write_text(f'#!/bin/sh\ngrep -v ^user > "{bare}"\nexec "{find_redis_server()}" "{bare}"\n')
    old.chmod(0o755)
    monkeypatch.setattr(redis_server, "find_redis_server", lambda: old)
    server = RedisServer(tmp_path / "redis", max_mb=64, port=free_port())
    with pytest.raises(BrokerUnavailable, match=r"ACL.*SENTINEL_REDIS_URL"):
        server.start()
    assert not server.alive()


def test_a_server_that_cannot_read_its_configuration_is_named_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RedisServer, "users", (RedisUser("sentinel", "~* +@nonsense"),))
    with pytest.raises(BrokerUnavailable, match="did not start"):
        RedisServer(tmp_path / "redis", max_mb=64).start()


def test_the_redis_of_a_killed_stack_is_ended_whatever_its_password_was(tmp_path: Path) -> None:
    orphan = RedisServer(tmp_path, max_mb=64)
    orphan.start()
    redis.Redis.from_url(orphan.url).set("sentinel:kept", "yes")
    assert end_orphan(tmp_path) == orphan.pid
    orphan.stop()
    assert end_orphan(tmp_path) is None
    heir = RedisServer(tmp_path, max_mb=64)
    heir.start()
    assert redis.Redis.from_url(heir.url).get("sentinel:kept") == b"yes"
    heir.stop()


@pytest.mark.parametrize("left", ["", "no number", "1", "999999999"])
def test_a_number_that_is_no_redis_of_ours_ends_nobody(tmp_path: Path, left: str) -> None:
    (tmp_path / "redis.pid").write_text(left)
    assert end_orphan(tmp_path) is None
