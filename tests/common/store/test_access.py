"""Redis with a password and a user for cameras, as docker-compose.yml sets it up."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import yaml

from common import redis_users
from common.errors import BrokerUnavailable
from common.settings import Settings
from common.store import Store, keys
from common.store.client import connect
from common.store.ingest import offer
from tests.bare_redis import bare_redis

COMPOSE = Path(__file__).parents[3] / "docker-compose.yml"
WORKERS, CAMERA, TRUTH = "secret/of+the=workers", "secret-of-the-cameras", "secret-of-the-truth"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Redis started with the compose file's own arguments; yields host and port."""
    command = yaml.safe_load(COMPOSE.read_text())["services"]["redis"]["command"][1:]
    values = {"REDIS_PASSWORD": WORKERS, "CAMERA_PASSWORD": CAMERA, "TRUTH_PASSWORD": TRUTH}
    arguments = [re.sub(r"\$\{(\w+):[?-]([^}]*)\}", lambda m: values.get(m[1], m[2]), word) for word in command]
    with bare_redis(tmp_path_factory.mktemp("redis"), arguments, WORKERS, user="sentinel") as client:
        yield f"127.0.0.1:{client.connection_pool.connection_kwargs['port']}/0"


def test_the_workers_password_opens_everything(guarded: str) -> None:
    settings = Settings(_env_file=None, redis_url=f"redis://sentinel@{guarded}", redis_password=WORKERS)  # type: ignore[call-arg]
    store = Store(settings.redis_url or "", settings)
    assert store.streams.names() == []
    assert store.client.info("memory")["maxmemory_policy"] == "noeviction"


def test_the_containers_redis_lets_nobody_administer_it_just_as_the_embedded_one(guarded: str) -> None:
    client = redis.Redis.from_url(f"redis://{guarded}", username="sentinel", password=WORKERS)
    for command in (("CONFIG", "SET", "dir", "/tmp"), ("ACL", "LIST"), ("REPLICAOF", "NO", "ONE"), ("SHUTDOWN",)):
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.execute_command(*command)
    words = " ".join(yaml.safe_load(COMPOSE.read_text())["services"]["redis"]["command"])
    assert redis_users.CAMERA.rules in words


def test_a_camera_may_write_events_and_nothing_else(guarded: str) -> None:
    camera = redis.Redis.from_url(f"redis://camera:{CAMERA}@{guarded}")
    offer(camera, {"specversion": "1.0"})
    forbidden = (
        lambda: camera.lpush("embed", "x"),
        lambda: camera.xadd(keys.EVENTS, {"a": "b"}),
        lambda: camera.xrange(keys.INGEST),
        lambda: camera.get("x"),
        camera.flushall,
        lambda: camera.config_get("*"),
    )
    for act in forbidden:
        with pytest.raises(redis.exceptions.NoPermissionError):
            act()


def test_without_a_password_nobody_gets_in_and_no_message_shows_one(guarded: str) -> None:
    for user in ("", ":wrong@", "camera:wrong@"):
        with pytest.raises(BrokerUnavailable) as refused:
            connect(f"redis://{user}{guarded}")
        assert "wrong" not in str(refused.value).replace("invalid username-password pair", "")
