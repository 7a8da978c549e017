"""Chunks of a video in object storage are embedded as those of the file, or, once it was rewritten, not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from common.contracts.batches import Chunk, FrameBatch
from common.errors import StorageUnavailable
from common.extraction import Extractor
from common.settings import Settings
from common.sources.identity import describe_source
from common.sources.limits import Limits
from common.sources.local import source_path
from common.store import Store
from sentinel.check import check
from tests.footage import scene, write_clip
from tests.objects import ObjectServer, object_server, objects, reaching
from tests.sentinel.tiny_check import FPS, Silent, tiny_baseline, tiny_extractor
from workers import context, embedding, scoring

__all__ = ["object_server", "objects"]  # fixtures

NAMED = "2024-11-24T06-15-00Z.mp4"
"""A name that says when it was taken: files and objects have times of their own else."""


@pytest.fixture(scope="module")
def extractor(tmp_path_factory: pytest.TempPathFactory) -> Extractor:
    return tiny_extractor(tmp_path_factory.mktemp("model"))


@pytest.fixture
def own(
    objects: ObjectServer, store: Store, settings: Settings, extractor: Extractor, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    own = reaching(objects, settings)
    own.watch_dir.mkdir()
    monkeypatch.setattr(context, "store", lambda: store)
    monkeypatch.setattr(context, "extractor", lambda _: extractor)
    monkeypatch.setattr(embedding, "get_settings", lambda: own)
    monkeypatch.setattr(scoring, "with_live_scores", lambda chunk, path, features: features)
    return own


def registered(path: Path, batch_id: str, store: Store, extractor: Extractor, frames: int) -> list[Chunk]:
    """Accept `path`, as it is now, in two chunks."""
    batch = FrameBatch(
        id=batch_id, stream=batch_id, source=describe_source(path, Limits()), expected_frames=frames,
        starts=(0, frames // 2), feature_spec=extractor.feature_spec(None), received_at=0.0,
    )  # fmt: skip
    store.batches.register(batch)
    return list(batch.chunks())


def test_the_features_of_an_object_are_those_of_the_file(
    own: Settings, store: Store, extractor: Extractor, objects: ObjectServer
) -> None:
    clip = write_clip(own.watch_dir / "a.mp4", scene(40))
    path = source_path(objects.put("cameras/dock/a.mp4", clip.read_bytes()), own.roots)
    for chunk in (*registered(clip, "file", store, extractor, 40), *registered(path, "object", store, extractor, 40)):
        embedding.finish(embedding.embed, chunk)
    for one, other in zip(store.streams.finished("file", 2), store.streams.finished("object", 2), strict=True):
        assert one.features is not None and other.features is not None and len(one.features) == 20
        assert other.features.sources == ("s3://site/cameras/dock/a.mp4",)
        assert one.features.groups.keys() == other.features.groups.keys()
        for name, values in one.features.groups.items():
            assert np.array_equal(values, other.features.groups[name], equal_nan=True)
    assert not list(store.event_log.dead_letters())


def test_a_chunk_of_an_object_that_was_rewritten_or_deleted_is_a_dead_letter_that_names_it(
    own: Settings, store: Store, extractor: Extractor, objects: ObjectServer
) -> None:
    data = write_clip(own.watch_dir / "a.mp4", scene(40)).read_bytes()
    path = source_path(objects.put("cameras/dock/a.mp4", data), own.roots)
    first, second = registered(path, "object", store, extractor, 40)
    objects.put("cameras/dock/a.mp4", write_clip(own.watch_dir / "b.mp4", scene(40, seed=1)).read_bytes())
    embedding.finish(embedding.embed, first)
    objects.delete("cameras/dock/a.mp4")
    embedding.finish(embedding.embed, second)
    reasons = sorted(letter.reason for letter in store.event_log.dead_letters())
    assert [reason.partition(" ")[0] for reason in reasons] == ["s3://site/cameras/dock/a.mp4"] * 2
    assert "no such object" in reasons[0] and "no longer the file that was accepted" in reasons[1]
    assert all(done.features is None for done in store.streams.finished("object", 2))


def test_a_chunk_waits_for_a_storage_that_is_restarted(
    own: Settings, store: Store, extractor: Extractor, objects: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = write_clip(own.watch_dir / "a.mp4", scene(40))
    path = source_path(objects.put("cameras/dock/a.mp4", clip.read_bytes()), own.roots)
    chunk, _ = registered(path, "object", store, extractor, 40)
    waits: list[float] = []

    def again(*, exc: Exception, countdown: float, max_retries: int | None) -> Exception:
        waits.append(countdown)
        return exc

    monkeypatch.setattr(embedding.embed, "retry", again)
    objects.answers = 0
    for _ in range(own.max_deliveries - 1):
        with pytest.raises(StorageUnavailable):
            embedding.finish(embedding.embed, chunk)
    assert sum(waits) >= 30 and max(waits) < own.visibility_seconds
    objects.answers = 1_000
    embedding.finish(embedding.embed, chunk)
    (done,) = store.streams.finished("object", 1)
    assert done.features is not None
    assert not list(store.event_log.dead_letters())


def test_a_check_of_an_object_finds_what_a_check_of_the_file_finds(
    own: Settings, extractor: Extractor, objects: ObjectServer, tmp_path: Path
) -> None:
    stored = tiny_baseline(extractor, tmp_path)
    frames = scene(120)
    clip = write_clip(own.watch_dir / NAMED, frames[:60] + [frame // 3 for frame in frames[60:]], fps=FPS)
    path = source_path(objects.put(f"cameras/dock/{NAMED}", clip.read_bytes()), own.roots)
    on_file = check([clip], stored, extractor, own, Silent())
    on_object = check([path], stored, extractor, own, Silent())
    assert on_file.status == "FAIL"
    assert on_object.to_json().replace(str(path), str(clip)) == on_file.to_json()
