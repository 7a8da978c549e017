"""Workers take small pictures of real video, and pin those of what was judged; judging never waits for a picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from common.contracts.pictures import StreamPictures
from common.contracts.verdicts import Status
from common.modalities.modality import Sample
from common.small_pictures import LONGEST_SIDE
from common.store import Store, keys
from tests.workers.decaying import STREAM, Yard
from workers import embedding, pictures, reducer


@pytest.fixture(autouse=True)
def nothing_pinned_yet() -> None:
    pictures._pinned_at.clear()


def shown(yard: Yard) -> StreamPictures:
    return yard.store.pictures.of_stream(STREAM)


@pytest.mark.parametrize("yard_size", [(144, 256)], indirect=True)  # smaller ones are not made smaller, and hide noise
def test_clean_footage_gives_a_ring_and_a_reference_and_a_fault_pins_what_it_looks_like(yard: Yard) -> None:
    clean = yard.show("clean")
    assert {verdict.status for verdict in clean} == {Status.PASS}
    found = shown(yard)
    assert [row.time for row in found.ring] == sorted(row.time for row in found.ring)
    assert abs(len(found.ring) - clean[-1].stop / (yard.settings.window_frames // 4)) <= 1
    assert found.latest == found.ring[-1]
    (reference, *_) = found.references
    assert reference.note in found.ring
    assert not found.incidents
    failing = [verdict for verdict in yard.show("frozen", times=1) if verdict.status is Status.FAIL]
    (incident,) = yard.store.streams.open_incidents(STREAM)
    pinned = shown(yard).incidents[incident.id]
    assert len(pinned.first) == len(pinned.latest) == 3
    assert pinned.first != pinned.latest
    assert {row.source for row in (*pinned.first, *pinned.latest)} == {failing[0].sources[-1]}
    assert shown(yard).references == found.references
    assert [row.time for row in pinned.first] == sorted(row.time for row in pinned.first)
    yard.show("noise")
    after = shown(yard)
    assert after.incidents[incident.id].first == pinned.first
    assert after.latest is not None
    assert _roughness(yard.store, after.latest.id) > 1.4 * _roughness(yard.store, reference.note.id)


def _roughness(store: Store, picture: str) -> float:
    """Return how much neighbouring pixels differ: noise shows in the picture itself."""
    jpeg = store.pictures.jpeg(STREAM, picture)
    assert jpeg is not None
    grey = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert grey is not None
    assert max(grey.shape) <= LONGEST_SIDE
    return float(np.median(np.abs(np.diff(grey.astype(float), axis=1))))


def test_switched_off_nothing_is_kept(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    own = yard.settings.model_copy(update={"keep_pictures": "off"})
    for module in (embedding, reducer):
        monkeypatch.setattr(module, "get_settings", lambda: own)
    assert yard.show("noise")
    assert shown(yard) == StreamPictures()


def test_a_picture_that_cannot_be_taken_or_stored_costs_no_verdict(
    yard: Yard, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    plain = [(row.status, row.drift_score, row.p_value) for row in yard.show("noise")]
    yard.store.client.flushall()

    def broken(sample: Sample, longest: int) -> None:
        raise RuntimeError("no picture today")

    monkeypatch.setattr(pictures.load_modality("video").__class__, "picture", staticmethod(broken))
    assert [(row.status, row.drift_score, row.p_value) for row in yard.show("noise")] == plain
    assert "no picture today" in caplog.text
    monkeypatch.undo()


def test_pictures_of_the_wrong_type_in_redis_cost_no_verdict(yard: Yard, caplog: pytest.LogCaptureFixture) -> None:
    yard.store.client.set(keys.stream_key(STREAM, "pictures"), "no hash")
    yard.store.client.set(keys.stream_key(STREAM, "picture-notes"), "no hash")
    assert yard.show("noise")
    assert "no picture" in caplog.text


def test_forget_takes_every_picture(yard: Yard) -> None:
    yard.show("noise")
    assert shown(yard).ring
    yard.store.forgetting.forget(STREAM)
    assert shown(yard) == StreamPictures()
