"""The bridge on a real Redis: what cameras may send, what becomes of the rest, and that nothing counts twice."""

from __future__ import annotations

import base64
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from common import broker
from common.contracts.dead_letters import DeadLetterKind
from common.contracts.events import WindowPassed
from common.contracts.verdicts import Status
from common.errors import BadMessage
from common.settings import Settings
from common.store import Store, keys
from common.store.ingest import GroupReader, RawEntry, offer
from producers.camera_events import CameraEvents
from producers.cloud_event import CameraEvent
from tests.common.builders import verdict
from tests.producers.events import EVENT


def reasons(store: Store) -> list[str]:
    return [letter.reason for letter in store.event_log.dead_letters()]


def test_a_frame_by_reference_becomes_one_embed_task(bridge: CameraEvents, store: Store, still: Path) -> None:
    offer(store.client, {**EVENT, "dataref": still.as_uri()})
    assert bridge.step() == 1
    assert store.streams.names() == ["cam7"]
    assert store.streams.pending("cam7") == 1
    assert store.client.llen(broker.EMBED_QUEUE) == 1
    assert store.client.xlen(keys.INGEST) == 0, "what was handled is gone"


@pytest.mark.parametrize("encode", [bytes, base64.b64encode])
def test_a_frame_by_value_is_kept_for_the_worker(
    bridge: CameraEvents, store: Store, still: Path, encode: type[bytes]
) -> None:
    offer(store.client, {**EVENT, "data": encode(still.read_bytes())})
    bridge.step()
    assert store.streams.pending("cam7") == 1
    (key,) = store.client.keys("*:data:*")
    assert store.client.get(key) == still.read_bytes()


def test_an_event_sent_twice_counts_once_and_two_events_of_one_file_count_twice(
    bridge: CameraEvents, store: Store, still: Path
) -> None:
    for number in ("1", "1", "2"):
        offer(store.client, {**EVENT, "id": number, "dataref": str(still)})
    bridge.step()
    assert store.streams.pending("cam7") == 2


def test_an_event_whose_bridge_died_is_taken_over_and_counts_once(
    bridge: CameraEvents, store: Store, still: Path
) -> None:
    offer(store.client, {**EVENT, "dataref": str(still)})
    doomed = GroupReader(store.client, keys.INGEST, "bridge", "doomed", claim_after=0.0)
    assert len(list(doomed.read(count=10, block_ms=10))) == 1, "taken, and never acknowledged"
    successor = GroupReader(store.client, keys.INGEST, "bridge", "heir", claim_after=0.0, consume=True)
    ((entry_id, fields),) = successor.read(count=10, block_ms=10)
    bridge.take(keys.INGEST, entry_id, fields)
    bridge.take(keys.INGEST, entry_id, fields)
    successor.acknowledge(entry_id)
    assert store.streams.pending("cam7") == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"specversion": "0.3"}, "specversion"),
        ({"type": "other"}, "io.sentinel.frame.v1"),
        ({"id": ""}, "id"),
        ({"dataref": "", "data": ""}, "dataref"),
        ({"data": "x"}, "exactly one"),
        ({"dataref": "/etc/passwd"}, "SENTINEL_ALLOWED_ROOTS"),
        ({"dataref": "s3://bucket/a.png"}, "s3"),
        ({"source": "/cameras/../../x"}, "stream name"),
        ({"source": "/"}, "stream name"),
        ({"source": "/cameras/a\nb"}, "control character"),
        ({"source": "/cameras/a%0Ab"}, "control character"),
        ({"source": "/cameras/a%ff"}, "utf-8"),
        ({"source": "//["}, "source"),
        ({"source": "/cameras/\u202egpj"}, "control character"),
        ({"source": "/cameras/" + "x" * 255}, "200 characters"),
        ({"dataref": "file:///a\nb.png"}, "control character"),
        ({"dataref": "file:///a%ff.png"}, "no path"),
        ({"dataref": "/" + "x" * 4000}, "x"),
    ],
)
def test_a_bad_event_becomes_a_dead_letter_that_names_what_is_wrong(
    bridge: CameraEvents, store: Store, still: Path, change: dict[str, str], reason: str
) -> None:
    offer(store.client, {**EVENT, "dataref": str(still), **change})
    bridge.step()
    (found,) = reasons(store)
    assert reason in found
    (letter,) = store.event_log.dead_letters()
    assert letter.kind is DeadLetterKind.EVENT
    assert store.client.llen(broker.EMBED_QUEUE) == 0


