"""A fixture that is opened at another place and on another day holds what it held."""

from __future__ import annotations

import time

import numpy as np
import pytest
from safetensors.numpy import load, save

from common.store import Store
from common.store.keys import DUE
from sentinel.stack.redis_server import RedisServer
from tests.upgrade import clock
from tests.upgrade.relocation import moved, naming, relocate


def test_what_runs_out_has_as_long_left_as_when_the_clock_was_stopped(store: Store) -> None:
    store.client.set("short", "", px=3_000_000)
    store.client.set("lasting", "")
    store.client.zadd(DUE, {"golden": time.time() + 500})
    stopped = clock.stop(store.client)
    assert store.client.pttl("short") == store.client.pttl("lasting") == -1
    store.client.zadd(DUE, {"golden": time.time() - 7 * 86_400})  # as it would be a week later
    clock.start(store.client, stopped)
    assert store.client.pttl("short") == pytest.approx(3_000_000, abs=60_000)
    assert store.client.pttl("lasting") == -1
    assert store.client.zscore(DUE, "golden") == pytest.approx(time.time() + 500, abs=60)


def test_signs_of_life_are_not_kept(store: Store) -> None:
    store.client.set("sentinel:process:embed:exit", "", ex=60)
    clock.stop(store.client)
    assert not store.client.keys("sentinel:process:*")


def test_features_keep_their_arrays_when_their_sources_move() -> None:
    uris = np.frombuffer(b'["file:///old/incoming/a.mp4"]', np.uint8)
    arrays = {"embedding": np.arange(6, dtype=np.float16).reshape(2, 3), "sources": uris}
    after = load(moved(save(arrays), "/old", "/a longer place"))
    assert after["sources"].tobytes() == b'["file:///a longer place/incoming/a.mp4"]'
    assert np.array_equal(after["embedding"], arrays["embedding"])
    assert after["embedding"].dtype == np.float16


def test_what_still_names_the_old_place_is_found(store: Store, redis_server: RedisServer) -> None:
    store.client.set("text", "file:///old/a.mp4")
    store.client.sadd("set", "file:///old/a.mp4")  # none of Sentinel's holds a path: if one does, `relocate` must know
    assert naming(redis_server.url, "/old") == ["set", "text"]
    relocate(redis_server.url, "/old", "/new")
    assert naming(redis_server.url, "/old") == ["set"]
