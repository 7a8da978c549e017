"""A chunk is made of the content that was accepted, or of nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from common.backbones import load_backbone
from common.contracts.batches import Chunk, FrameBatch, SourceKind
from common.contracts.dead_letters import DeadLetterKind
from common.errors import BadSource
from common.extraction import Extractor
from common.features import FeatureBlock
from common.ingest.accept import Ingestor
from common.modalities.video import decoder
from common.modalities.video.groups import QUALITY
from common.modalities.video.modality import VIDEO
from common.settings import Settings
from common.sources.identity import describe_source
from common.sources.limits import Limits
from common.store import Store
from tests.common.backbones.builders import write_onnx
from tests.common.sources.test_identity import replace_by_rename, rewrite_and_put_the_time_back, rewrite_in_place
from tests.footage import scene, write_clip, write_images
from workers import context, embedding

CHANGES = [rewrite_in_place, rewrite_and_put_the_time_back, replace_by_rename]


@pytest.fixture(scope="module")
def extractor(tmp_path_factory: pytest.TempPathFactory) -> Extractor:
    folder = tmp_path_factory.mktemp("model")
    settings = Settings(_env_file=None, state_dir=folder, backbone=write_onnx(folder / "tiny.onnx"), device="cpu")  # type: ignore[call-arg]
    return Extractor(VIDEO, load_backbone(settings, None), Limits())


@pytest.fixture
def own(store: Store, settings: Settings, extractor: Extractor, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    settings.watch_dir.mkdir()
    monkeypatch.setattr(context, "store", lambda: store)
    monkeypatch.setattr(context, "extractor", lambda _: extractor)
    monkeypatch.setattr(embedding, "get_settings", lambda: settings)
    return settings


def registered(path: Path, store: Store, extractor: Extractor, frames: int, chunk_frames: int) -> list[Chunk]:
    """Accept `path` as it is now."""
    batch = FrameBatch(
        id="b1", stream="dock", source=describe_source(path, Limits()), expected_frames=frames,
        starts=tuple(range(0, frames, chunk_frames)), feature_spec=extractor.feature_spec(None), received_at=0.0,
    )  # fmt: skip
    store.batches.register(batch)
    return list(batch.chunks())


def reasons(store: Store) -> list[str]:
    assert {letter.kind for letter in store.event_log.dead_letters()} <= {DeadLetterKind.CHUNK}
    return [letter.reason for letter in store.event_log.dead_letters()]


@pytest.mark.parametrize("change", CHANGES)
def test_a_video_changed_after_it_was_accepted_is_never_embedded_under_the_old_batch(
    own: Settings, store: Store, extractor: Extractor, change: Callable[[Path], None]
) -> None:
    clip = write_clip(own.watch_dir / "clip.mp4", scene(40))
    first, second = registered(clip, store, extractor, 40, 20)
    embedding.finish(embedding.embed, first)
    change(clip)
    embedding.finish(embedding.embed, second)
    ready = store.streams.finished("dock", 2)
    assert [len(done.features) if done.features is not None else None for done in ready] == [20, None]
    (reason,) = reasons(store)
    assert "no longer the file that was accepted" in reason
    ingestor = Ingestor(own, store)
    with pytest.raises(BadSource, match="no longer the file that was accepted"):
        ingestor.retry_chunk(second, "1-0")
    ingestor.close()


def test_a_video_rewritten_while_it_is_decoded_is_refused(
    own: Settings, store: Store, extractor: Extractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = write_clip(own.watch_dir / "clip.mp4", scene(40))
    other = write_clip(own.watch_dir / "other.mp4", scene(60)[20:]).read_bytes()
    (chunk,) = registered(clip, store, extractor, 40, 40)
    real, seen = decoder._decode_packet, []

    def rewriting(*arguments: object) -> object:
        seen.append(1)
        if len(seen) == 10:
            clip.write_bytes(other)
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(decoder, "_decode_packet", rewriting)
    embedding.finish(embedding.embed, chunk)
    (done,) = store.streams.finished("dock", 1)
    assert done.features is None
    assert "no longer the file" in reasons(store)[0]


def test_a_video_that_was_touched_is_embedded(own: Settings, store: Store, extractor: Extractor) -> None:
    clip = write_clip(own.watch_dir / "clip.mp4", scene(40))
    chunks = registered(clip, store, extractor, 40, 20)
    os.utime(clip)
    for chunk in chunks:
        embedding.finish(embedding.embed, chunk)
    assert [len(done.features or ()) for done in store.streams.finished("dock", 2)] == [20, 20]


def test_what_was_posted_is_read_as_the_same_file_in_the_watched_folder(
    own: Settings, store: Store, extractor: Extractor
) -> None:
    made = []
    for folder in (own.watch_dir, own.posted_dir):
        path = write_images(folder, scene(1)) / "frame1.png"
        (chunk,) = registered(path, store, extractor, 1, 1)
        made.append(embedding.extract(chunk))
    watched, posted = made
    assert posted.sources == (str(own.posted_dir / "frame1.png"),)
    assert watched.groups.keys() == posted.groups.keys()
    assert all((watched.groups[name] == posted.groups[name]).all() for name in watched.groups)


@pytest.mark.parametrize("change", CHANGES)
def test_a_chunk_of_a_folder_refuses_an_image_that_is_another_and_the_other_chunks_do_not(
    own: Settings, store: Store, extractor: Extractor, change: Callable[[Path], None]
) -> None:
    folder = write_images(own.watch_dir / "batch", scene(6))
    chunks = registered(folder, store, extractor, 6, 2)
    change(folder / chunks[1].source.names[0])
    for chunk in chunks:
        embedding.finish(embedding.embed, chunk)
    ready = store.streams.finished("dock", 3)
    assert [len(done.features) if done.features is not None else None for done in ready] == [2, None, 2]
    assert chunks[1].source.names[0] in reasons(store)[0]


@pytest.mark.parametrize("change", CHANGES)
def test_an_image_that_is_another_is_refused(
    own: Settings, store: Store, extractor: Extractor, change: Callable[[Path], None]
) -> None:
    image = write_images(own.watch_dir / "batch", scene(1)) / "frame1.png"
    assert image.exists()
    (chunk,) = registered(image, store, extractor, 1, 1)
    change(image)
    embedding.finish(embedding.embed, chunk)
    assert "no longer the file" in reasons(store)[0]


def test_a_chunk_of_version_0_1_is_embedded(own: Settings, store: Store, extractor: Extractor) -> None:
    folder = write_images(own.watch_dir / "batch", scene(4))
    (chunk,) = registered(folder, store, extractor, 4, 4)
    old = chunk.model_dump(mode="json")
    del old["source"]["digests"], old["source"]["version"]
    embedding.finish(embedding.embed, Chunk.model_validate(old))
    assert reasons(store) == []


def test_a_sparse_chunk_has_the_features_of_key_frames_as_the_whole_file_has_them(
    own: Settings, store: Store, extractor: Extractor
) -> None:
    clip = write_clip(own.watch_dir / "clip.mp4", scene(40), fps=10, gop=10)
    batch = FrameBatch(
        id="b2", stream="dock", source=describe_source(clip, Limits()), expected_frames=4, starts=(0, 2),
        feature_spec=extractor.feature_spec(None), received_at=0.0, continues=True, sparse_fps=1.02,
    )  # fmt: skip
    store.batches.register(batch)
    for chunk in batch.chunks():
        embedding.finish(embedding.embed, chunk)
    found = FeatureBlock.concatenate([done.features for done in store.streams.finished("dock", 2) if done.features])
    whole = extractor.extract(clip, SourceKind.RECORDING, uri=str(clip), sample_fps=None)
    assert found.times.tolist() == [0.0, 1.0, 2.0, 3.0]
    np.testing.assert_array_equal(found.groups[QUALITY], whole.groups[QUALITY][::10])