def test_a_corrected_world_makes_a_dead_event_work_again(bridge: CameraEvents, store: Store, still: Path) -> None:
    hidden = still.with_suffix(".gone")
    still.rename(hidden)
    offer(store.client, {**EVENT, "dataref": str(still)})
    bridge.step()
    (letter,) = store.event_log.dead_letters()
    hidden.rename(still)
    store.event_log.drop(letter)
    RawEntry.from_json(letter.original).send(store.client)
    bridge.step()
    assert reasons(store) == []
    assert store.streams.pending("cam7") == 1


def test_an_image_that_is_too_large_is_refused_by_its_header(
    bridge: CameraEvents, store: Store, settings: Settings
) -> None:
    path = settings.watch_dir / "huge.png"
    header = b"IHDR" + (20_000).to_bytes(4, "big") * 2 + b"\x08\x02\x00\x00\x00"
    checked = b"\x00\x00\x00\r" + header + zlib.crc32(header).to_bytes(4, "big")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + checked + b"\x00\x00\x00\x00IDAT")
    offer(store.client, {**EVENT, "dataref": str(path)})
    bridge.step()
    assert "SENTINEL_MAX_PIXELS" in reasons(store)[0]


NAMES = st.sampled_from([name.encode() for name in (*EVENT, "dataref", "data", "time", "x")]) | st.binary(max_size=30)


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(NAMES, st.binary(max_size=30), min_size=1))
def test_no_entry_whatever_ends_the_bridge(bridge: CameraEvents, store: Store, fields: dict[bytes, bytes]) -> None:
    before = len(reasons(store))
    offer(store.client, fields)
    bridge.step()
    assert len(reasons(store)) == before + 1
    assert store.client.xlen(keys.INGEST) == 0


def test_an_entry_of_any_bytes_is_one_dead_letter_and_what_stands_behind_it_is_accepted(
    bridge: CameraEvents, store: Store, still: Path
) -> None:
    hostile = {b"\xff\x00[red]": b"\xfe\n", "é".encode(): b"", b"id": b"\xff"}
    store.client.xadd(keys.INGEST, hostile)  # type: ignore[arg-type]
    offer(store.client, {**EVENT, "dataref": str(still)})
    while bridge.step():
        pass
    assert store.streams.pending("cam7") == 1
    (letter,) = store.event_log.dead_letters()
    RawEntry.from_json(letter.original).send(store.client)
    ((_, again),) = store.client.xrange(keys.INGEST)
    assert again == hostile, "byte for byte"


def test_a_dead_event_of_version_0_1_opens(store: Store) -> None:
    RawEntry.from_json('{"fields": {"é": "\\u00ff"}}').send(store.client)
    ((_, fields),) = store.client.xrange(keys.INGEST)
    assert fields == {"é".encode(): b"\xff"}


def test_entries_of_any_bytes_stop_no_listing_of_events_and_dead_letters(store: Store) -> None:
    for key in (keys.EVENTS, keys.DEAD):
        store.client.xadd(key, {b"\xff": b"\xff"})
    store.event_log.announce(WindowPassed.about(verdict(status=Status.PASS), model="dock", stream="dock"))
    assert [event.stream for event in store.event_log.events()] == ["dock"]
    (letter,) = store.event_log.dead_letters()
    assert "cannot be read" in letter.reason
    store.event_log.drop(letter)
    assert reasons(store) == []


def test_an_error_that_nobody_expected_is_a_dead_letter_and_the_next_event_is_accepted(
    bridge: CameraEvents, store: Store, still: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept_data = bridge.ingestor.accept_data
    monkeypatch.setattr("producers.entry_reader._TRY_AGAIN_SECONDS", 0.0)
    monkeypatch.setattr(bridge.ingestor, "accept_data", lambda *_, **__: {}["nobody expected this"])
    offer(store.client, {**EVENT, "data": still.read_bytes()})
    offer(store.client, {**EVENT, "id": "2", "dataref": str(still)})
    bridge.step()
    monkeypatch.setattr(bridge.ingestor, "accept_data", accept_data)
    assert ["KeyError" in reason for reason in reasons(store)] == [True]
    assert store.streams.pending("cam7") == 1


def test_the_stream_is_the_path_of_the_source_less_cameras() -> None:
    def stream(source: str) -> str:
        fields = {**EVENT, "source": source, "dataref": "/x"}
        return CameraEvent.parse({name.encode(): value.encode() for name, value in fields.items()}).stream

    assert stream("/cameras/cam7") == "cam7"
    assert stream("https://site.example/cameras/dock%203/left") == "dock 3/left"
    assert stream("/dock/cam") == "dock/cam"
    assert stream("/cameras") == "cameras"
    with pytest.raises(BadMessage, match="UTF-8"):
        CameraEvent.parse({b"id": b"\xff"})
