"""Which files are sources, where they may lie, and what identifies them."""

from __future__ import annotations

import os
from dataclasses import fields, replace
from pathlib import Path

import pytest

from common.contracts.batches import SourceKind
from common.errors import BadSource, PathNotAllowed
from common.settings import Settings
from common.sources.identity import describe_source
from common.sources.limits import Limits
from common.sources.local import describe_kind, images_in, is_media, source_path
from tests.footage import scene, write_images


def test_paths_and_file_uris_name_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "dock 3é?.mp4"
    path.touch()
    uri = f"file://{tmp_path}/dock%203%C3%A9%3F.mp4"
    assert source_path(str(path), [tmp_path]) == source_path(uri, [tmp_path]) == path.resolve()


@pytest.mark.parametrize("escape", ["../outside.mp4", "link.mp4", "folder/outside.mp4", "file:///etc/passwd"])
def test_a_path_that_leaves_its_roots_is_refused_with_the_setting_named(tmp_path: Path, escape: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "outside.mp4").touch()
    (root / "link.mp4").symlink_to(tmp_path / "outside.mp4")
    (root / "folder").symlink_to(tmp_path)
    uri = escape if "://" in escape else str(root / escape)
    with pytest.raises(PathNotAllowed, match="SENTINEL_ALLOWED_ROOTS") as error:
        source_path(uri, [root])
    assert ("passwd" if "://" in escape else "outside.mp4") in str(error.value)


def test_a_folder_whose_name_begins_like_a_root_is_not_under_it(tmp_path: Path) -> None:
    with pytest.raises(PathNotAllowed):
        source_path(str(tmp_path / "rootkit" / "a.mp4"), [tmp_path / "root"])


@pytest.mark.parametrize("uri", ["https://host/a.mp4", "file://host/a.mp4", "a\0b.mp4"])
def test_what_is_no_local_path_is_a_bad_source(tmp_path: Path, uri: str) -> None:
    with pytest.raises(BadSource) as error:
        source_path(uri, [tmp_path])
    assert not isinstance(error.value, PathNotAllowed)


@pytest.mark.parametrize(
    "uri",
    [
        "s3://AKIA:secret@site/a.mp4",
        "s3://AKIA:sec/secret@site/a.mp4",
        "https://user:secret@host/a.mp4",
        "https://host/a.mp4?X-Amz-Signature=secret",
        "https://host:443/a.mp4?X-Amz-Signature=secret@host",
        "file://user:secret@host/a.mp4",
        "rtsp://token-secret@host/a",
    ],
)
def test_a_uri_that_is_refused_is_quoted_without_its_credentials(tmp_path: Path, uri: str) -> None:
    with pytest.raises(BadSource) as error:
        source_path(uri, [tmp_path])
    assert uri.partition("://")[0] in str(error.value)
    assert "secret" not in str(error.value)


def test_the_digest_follows_the_content_not_the_name(tmp_path: Path) -> None:
    for name, content in (("a.mp4", b"one"), ("b.mp4", b"one"), ("c.mp4", b"two")):
        (tmp_path / name).write_bytes(content)
    a, b, c = (describe_source(tmp_path / name, Limits()) for name in ("a.mp4", "b.mp4", "c.mp4"))
    assert a.digest == b.digest != c.digest
    assert (a.kind, a.size, a.uri) == (SourceKind.RECORDING, 3, str(tmp_path / "a.mp4"))


def test_a_folders_digest_follows_names_and_contents_of_its_images(tmp_path: Path) -> None:
    images = scene(3)
    one, two = write_images(tmp_path / "one", images), write_images(tmp_path / "two", images)
    (two / "notes.txt").write_text("not an image")
    first = describe_source(one, Limits())
    assert first.kind is SourceKind.FOLDER
    assert first.digest == describe_source(two, Limits()).digest
    (two / "frame1.png").rename(two / "frame9.png")
    assert first.digest != describe_source(two, Limits()).digest


def test_images_of_a_folder_come_in_natural_order(tmp_path: Path) -> None:
    for name in ("10.jpg", "9.png", "1.JPG", "01.jpg", ".hidden.jpg", "a.jpg.part", "clip.mp4"):
        (tmp_path / name).write_bytes(b"x")
    assert [path.name for path in images_in(tmp_path, Limits())] == ["1.JPG", "01.jpg", "9.png", "10.jpg"]


def test_a_link_in_a_folder_that_leaves_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(b"x")
    folder = tmp_path / "batch"
    folder.mkdir()
    (folder / "1.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(PathNotAllowed, match=r"1\.png"):
        images_in(folder, Limits())


def test_a_loop_of_links_in_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "1.png").symlink_to("1.png")
    with pytest.raises(BadSource, match=r"loop|links"):
        images_in(tmp_path, Limits())


def test_what_cannot_be_a_source_says_why_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "large.mp4").write_bytes(b"x" * 100)
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "bare").mkdir()
    os.mkfifo(tmp_path / "pipe.mp4")
    limits = Limits(max_file_bytes=50)
    for name, said in {
        "empty.mp4": "is empty",
        "large.mp4": "SENTINEL_MAX_FILE_BYTES",
        "notes.txt": "no video",
        "bare": "holds no images",
        "pipe.mp4": "no regular file",
        "gone.mp4": "cannot be read",
    }.items():
        with pytest.raises(BadSource, match=said) as error:
            describe_source(tmp_path / name, limits)
        assert name in str(error.value)
    many = write_images(tmp_path / "many", scene(3))
    with pytest.raises(BadSource, match="SENTINEL_MAX_FOLDER_FILES"):
        describe_source(many, Limits(max_folder_files=2))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_read_permission_is_named(tmp_path: Path) -> None:
    path = tmp_path / "locked.mp4"
    path.write_bytes(b"x")
    path.chmod(0)
    with pytest.raises(BadSource, match=r"locked\.mp4.*permission"):
        describe_source(path, Limits())


def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"\xff.mp4")
    try:
        path.write_bytes(b"x")
    except OSError:
        pytest.skip("this file system allows no such name")
    with pytest.raises(BadSource, match="UTF-8"):
        describe_source(path, Limits())


def test_kinds_follow_names(tmp_path: Path) -> None:
    assert describe_kind(tmp_path) is SourceKind.FOLDER
    assert describe_kind(Path("a.MP4")) is SourceKind.RECORDING
    assert describe_kind(Path("a.JPeG")) is SourceKind.IMAGE
    assert is_media(Path("a.webm"))
    assert not is_media(Path(".a.webm"))


def test_limits_are_the_settings(settings: Settings) -> None:
    assert Limits.from_settings(settings) == Limits()
    for number, name in enumerate((field.name for field in fields(Limits)), start=1):
        changed = Limits.from_settings(settings.model_copy(update={name: number}))
        assert changed == replace(Limits(), **{name: number})
