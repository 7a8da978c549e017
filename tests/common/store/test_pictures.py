"""Pictures are bounded in number, bytes and age, kept once, and gone with their stream."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from common.contracts.batches import Chunk
from common.contracts.pictures import Picture, PictureNote
from common.settings import Settings
from common.store import Store, keys
from common.store.pictures import MOST_IN_RING, PictureStore, incident_pins, reference_pin
from sentinel.stack.redis_server import RedisServer
from tests.common.builders import batch

BYTES = 3_000


def note(number: int) -> PictureNote:
    return PictureNote(id=f"p{number}", source="/clip.mp4", time=float(number), taken_at=None, width=8, height=8)


def picture(number: int, size: int = 100) -> Picture:
    return Picture(note(number), bytes([number % 256]) * size)


def pending(store: Store, stream: str = "dock") -> Chunk:
    """Return a chunk that waits to be reduced."""
    work = batch(stream, name=f"of-{stream}", frames=48, chunk_frames=48)
    store.batches.register(work)
    return work.chunks()[0]


def kept(store: Store, stream: str = "dock") -> dict[str, int]:
    """Return the sizes of all stored pictures by id."""
    stored = store.client.hgetall(keys.stream_key(stream, "pictures"))
    return {name.decode(): len(jpeg) for name, jpeg in stored.items()}


@pytest.fixture
def pictures(store: Store) -> PictureStore:
    return PictureStore(store.client, most_bytes=BYTES, retention=600, room=lambda: 0)


@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("keep"), st.lists(st.integers(0, 300), max_size=70), st.integers(1, 4_000)),
            st.tuples(st.just("incident"), st.lists(st.integers(0, 300), max_size=6), st.integers(0, 30)),
            st.tuples(st.just("golden"), st.lists(st.integers(0, 300), min_size=1, max_size=1), st.integers(0, 30)),
        ),
        max_size=12,
    )
)
@hypothesis_settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_bounds_hold_whatever_is_kept_and_pinned_and_every_picture_has_its_note(
    store: Store, pictures: PictureStore, steps: list[tuple[str, list[int], int]]
) -> None:
    store.client.flushall()
    chunk = pending(store)
    for kind, numbers, amount in steps:
        if kind == "keep":
            pictures.keep(chunk, [picture(number, amount) for number in numbers])
        elif kind == "incident":
            pictures.pin("dock", incident_pins(f"i{amount}", [f"p{number}" for number in numbers]))
        else:
            pictures.pin("dock", [reference_pin("golden", f"segment|{amount}", f"p{numbers[0]}")])
        sizes, found = kept(store), pictures.of_stream("dock")
        assert sum(sizes.values()) <= BYTES
        assert len(found.ring) <= MOST_IN_RING
        assert set(sizes) == set(pictures.notes("dock"))
        named = {row.id for row in found.ring} | {row.note.id for row in found.references}
        named |= {row.id for rows in found.incidents.values() for row in (*rows.first, *rows.latest)}
        assert named == set(sizes)
        assert all(len(rows.first) <= 3 and len(rows.latest) <= 3 for rows in found.incidents.values())


def test_a_chunk_that_comes_again_leaves_each_picture_once(store: Store, pictures: PictureStore) -> None:
    chunk = pending(store)
    assert pictures.keep(chunk, [picture(1), picture(2)]) == 2
    before = pictures.of_stream("dock")
    assert pictures.keep(chunk, [picture(1, 50), picture(2, 50)]) == 0
    assert pictures.of_stream("dock") == before
    assert kept(store) == {"p1": 100, "p2": 100}


def test_a_chunk_that_was_reduced_or_forgotten_leaves_none(store: Store, pictures: PictureStore) -> None:
    chunk = pending(store)
    pictures.keep(chunk, [picture(1)])
    store.forgetting.forget("dock")
    assert pictures.keep(chunk, [picture(2)]) == 0
    pictures.pin("dock", incident_pins("i", ["p1"]))
    assert store.forgetting.keys_of("dock") == []


def test_an_incident_keeps_its_first_and_its_latest_while_the_ring_goes_on(
    store: Store, pictures: PictureStore
) -> None:
    chunk = pending(store)
    for number in range(40):
        pictures.keep(chunk, [picture(number)])
        if 5 <= number < 30:
            pictures.pin("dock", incident_pins("fault", [f"p{number}"]))
    found = pictures.of_stream("dock").incidents["fault"]
    assert [row.id for row in found.first] == ["p5", "p6", "p7"]
    assert [row.id for row in found.latest] == ["p27", "p28", "p29"]
    assert pictures.latest(["dock", "none"]) == {"dock": "p39"}
    assert pictures.jpeg("dock", "p5") == bytes([5]) * 100
    assert pictures.jpeg("dock", "p30") is not None
    assert pictures.jpeg("dock", "p8") is None


def test_what_is_older_than_the_retention_goes(store: Store) -> None:
    chunk = pending(store)
    short = PictureStore(store.client, most_bytes=BYTES, retention=100, room=lambda: 0)
    short.keep(chunk, [picture(1), picture(2)])
    short.pin("dock", incident_pins("old", ["p1"]))
    client, ring = store.client, keys.stream_key("dock", "picture-ring")
    client.zadd(ring, {"p1": 1.0, "p2": 1.0})
    client.hset(keys.stream_key("dock", "picture-pins"), "first|old", '{"at":1,"ids":["p1"]}')
    client.hset(keys.stream_key("dock", "picture-pins"), "latest|old", '{"at":1,"ids":["p1"]}')
    short.keep(chunk, [picture(3)])
    assert set(kept(store)) == {"p3"}
    assert 0 < client.ttl(ring) <= 100


def test_in_a_redis_that_fills_up_only_the_latest_stays(store: Store) -> None:
    chunk = pending(store)
    store.pictures.keep(chunk, [picture(number) for number in range(20)])
    memory = int(store.client.info("memory")["maxmemory"])
    assert memory > 0
    ballast = bytes(1_000_000)
    for number in range(memory // 2 // len(ballast) + 1):
        store.client.set(f"ballast-{number}", ballast)
    store.pictures.keep(chunk, [picture(30)])
    assert set(kept(store)) == {"p30"}


def test_they_make_room_before_work_has_to_wait(store: Store, settings: Settings, redis_server: RedisServer) -> None:
    backlog = int(store.client.info("memory")["used_memory"]) // 1_000_000 * 2 + 10
    own = Store(redis_server.url, settings.model_copy(update={"backlog_mb": backlog}))
    chunk = pending(store)
    own.pictures.keep(chunk, [picture(number) for number in range(20)])
    used = int(store.client.info("memory")["used_memory"])
    store.client.set("ballast", bytes(int(backlog * 0.75e6) - used))
    own.pictures.keep(chunk, [picture(30)])
    assert set(kept(store)) == {"p30"}


def test_the_store_has_the_bound_of_the_settings(settings: Settings, store: Store, redis_server: RedisServer) -> None:
    chunk = pending(store)
    own = Store(redis_server.url, settings.model_copy(update={"picture_kb": 1}))
    own.pictures.keep(chunk, [picture(number) for number in range(20)])
    assert len(kept(store)) == 10
