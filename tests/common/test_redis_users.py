"""What each user may do in Redis, tried on every redis-server that is installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from common.errors import SettingsError
from common.processes import QUEUES
from common.redis_users import CAMERA, NOBODY, TRUTH, camera_user, sentinel_user
from common.store import keys
from tests.bare_redis import bare_redis
from tests.tls_redis import installed

OWN = camera_user("dock")
USERS = (sentinel_user(), CAMERA, TRUTH, OWN)
STREAMS = {CAMERA.name: keys.INGEST, TRUTH.name: keys.TRUTH, OWN.name: f"{keys.INGEST}:dock"}
CELERYS = ("unacked", "unacked_index", "unacked_mutex", "_kombu.binding.embed", "celery", "celery-task-meta-1")
NO_RIGHT = redis.exceptions.NoPermissionError


@pytest.fixture(scope="module", params=installed())
def port(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A Redis with the users of an ACL file; `admin` looks at what they did."""
    folder = tmp_path_factory.mktemp("redis")
    acl = folder / "users.acl"
    lines = [NOBODY, *(user.line(user.name) for user in USERS), "user admin on >admin ~* &* +@all"]
    acl.write_text("\n".join(lines) + "\n")
    with bare_redis(folder, ["--aclfile", str(acl)], "admin", user="admin", binary=request.param) as client:
        yield int(client.connection_pool.connection_kwargs["port"])


def as_user(port: int, name: str) -> redis.Redis:
    return redis.Redis(port=port, username=name, password=name)


@pytest.mark.parametrize("name", STREAMS)
def test_who_writes_to_one_stream_can_write_to_no_other_and_to_no_list_of_celery(port: int, name: str) -> None:
    writer = as_user(port, name)
    assert writer.xadd(STREAMS[name], {"specversion": "1.0"})
    for stream in {*STREAMS.values(), keys.EVENTS, keys.DEAD, f"{keys.INGEST}:gate"} - {STREAMS[name]}:
        with pytest.raises(NO_RIGHT):
            writer.xadd(stream, {"a": "b"})
    for queue in (*QUEUES, "retrain\x06\x163", *CELERYS):
        for act in (writer.lpush, writer.sadd, writer.publish):
            with pytest.raises(NO_RIGHT):
                act(queue, "x")
        with pytest.raises(NO_RIGHT):
            writer.hset(queue, "tag", "x")
        with pytest.raises(NO_RIGHT):
            writer.zadd(queue, {"tag": 1})


@pytest.mark.parametrize("name", STREAMS)
def test_who_writes_to_one_stream_can_read_nothing_and_run_nothing(port: int, name: str) -> None:
    writer, stream = as_user(port, name), STREAMS[name]
    for command in (
        ("XRANGE", stream, "-", "+"), ("XLEN", stream), ("XDEL", stream, "0-1"), ("XTRIM", stream, "MAXLEN", "0"),
        ("XGROUP", "CREATE", stream, "g", "0"), ("GET", "x"), ("LRANGE", "embed", "0", "-1"), ("SCAN", "0"),
        ("KEYS", "*"), ("DEL", stream), ("EVAL", "return 1", "0"), ("SUBSCRIBE", "/0.celeryev/worker.heartbeat"),
        ("INFO",), ("DBSIZE",), ("CONFIG", "GET", "*"), ("ACL", "WHOAMI"), ("CLIENT", "LIST"), ("FLUSHALL",),
        ("MULTI",), ("SHUTDOWN", "NOSAVE"),
    ):  # fmt: skip
        with pytest.raises(NO_RIGHT):
            writer.execute_command(*command)


def test_sentinel_itself_reaches_its_own_keys_and_celerys_and_no_others(port: int) -> None:
    own = as_user(port, "sentinel")
    for key in ("sentinel:ingest", "sentinel:{cam 7}:window", *QUEUES, "embed\x06\x169", *CELERYS):
        assert own.type(key) is not None
    for key in ("celerys", "embedded", "session:1", "sentinel"):
        with pytest.raises(NO_RIGHT):
            own.type(key)
    with pytest.raises(redis.ResponseError, match="can't access"):
        own.eval("return redis.call('SET', 'session:1', 'x')", 0)
    with pytest.raises(NO_RIGHT):
        own.publish("news", "x")


def test_sentinel_itself_may_not_administer_nor_erase_everything(port: int) -> None:
    own = as_user(port, "sentinel")
    for command in (
        ("CONFIG", "GET", "*"), ("CONFIG", "SET", "dir", "/tmp"), ("ACL", "LIST"),
        ("ACL", "SETUSER", "sentinel", "+@all"),
        ("SHUTDOWN", "NOSAVE"), ("MODULE", "LIST"), ("MODULE", "LOAD", "/x.so"), ("DEBUG", "SLEEP", "0"),
        ("REPLICAOF", "NO", "ONE"), ("MONITOR",), ("SAVE",), ("BGREWRITEAOF",), ("MIGRATE", "h", "1", "k", "0", "1"),
        ("RESTORE", "sentinel:x", "0", "x"), ("FLUSHALL",), ("FLUSHDB",), ("KEYS", "*"), ("SWAPDB", "0", "1"),
        ("CLIENT", "LIST"), ("CLIENT", "KILL", "127.0.0.1:1"), ("SCRIPT", "FLUSH"), ("SLOWLOG", "GET"),
    ):  # fmt: skip
        with pytest.raises(redis.ResponseError, match=r"no permissions|command not allowed"):
            own.execute_command(*command)
        quoted = ", ".join(f"'{word}'" for word in command)
        with pytest.raises(redis.ResponseError):  # not from inside a script either
            own.eval(f"return redis.call({quoted})", 0)
    assert own.ping()


@pytest.mark.parametrize("name", ["", "*", "dock*", "a b", "a:b", "dock\n", "x" * 65, "[a]", "?", "ü"])
def test_a_cameras_name_is_no_pattern_and_ends_no_line(name: str) -> None:
    with pytest.raises(SettingsError, match="letters, digits"):
        camera_user(name)


def test_nobody_who_gives_no_password_gets_in(port: int) -> None:
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(port=port, retry=Retry(NoBackoff(), 0)).ping()


@pytest.mark.parametrize("binary", installed())
def test_what_was_written_in_a_transaction_is_there_after_a_restart(binary: str, tmp_path: Path) -> None:
    """Redis reads its append-only file as user `default`, and drops a transaction that this user may not run."""
    acl = tmp_path / "users.acl"
    acl.write_text("\n".join([NOBODY, *(user.line(user.name) for user in USERS)]) + "\n")
    arguments = ["--aclfile", str(acl), "--appendonly", "yes", "--appendfsync", "always", "--save", ""]
    own = {"user": "sentinel", "password": "sentinel", "binary": binary}
    with bare_redis(tmp_path, arguments, **own) as client, client.pipeline(transaction=True) as pipe:
        pipe.set("sentinel:one", 1).hset("sentinel:two", "a", "b").rpush("embed", "x").execute()
        client.eval("redis.call('SET', KEYS[1], 'y')", 1, "sentinel:three")
        client.xadd(keys.EVENTS, {"a": "b"})
    with bare_redis(tmp_path, arguments, **own) as client:
        assert [client.get("sentinel:one"), client.hget("sentinel:two", "a")] == [b"1", b"b"]
        assert [client.llen("embed"), client.get("sentinel:three"), client.xlen(keys.EVENTS)] == [1, b"y", 1]
