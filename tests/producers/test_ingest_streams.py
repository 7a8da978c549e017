"""Streams that cameras write to: each read in its turn, and made readable again whatever is written there."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from common.settings import Settings
from common.store import Store, ingest_streams, keys
from common.store.ingest import offer
from common.store.ingest_streams import IngestStreams, ingest_repairs, ingest_troubles
from producers.camera_events import CameraEvents
from tests.bare_redis import bare_redis
from tests.producers.events import EVENT

LAST = 2**64 - 1
OWN = f"{keys.INGEST}:cam7"


@pytest.fixture(autouse=True)
def look_every_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(ingest_streams, "_LOOK_SECONDS", 0.0)
    monkeypatch.setattr(ingest_streams, "_LOOK_SHARE", 1e9)
    return


def frame(still: Path, number: str, camera: str = "cam7") -> dict[str, str]:
    return {**EVENT, "id": number, "source": f"/cameras/{camera}", "dataref": str(still)}


def drain(bridge: CameraEvents) -> None:
    quiet = 0
    while quiet < 2:
        quiet = 0 if bridge.step() else quiet + 1


@pytest.mark.parametrize("key", [keys.INGEST, OWN])
def test_an_entry_with_the_greatest_id_ends_nobodys_ingestion(
    bridge: CameraEvents,
    store: Store,
    still: Path,
    key: str,
) -> None:
    store.client.xadd(key, frame(still, "before"))
    store.client.xadd(key, {"a": "b"}, id=f"{LAST}-{LAST}")
    with pytest.raises(redis.ResponseError):
        store.client.xadd(key, frame(still, "refused"))
    assert "no room" in ingest_troubles(store.client)[key]
    drain(bridge)
    store.client.xadd(key, frame(still, "after"))
    drain(bridge)
    assert store.streams.pending("cam7") == 2, "the frame before it and the one after it"
    assert len(list(store.event_log.dead_letters())) == 1, "the entry itself"
    assert ingest_troubles(store.client) == {}
    assert [(repair.stream_key, repair.times) for repair in ingest_repairs(store.client)] == [(key, 1)]
    assert not [name for name in store.client.scan_iter() if b"set-aside" in name], (
        "what was set aside is read, and gone"
    )


def test_a_greatest_id_that_was_read_already_ends_nothing_either(
    bridge: CameraEvents,
    store: Store,
    still: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drain(bridge)
    monkeypatch.setattr(ingest_streams, "_LOOK_SECONDS", 1e9)
    bridge._streams._next_look = time.monotonic() + 1e9
    store.client.xadd(keys.INGEST, {"a": "b"}, id=f"{LAST}-{LAST}")
    drain(bridge)
    assert store.client.xlen(keys.INGEST) == 0
    bridge._streams._next_look = 0.0
    drain(bridge)
    offer(store.client, frame(still, "after"))
    drain(bridge)
    assert store.streams.pending("cam7") == 1


def test_a_group_beyond_its_stream_is_set_back_and_what_it_passed_over_is_read(
    bridge: CameraEvents,
    store: Store,
    still: Path,
) -> None:
    drain(bridge)
    store.client.xgroup_setid(keys.INGEST, "bridge", f"{LAST}-{LAST}")
    for number in ("1", "2"):
        offer(store.client, frame(still, number))
    assert "beyond" in ingest_troubles(store.client)[keys.INGEST]
    drain(bridge)
    assert store.streams.pending("cam7") == 2
    assert ingest_troubles(store.client) == {}


def test_a_camera_whose_clock_is_an_hour_ahead_is_no_trouble(
    bridge: CameraEvents,
    store: Store,
    still: Path,
) -> None:
    store.client.xadd(OWN, frame(still, "1"), id=f"{int((time.time() + 3600) * 1000)}-0")
    drain(bridge)
    assert store.streams.pending("cam7") == 1
    assert ingest_repairs(store.client) == []


@pytest.fixture
def unguarded(tmp_path: Path) -> Iterator[redis.Redis]:
    """A Redis of somebody else's, whose users and bounds may be changed."""
    with bare_redis(tmp_path, ["--save", ""]) as client:
        yield client


def test_each_camera_may_have_a_stream_of_its_own_by_access_control(unguarded: redis.Redis) -> None:
    port = unguarded.connection_pool.connection_kwargs["port"]
    rules = ["SETUSER", "cam7", "on", "nopass", "~sentinel:ingest:cam7", "-@all", "+xadd"]
    unguarded.execute_command("ACL", *rules)
    with redis.Redis(port=port, username="cam7", password="x", protocol=2, lib_name=None, lib_version=None) as camera:
        camera.xadd(OWN, {"a": "b"})
        for other in (keys.INGEST, f"{keys.INGEST}:cam8"):
            with pytest.raises(redis.exceptions.NoPermissionError):
                camera.xadd(other, {"a": "b"})
    streams = IngestStreams(unguarded, "me", claim_after=30.0)
    page = streams.read(count=10, block_ms=10)
    assert page is not None
    assert page.stream == OWN
    streams.acknowledge(OWN, page.entries[0][0])
    assert streams.read(count=10, block_ms=10) is None
    assert unguarded.exists(OWN), "it stays for the camera"


