"""Decoding still images: from files, folders and memory, intact and damaged; and small pictures of any source."""

from __future__ import annotations

import resource
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from common.contracts.batches import SourceKind
from common.errors import BadSource
from common.modalities.video.decode import Frame, decode_image, probe, probe_image, sampled_frames
from common.modalities.video.frame_converter import StillPicture
from common.sources.limits import Limits
from tests.footage import close, same, scene, write_clip, write_images

LIMITS = Limits()


def read(
    path: Path, kind: SourceKind, fps: float | None = None, start: int = 0, stop: int | None = None
) -> list[Frame]:
    return list(sampled_frames(path, kind, sample_fps=fps, start=start, stop=stop, limits=LIMITS))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp", ".tiff", ".ppm", ".jp2", ".avif"])
def test_a_still_is_read_in_any_common_format(tmp_path: Path, suffix: str) -> None:
    image = scene(1, width=98, height=70)[0]
    try:
        folder = write_images(tmp_path, [image], suffix=suffix)
    except cv2.error:
        pytest.skip(f"this OpenCV writes no {suffix}")
    path = folder / f"frame1{suffix}"
    info = probe(path, SourceKind.IMAGE, LIMITS)
    assert (info.width, info.height, info.frames) == (98, 70, 1)
    (frame,) = read(path, SourceKind.IMAGE, 5.0)
    assert (frame.index, frame.time, frame.image.shape) == (0, 0.0, (70, 98, 3))
    assert close(frame.image, image)


def test_grey_transparent_and_16_bit_images_become_rgb(tmp_path: Path) -> None:
    colour = scene(1)[0]
    grey = cv2.cvtColor(colour, cv2.COLOR_RGB2GRAY)
    variants = {
        "grey.png": (grey, np.repeat(grey[..., None], 3, axis=2)),
        "alpha.png": (cv2.cvtColor(colour, cv2.COLOR_RGB2BGRA), colour),
        "deep.png": (cv2.cvtColor(colour, cv2.COLOR_RGB2BGR).astype(np.uint16) * 257, colour),
        "deep.tiff": (grey.astype(np.uint16) * 257, np.repeat(grey[..., None], 3, axis=2)),
    }
    for name, (stored, expected) in variants.items():
        assert cv2.imwrite(str(tmp_path / name), stored)
        (frame,) = read(tmp_path / name, SourceKind.IMAGE)
        assert frame.image.dtype == np.uint8
        assert np.abs(frame.image.astype(int) - expected).max() <= 1, name


def test_a_folder_yields_all_its_images_in_order_whatever_the_rate(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "batch", scene(12))
    info = probe(folder, SourceKind.FOLDER, LIMITS)
    assert (info.frames, info.kind) == (12, SourceKind.FOLDER)
    whole = read(folder, SourceKind.FOLDER, 0.2)
    assert [frame.index for frame in whole] == list(range(12))
    assert all(np.array_equal(frame.image, image) for frame, image in zip(whole, scene(12), strict=True))
    assert same(read(folder, SourceKind.FOLDER, 0.2, 5, 9), whole[5:9])


def huge_png(side: int) -> bytes:
    """Return a valid PNG of `side` x `side` black pixels, a few kilobytes per hundred million pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    packer = zlib.compressobj(9)
    row = bytes(1 + side * 3)
    rows = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_a_huge_image_is_refused_without_being_decoded(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    path.write_bytes(huge_png(20_000))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for attempt in (
        lambda: probe(path, SourceKind.IMAGE, LIMITS),
        lambda: read(path, SourceKind.IMAGE),
        lambda: decode_image(path.read_bytes(), "huge.png", LIMITS),
    ):
        with pytest.raises(BadSource, match=r"huge\.png is 20000 x 20000.*SENTINEL_MAX_PIXELS"):
            attempt()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 200_000, "kilobytes; decoded it takes 1,200,000"


def test_bad_images_are_refused_by_name(tmp_path: Path) -> None:
    good = scene(1)[0]
    assert cv2.imwrite(str(tmp_path / "dot.png"), np.zeros((1, 1, 3), np.uint8))
    assert cv2.imwrite(str(tmp_path / "whole.jpg"), good)
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:900])
    (tmp_path / "notes.jpg").write_text("no image")
    (tmp_path / "empty.jpg").touch()
    for name, said in {
        "dot.png": "SENTINEL_MIN_SIDE",
        "cut.jpg": "cut short",
        "notes.jpg": "no image",
        "empty.jpg": "empty",
    }.items():
        with pytest.raises(BadSource, match=said) as error:
            read(tmp_path / name, SourceKind.IMAGE)
        assert name in str(error.value)


def test_a_folder_with_one_bad_image_is_refused_by_the_probe(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "batch", scene(3))
    (folder / "frame2.png").write_text("no image")
    with pytest.raises(BadSource, match=r"frame2\.png"):
        probe(folder, SourceKind.FOLDER, LIMITS)


def test_an_image_decodes_equally_from_memory_and_from_a_file(tmp_path: Path) -> None:
    path = write_images(tmp_path, scene(1), suffix=".jpg") / "frame1.jpg"
    data = path.read_bytes()
    (frame,) = read(path, SourceKind.IMAGE)
    assert np.array_equal(decode_image(data, "event 1", LIMITS), frame.image)
    assert probe_image(data, "event 1", LIMITS) == probe(path, SourceKind.IMAGE, LIMITS)
    with pytest.raises(BadSource, match="event 2"):
        decode_image(b"no image", "event 2", LIMITS)


@pytest.mark.parametrize(
    ("width", "height", "side"), [(128, 64, 32), (1280, 720, 40), (100, 1000, 50), (640, 480, 224)]
)
def test_each_pixel_of_a_small_picture_is_the_mean_of_its_area(width: int, height: int, side: int) -> None:
    image = np.full((height, width, 3), 60, np.uint8)
    image[:, ::2] = 180  # detail that must vanish, not alias
    image[: height // 2] //= 2
    small = StillPicture(image).small(side)
    assert small.shape == (side, side, 3) and small.dtype == np.uint8
    assert np.abs(small.astype(float) - cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)).max() <= 3
    noise = np.random.default_rng(0).integers(40, 216, (height, width, 3), dtype=np.uint8)
    by_opencv = cv2.resize(noise, (side, side), interpolation=cv2.INTER_AREA).astype(float)
    assert abs((StillPicture(noise).small(side) - by_opencv).mean()) < 0.6


def test_a_video_and_its_frames_as_images_give_similar_pictures(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", scene(5))
    for frame in read(path, SourceKind.RECORDING):
        still = StillPicture(frame.image)
        off = frame.picture.small(32).astype(int) - still.small(32)
        assert abs(off.mean()) < 0.7 and np.abs(off).mean() < 4  # what RGB clips is lost
        assert np.abs(frame.picture.planes().bands.astype(int) - still.planes().bands).mean() < 1.5
