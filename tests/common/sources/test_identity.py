"""A source is what was accepted, or it is refused: whatever was done to its file in between."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from common.contracts.batches import Source
from common.errors import BadSource, PathNotAllowed
from common.sources import identity
from common.sources.identity import accepted, check_accepted, describe_source, digest_of, file_version, identify
from common.sources.limits import Limits
from tests.footage import scene, write_clip, write_images

LIMITS = Limits()


def rewrite_in_place(clip: Path) -> None:
    clip.write_bytes(clip.read_bytes()[:-1] + b"!")


def rewrite_and_put_the_time_back(clip: Path) -> None:
    before = clip.stat()
    rewrite_in_place(clip)
    os.utime(clip, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace_by_rename(clip: Path) -> None:
    other = clip.with_name("other")
    shutil.copy2(clip, other)
    rewrite_and_put_the_time_back(other)
    other.rename(clip)


def append(clip: Path) -> None:
    with clip.open("ab") as file:
        file.write(b"more")


def remove(clip: Path) -> None:
    clip.unlink()


CHANGES = [rewrite_in_place, rewrite_and_put_the_time_back, replace_by_rename, append, remove]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.mp4", scene(12))


@pytest.mark.parametrize("change", CHANGES)
def test_a_video_that_was_changed_is_refused_before_it_is_read(clip: Path, change: Callable[[Path], None]) -> None:
    source = describe_source(clip, LIMITS)
    change(clip)
    with pytest.raises(BadSource, match=r"no longer the file|cannot be read"), accepted(source, [clip.parent]):
        pytest.fail("it was opened")
    with pytest.raises(BadSource):
        check_accepted(source, [clip.parent], LIMITS)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("met", [None, BadSource("a packet that does not decode")])
def test_a_video_that_is_changed_while_it_is_read_is_refused_for_that_reason(
    clip: Path, change: Callable[[Path], None], met: Exception | None
) -> None:
    source = describe_source(clip, LIMITS)
    with pytest.raises(BadSource, match=r"no longer the file|cannot be read"), accepted(source, [clip.parent]):
        change(clip)
        if met is not None:
            raise met


def test_a_video_that_was_touched_or_copied_is_what_was_accepted(clip: Path, tmp_path: Path) -> None:
    source = describe_source(clip, LIMITS)
    os.utime(clip)
    clip.chmod(0o640)
    assert file_version(clip) != source.version
    with accepted(source, [tmp_path]) as path:
        assert path == clip
    copy = tmp_path / "host"
    copy.mkdir()
    shutil.copy(clip, copy / "clip.mp4")
    with accepted(source.model_copy(update={"uri": str(copy / "clip.mp4")}), [tmp_path]):
        pass
    check_accepted(source, [tmp_path], LIMITS)


def test_a_digest_is_read_once_per_version_of_a_file(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = describe_source(clip, LIMITS)
    os.utime(clip)
    read = []
    real = identity._read_digest
    monkeypatch.setattr(identity, "_read_digest", lambda path: read.append(path) or real(path))
    for _ in range(5):
        with accepted(source, [clip.parent]):
            pass
    assert len(read) == 1


def test_a_reading_that_is_interrupted_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "long.mp4"
    path.write_bytes(os.urandom(40_000))
    monkeypatch.setattr(identity, "_STEP_BYTES", 1000)
    monkeypatch.setattr(identity, "_CHECKPOINT_BYTES", 2000)

    class TimeLimit(Exception):
        pass

    class Interrupted(dict):  # type: ignore[type-arg]
        steps = 0

        def __setitem__(self, key: object, value: object) -> None:
            super().__setitem__(key, value)
            self.steps += 1
            if self.steps == 5:
                raise TimeLimit

    begun = Interrupted()
    monkeypatch.setattr(identity, "_begun", begun)
    with pytest.raises(TimeLimit):
        identify(path, LIMITS)
    ((_, (_, size)),) = begun.items()
    assert size == 10_000
    assert identify(path, LIMITS).digest == digest_of(path.read_bytes())


def test_what_is_written_to_while_it_is_described_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "growing.mp4"
    path.write_bytes(b"x" * 10_000)
    monkeypatch.setattr(identity, "_STEP_BYTES", 1000)
    monkeypatch.setattr(identity, "_CHECKPOINT_BYTES", 5000)

    class WrittenTo(dict):  # type: ignore[type-arg]
        def __setitem__(self, key: object, value: object) -> None:
            rewrite_and_put_the_time_back(path)

    monkeypatch.setattr(identity, "_begun", WrittenTo())
    with pytest.raises(BadSource, match="being written to"):
        identify(path, LIMITS)


def test_a_rewrite_right_after_the_acceptance_shows_in_the_version(tmp_path: Path) -> None:
    path = tmp_path / "quick.mp4"
    for number in range(20):
        path.write_bytes(b"%06d" % number)
        source = describe_source(path, LIMITS)
        path.write_bytes(b"%06d" % (number + 1))
        assert file_version(path) != source.version


def test_images_are_compared_by_content_alone(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "batch", scene(3))
    source = describe_source(folder, LIMITS)
    assert source.digests == tuple(digest_of((folder / name).read_bytes()) for name in source.names)
    os.utime(folder / source.names[1])
    check_accepted(source, [tmp_path], LIMITS)
    rewrite_and_put_the_time_back(folder / source.names[1])
    with pytest.raises(BadSource, match=f"{source.names[1]} is no longer the file"):
        check_accepted(source, [tmp_path], LIMITS)
    image = describe_source(folder / source.names[0], LIMITS)
    check_accepted(image, [tmp_path], LIMITS)
    rewrite_in_place(folder / source.names[0])
    with pytest.raises(BadSource, match="no longer the file"):
        check_accepted(image, [tmp_path], LIMITS)


def test_a_source_of_version_0_1_opens_and_is_compared_by_what_it_says(clip: Path) -> None:
    source = describe_source(clip, LIMITS)
    old = Source.from_json(source.model_dump_json(exclude={"version", "digests"}))
    with accepted(old, [clip.parent]):
        pass
    rewrite_in_place(clip)
    with pytest.raises(BadSource), accepted(old, [clip.parent]):
        pass


def test_a_source_outside_of_the_roots_is_not_opened(clip: Path, tmp_path: Path) -> None:
    source = describe_source(clip, LIMITS)
    with pytest.raises(PathNotAllowed), accepted(source, [tmp_path / "root"]):
        pass