def test_a_camera_that_floods_its_stream_does_not_hold_up_another(
    bridge: CameraEvents,
    store: Store,
    still: Path,
) -> None:
    for _ in range(300):
        store.client.xadd(f"{keys.INGEST}:hostile", {"x": "y"})
    store.client.xadd(OWN, frame(still, "1"))
    for _ in range(3):
        bridge.step()
    assert store.streams.pending("cam7") == 1
    assert store.client.xlen(f"{keys.INGEST}:hostile") >= 240


def test_a_stream_that_costs_much_waits_for_those_that_cost_little(store: Store) -> None:
    streams = IngestStreams(store.client, "me", claim_after=30.0)
    for _ in range(4):
        for name in ("a", "b"):
            store.client.xadd(f"{keys.INGEST}:{name}", {"x": "y"})
    order = []
    for _ in range(6):
        page = streams.read(count=1, block_ms=10)
        assert page is not None
        order.append(page.stream[-1])
        streams.acknowledge(page.stream, page.entries[0][0])
        streams.charge(page.stream, 20.0 if page.stream.endswith("a") else 0.1)
    assert order == ["a", "b", "b", "b", "b", "a"]


def test_a_key_that_is_no_stream_and_one_that_goes_away_stop_nothing(
    bridge: CameraEvents,
    store: Store,
    still: Path,
) -> None:
    store.client.set(f"{keys.INGEST}:text", "x")
    store.client.xadd(OWN, frame(still, "1"))
    drain(bridge)
    store.client.delete(OWN)
    offer(store.client, frame(still, "2"))
    drain(bridge)
    assert store.streams.pending("cam7") == 2
    assert not store.client.exists(OWN), "a Stream that was deleted stays so"
    store.client.flushall()
    offer(store.client, frame(still, "3"))
    drain(bridge)
    assert store.streams.pending("cam7") == 1


def test_events_wait_unacknowledged_while_redis_is_full_and_are_accepted_in_their_order(
    bridge: CameraEvents,
    store: Store,
    still: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("producers.entry_reader._PAUSE_SECONDS", 0.05)
    accept_file = bridge.ingestor.accept_file
    full = threading.Event()
    order = []

    def accept(stream: str, uri: str, *, event_key: str, **others: object) -> object:
        if not full.is_set():
            full.set()
            raise redis.ResponseError("MISCONF Redis is configured to save RDB snapshots, but it is unable to persist")
        order.append(event_key.rpartition("\n")[2])
        return accept_file(stream, uri, event_key=event_key, **others)

    monkeypatch.setattr(bridge.ingestor, "accept_file", accept)
    for number in "123":
        offer(store.client, frame(still, number))
    stop = threading.Event()
    thread = threading.Thread(target=bridge.run, args=[stop])
    thread.start()
    deadline = time.monotonic() + 60
    while store.client.xlen(keys.INGEST) and time.monotonic() < deadline:
        time.sleep(0.05)
    stop.set()
    thread.join(60)
    assert order == ["1", "2", "3"]
    assert list(store.event_log.dead_letters()) == []


def test_a_dead_letter_waits_for_room_like_the_event_itself(
    bridge: CameraEvents, unguarded: redis.Redis, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("producers.entry_reader._PAUSE_SECONDS", 0.05)
    port = unguarded.connection_pool.connection_kwargs["port"]
    store = Store(f"redis://127.0.0.1:{port}/0", settings)
    monkeypatch.setattr(store, "require_room", lambda: None)
    bridge.ingestor.store = store
    cameras = CameraEvents(store, bridge.ingestor)
    offer(store.client, {"no": "event"})
    cameras._streams._look()
    unguarded.config_set("maxmemory", int(unguarded.info("memory")["used_memory"]) // 2)
    stop = threading.Event()
    thread = threading.Thread(target=cameras.run, args=[stop])
    thread.start()
    try:
        time.sleep(0.7)
        assert store.client.xlen(keys.INGEST) == 1, "it is still there"
        assert list(store.event_log.dead_letters()) == []
        unguarded.config_set("maxmemory", 0)
        deadline = time.monotonic() + 60
        while store.client.xlen(keys.INGEST) and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        stop.set()
        thread.join(60)
    assert len(list(store.event_log.dead_letters())) == 1
    store.client.close()


def test_two_bad_entries_of_one_id_are_two_dead_letters(bridge: CameraEvents, store: Store) -> None:
    for key, value in ((keys.INGEST, "a"), (OWN, "a"), (f"{keys.INGEST}:cam8", "b")):
        store.client.xadd(key, {"x": value}, id="5-5")
    drain(bridge)
    assert len(list(store.event_log.dead_letters())) == 3
