"""Objects are read as files are, by ranges, as the version that was accepted, or not at all."""

from __future__ import annotations

import logging
import math
import pickle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from common.contracts.batches import SourceKind
from common.errors import BadSource, PathNotAllowed, SettingsError, StorageUnavailable
from common.features import Image
from common.modalities.video import timeline
from common.modalities.video.decode import sampled_frames
from common.modalities.video.modality import VIDEO
from common.settings import Settings
from common.sources.find import find_sources
from common.sources.identity import accepted, check_accepted, describe_source
from common.sources.limits import Limits
from common.sources.local import source_path
from common.sources.objects import storage
from common.sources.objects.cache import BlockCache
from common.sources.objects.file import BLOCK_BYTES
from common.sources.objects.path import ObjectPath
from tests.footage import scene, write_clip
from tests.objects import SECRET_KEY, ObjectServer, object_server, objects, reaching, use_credentials

__all__ = ["object_server", "objects"]  # fixtures

LIMITS = Limits()


@pytest.fixture
def own(objects: ObjectServer, settings: Settings) -> Settings:
    forget_timelines()
    return reaching(objects, settings)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of several blocks, with a key frame every twelve frames."""
    rng = np.random.default_rng(0)
    noise = rng.integers(-40, 40, (240, 320, 3))
    frames = [
        np.clip(np.roll(noise, 7 * number, axis=number % 2) + frame, 0, 255).astype(np.uint8)
        for number, frame in enumerate(scene(120, width=320, height=240))
    ]
    path = tmp_path_factory.mktemp("clip") / "2024-11-24T06-15-00Z.mp4"
    write_clip(path, frames, options={"qp": "1", "preset": "ultrafast"})
    assert path.stat().st_size > 12 * BLOCK_BYTES
    return path


def frames_of(path: Path, start: int = 0, stop: int | None = None) -> list[Image]:
    kind = SourceKind.RECORDING
    return [f.image for f in sampled_frames(path, kind, sample_fps=None, start=start, stop=stop, limits=LIMITS)]


def forget_timelines() -> None:
    """Be as another process, which has read nothing yet."""
    timeline._read.cache_clear()
    timeline._sampled.cache_clear()


def test_an_object_gives_the_frames_and_facts_of_the_file(own: Settings, objects: ObjectServer, clip: Path) -> None:
    path = source_path(objects.put(f"cameras/dock/{clip.name}", clip.read_bytes()), own.roots)
    facts, known = VIDEO.probe(path, SourceKind.RECORDING, LIMITS), VIDEO.probe(clip, SourceKind.RECORDING, LIMITS)
    assert (facts.frames, facts.duration, facts.times) == (known.frames, known.duration, known.times)
    ours, theirs = frames_of(path), frames_of(clip)
    assert len(ours) == len(theirs) == 120
    assert all(np.array_equal(one, other) for one, other in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("suffix", ["mkv", "ts", "avi"])
def test_other_containers_are_read_from_objects_too(
    own: Settings, objects: ObjectServer, tmp_path: Path, suffix: str
) -> None:
    local = write_clip(tmp_path / f"a.{suffix}", scene(30))
    path = source_path(objects.put(f"cameras/dock/a.{suffix}", local.read_bytes()), own.roots)
    assert all(np.array_equal(one, other) for one, other in zip(frames_of(path), frames_of(local), strict=True))


def test_a_still_is_identified_by_its_content_wherever_it_lies(
    own: Settings, objects: ObjectServer, tmp_path: Path
) -> None:
    assert cv2.imwrite(str(tmp_path / "a.png"), scene(1)[0])
    data = (tmp_path / "a.png").read_bytes()
    path = source_path(objects.put("cameras/dock/a.png", data), own.roots)
    ours, theirs = describe_source(path, LIMITS), describe_source(tmp_path / "a.png", LIMITS)
    assert (ours.kind, ours.size, ours.digest) == (theirs.kind, theirs.size, theirs.digest)
    assert ours.uri == "s3://site/cameras/dock/a.png"


def test_a_part_of_a_video_is_fetched_by_ranges_without_the_rest(
    own: Settings, objects: ObjectServer, clip: Path
) -> None:
    size = clip.stat().st_size
    tight = own.model_copy(update={"object_cache_mb": 2})  # the timeline stays, most blocks do not
    uri = objects.put("cameras/dock/a.mp4", clip.read_bytes())
    timeline.read_timeline(source_path(uri, tight.roots), LIMITS)
    forget_timelines()
    objects.requests.clear()
    part = frames_of(source_path(uri, tight.roots), 100, 104)
    assert all(np.array_equal(one, other) for one, other in zip(part, frames_of(clip, 100, 104), strict=True))
    gets = [row for row in objects.requests if row.method == "GET"]
    assert gets and all(row.range for row in gets), "a whole object was asked for"
    assert objects.fetched("cameras/dock/a.mp4") < size * 0.7, "FFmpeg reads up to 5 MB at the beginning"


def test_what_one_process_read_another_of_the_host_does_not_fetch(
    own: Settings, objects: ObjectServer, clip: Path
) -> None:
    uri = objects.put("cameras/dock/a.mp4", clip.read_bytes())
    frames_of(source_path(uri, own.roots))
    forget_timelines()
    objects.requests.clear()
    frames_of(source_path(uri, own.roots))
    assert objects.fetched("cameras/dock/a.mp4") == 0


@pytest.mark.parametrize("left", [0, 1, -1])
def test_a_timeline_that_a_crash_of_the_machine_cut_short_is_made_again(
    own: Settings, objects: ObjectServer, clip: Path, left: int
) -> None:
    path = source_path(objects.put("cameras/dock/a.mp4", clip.read_bytes()), own.roots)
    whole = timeline.read_timeline(path, LIMITS)
    (kept,) = own.object_storage.cache_dir.glob("*-timeline-*")
    kept.write_bytes(kept.read_bytes()[:left])
    forget_timelines()
    assert np.array_equal(timeline.read_timeline(path, LIMITS).pts, whole.pts)


@pytest.mark.parametrize("same_size", [True, False])
def test_a_rewritten_object_is_never_taken_for_the_old_one(
    own: Settings, objects: ObjectServer, clip: Path, same_size: bool
) -> None:
    data = clip.read_bytes()
    other = bytes(reversed(data)) if same_size else data + b"\0"
    uri = objects.put("cameras/dock/a.mp4", data)
    first = source_path(uri, own.roots)
    source = describe_source(first, LIMITS)
    assert first.stat().st_size == len(data)
    objects.put("cameras/dock/a.mp4", other)
    with pytest.raises(BadSource, match="no longer the file that was accepted"), accepted(source, own.roots):
        pass
    with pytest.raises(BadSource, match="no longer the file that was accepted"):
        check_accepted(source, own.roots, LIMITS)
    with pytest.raises(BadSource, match="was rewritten"):
        frames_of(first)
    assert describe_source(source_path(uri, own.roots), LIMITS).digest != source.digest
    objects.put("cameras/dock/a.mp4", data)
    with accepted(source, own.roots) as path:  # the former content is back
        assert len(frames_of(path)) == 120


def test_an_object_rewritten_while_it_is_read_gives_no_frame_of_the_new_one(
    own: Settings, objects: ObjectServer, clip: Path
) -> None:
    path = source_path(objects.put("cameras/dock/a.mp4", clip.read_bytes()), own.roots)
    with path.open("rb") as file:
        assert file.read(16)
        objects.put("cameras/dock/a.mp4", bytes(reversed(clip.read_bytes())))
        file.seek(3 * BLOCK_BYTES)
        with pytest.raises(BadSource, match="was rewritten"):
            file.read(16)


def test_an_object_that_is_gone_is_a_bad_source_that_names_it(own: Settings, objects: ObjectServer) -> None:
    uri = objects.put("cameras/dock/a.mp4", b"x")
    source = describe_source(source_path(uri, own.roots), LIMITS)
    objects.delete("cameras/dock/a.mp4")
    with pytest.raises(BadSource, match=r"s3://site/cameras/dock/a\.mp4"), accepted(source, own.roots):
        pass


@pytest.mark.parametrize(
    "uri",
    [
        "s3://site/cameras-old/a.mp4", "s3://site/a.mp4", "s3://other/cameras/a.mp4", "gs://site/cameras/a.mp4",
        "S3://site/cameras/../a.mp4", "s3://site/cameras/../a.mp4", "s3://site/cameras//a.mp4", "s3://site/cameras/./a",
        "s3://key:secret@site/cameras/a.mp4", "s3://site/cameras/a\n.mp4", "s3:///cameras/a.mp4", "s3://",
        "s3://site/cameras/a?versionId=b.mp4",
    ],
)  # fmt: skip
def test_what_lies_below_no_allowed_prefix_is_refused_and_not_asked_for(
    own: Settings, objects: ObjectServer, uri: str
) -> None:
    with pytest.raises(BadSource):
        source_path(uri, own.roots)
    assert not objects.requests


def test_without_a_setting_no_object_is_allowed(settings: Settings) -> None:
    with pytest.raises(PathNotAllowed, match="SENTINEL_OBJECT_ROOTS"):
        source_path("s3://site/cameras/a.mp4", settings.roots)


@pytest.mark.parametrize(
    ("access_key", "secret_key"), [("AKIASOMEBODYELSE", "another-secret"), ("", "")], ids=["wrong", "none"]
)
def test_wrong_credentials_are_said_and_shown_nowhere(
    own: Settings,
    objects: ObjectServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    access_key: str,
    secret_key: str,
) -> None:
    uri = objects.put("cameras/dock/a.mp4", b"x")
    use_credentials(monkeypatch, access_key, secret_key)
    with caplog.at_level(logging.DEBUG), pytest.raises(StorageUnavailable, match="refuses access") as error:
        describe_source(source_path(uri, own.roots), LIMITS)
    shown = f"{error.value!r} {error.value.__cause__!r} {caplog.text}"
    assert not any(text and text in shown for text in (access_key, secret_key, "Signature"))


def test_credentials_that_work_are_shown_nowhere(
    own: Settings, objects: ObjectServer, clip: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        path = source_path(objects.put("cameras/dock/a.mp4", clip.read_bytes()), own.roots)
        caplog.clear()
        frames_of(path)
    assert not any(text in caplog.text for text in (SECRET_KEY, "Signature"))


def test_a_storage_that_fails_in_the_middle_is_not_the_end_of_the_video(
    own: Settings, objects: ObjectServer, clip: Path
) -> None:
    path = source_path(objects.put("cameras/dock/a.mp4", clip.read_bytes()), own.roots)
    objects.answers = 10  # the container can be opened, not all of its packets read
    with pytest.raises(StorageUnavailable, match="does not answer"):
        timeline.read_timeline(path, LIMITS)
    objects.answers = math.inf
    assert len(timeline.read_timeline(path, LIMITS).pts) == 120
    tight = own.model_copy(update={"object_cache_mb": 1})
    path = source_path(str(path), tight.roots)
    path.stat()
    BlockCache(own.object_storage.cache_dir, 10).keep("x", b"x" * 10)  # which makes room
    objects.answers = 10
    with pytest.raises(StorageUnavailable, match="does not answer"):
        frames_of(path)


def test_a_path_says_the_version_to_whoever_gets_it(own: Settings, objects: ObjectServer) -> None:
    path = source_path(objects.put("cameras/dock/a.mp4", b"one"), own.roots)
    assert isinstance(path, ObjectPath) and path.version.size == 3
    objects.put("cameras/dock/a.mp4", b"two!")
    there = pickle.loads(pickle.dumps(path))  # noqa: S301, as the sandbox gets it
    assert (str(there), there.version, there.storage) == (str(path), path.version, path.storage)


def test_a_library_that_wants_a_file_is_told_that_there_is_none(own: Settings) -> None:
    path: Any = source_path("s3://site/cameras/dock/a.mp4", own.roots)
    with pytest.raises(BadSource, match="object storage"):
        open(path, "rb")  # noqa: PTH123, SIM115


def test_an_object_is_opened_as_a_file_is_and_never_written(own: Settings, objects: ObjectServer) -> None:
    path = source_path(objects.put("cameras/dock/a.csv", "é\r\n2\r\n".encode()), own.roots)
    with path.open(encoding="utf-8", newline="") as lines:
        assert list(lines) == ["é\r\n", "2\r\n"]
    what = (path.read_bytes(), path.is_file(), path.exists(), path.is_dir())
    assert what == ("é\r\n2\r\n".encode(), True, True, False)
    with pytest.raises(BadSource, match="only read"):
        path.open("wb")
    with pytest.raises(BadSource):
        path.write_bytes(b"x")
    with pytest.raises(BadSource):
        path.unlink()


def test_a_prefix_gives_its_media_in_natural_order(own: Settings, objects: ObjectServer) -> None:
    for key in ("dock/10.mp4", "dock/2.mp4", "dock/notes.txt", "dock/.hidden.mp4", "dock/old/1.jpg", "docks/1.mp4"):
        objects.put(f"cameras/{key}", b"x")
    objects.put("cameras/dock/", b"")
    found = find_sources(source_path("s3://site/cameras/dock", own.roots))
    assert list(map(str, found)) == [f"s3://site/cameras/dock/{name}" for name in ("2.mp4", "10.mp4", "old/1.jpg")]


@pytest.mark.parametrize("uri", ["s3://site/cameras/a.mp4", "s3://site/cameras/none", "s3://nowhere/cameras/a.mp4"])
def test_what_is_not_there_has_no_sources_and_is_named(own: Settings, objects: ObjectServer, uri: str) -> None:
    objects.put("cameras/b.mp4", b"x")
    with pytest.raises(BadSource, match=uri):
        find_sources(ObjectPath.of(uri, own.object_storage))


def test_a_library_that_is_missing_is_named_with_what_installs_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(storage.importlib, "import_module", missing)
    storage._opened.cache_clear()
    path = source_path("gs://site/cameras/a.mp4", settings.model_copy(update={"object_roots": ("gs://site",)}).roots)
    with pytest.raises(SettingsError, match=r"gcsfs.*\[gs\]"):
        path.stat()


@pytest.mark.parametrize(
    "url",
    [
        "http://key:secret@host:9000",
        "ftp://host",
        "host:9000",
        "http://host?token=secret",
        "http://host:secret",
        "http://host:0",
    ],
)
def test_an_endpoint_is_an_address_without_credentials(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENTINEL_OBJECT_ENDPOINT", url)
    with pytest.raises(ValueError, match="object_endpoint") as error:
        Settings(_env_file=None)  # type: ignore[call-arg]
    assert "secret" not in str(error.value)
