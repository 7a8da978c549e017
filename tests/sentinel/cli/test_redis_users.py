"""`sentinel redis acl`: a real Redis reads what it prints, and knows the passwords."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import redis

from common.redis_users import NOBODY
from tests.bare_redis import bare_redis
from tests.sentinel.cli.conftest import CommandLine


def test_redis_reads_the_file_and_lets_in_whom_it_names(sentinel: CommandLine, tmp_path: Path) -> None:
    sentinel.set("SENTINEL_REDIS_URL", "redis://sentinel@redis.example:6379/2")
    sentinel.set("SENTINEL_REDIS_PASSWORD", "of sentinel/")
    sentinel.set("CAMERA_DOCK_PASSWORD", "of the dock")
    done = sentinel.run("redis", "acl", "--camera", "dock")
    assert done.code == 0, done.stderr
    made = dict(re.findall(r"^password of (\S+), shown this once: (\S+)$", done.stderr, flags=re.MULTILINE))
    assert set(made) == {"camera", "truth"}
    for secret in (*made.values(), "of sentinel/", "of the dock"):
        assert secret not in done.stdout
    acl = tmp_path / "users.acl"
    acl.write_text(done.stdout)
    with bare_redis(tmp_path, ["--aclfile", str(acl)], "of sentinel/", user="sentinel") as own:
        port = own.connection_pool.connection_kwargs["port"]
        assert own.publish("/2.celery.pidbox", "x") == 0
        with pytest.raises(redis.exceptions.NoPermissionError):
            own.publish("/0.celery.pidbox", "x")  # of another database
        for name, password, stream in (
            ("camera", made["camera"], "sentinel:ingest"),
            ("camera-dock", "of the dock", "sentinel:ingest:dock"),
            ("truth", made["truth"], "sentinel:truth"),
        ):
            assert redis.Redis(port=port, username=name, password=password).xadd(stream, {"a": "b"})


def test_every_password_that_is_made_is_another_at_each_call(sentinel: CommandLine) -> None:
    sentinel.set("SENTINEL_REDIS_URL", "redis://:of-an-administrator@redis.example")
    first, second = (json.loads(sentinel.run("redis", "acl", "--json").stdout) for _ in range(2))
    assert set(first["passwords"]) == {"sentinel", "camera", "truth"}
    assert not set(first["passwords"].values()) & set(second["passwords"].values())
    assert all(len(password) > 40 for password in first["passwords"].values())
    assert first["acl"][0] == NOBODY


@pytest.mark.parametrize("cameras", [("dock", "dock"), ("dock-1", "dock_1")])
def test_two_cameras_with_one_password_are_refused(sentinel: CommandLine, cameras: tuple[str, str]) -> None:
    done = sentinel.run("redis", "acl", *(word for name in cameras for word in ("--camera", name)))
    assert (done.code, done.stdout) == (3, "")
    assert "would both be read from CAMERA_DOCK" in done.stderr


def test_a_name_that_would_be_a_pattern_is_refused(sentinel: CommandLine) -> None:
    done = sentinel.run("redis", "acl", "--camera", "*")
    assert (done.code, done.stdout) == (3, "")
    assert "letters, digits" in done.stderr
