"""Decoding real files: whole and in parts, sound and broken."""

from __future__ import annotations

import os
import resource
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from common.contracts.batches import SourceKind
from common.errors import BadSource
from common.features import Image
from common.modalities.video import decoder
from common.modalities.video.decode import DECODE_PIPELINE, Frame, decode_image, probe, probe_image, sampled_frames
from common.modalities.video.encode import write_video
from common.modalities.video.frame_converter import StillPicture
from common.sources.local import Limits
from tests.footage import same, scene, write_clip, write_images

LIMITS = Limits()
FRAMES = scene(60)
UNEVEN = [round(t, 3) for t in np.cumsum([0.0] + [0.02, 0.04, 0.04, 0.11, 0.5] * 12)[:60].tolist()]


def read(
    path: Path, fps: float | None = None, start: int = 0, stop: int | None = None, kind: SourceKind = SourceKind.VIDEO
) -> list[Frame]:
    return list(sampled_frames(path, kind, sample_fps=fps, start=start, stop=stop, limits=LIMITS))


def close(left: Image, right: Image) -> bool:
    return float(np.abs(left.astype(float) - right).mean()) < 12.0


CLIPS: dict[str, dict[str, object]] = {
    "bframes.mp4": {},
    "long-gop.mp4": {"gop": 250},
    "short-gop.mp4": {"gop": 3},
    "intra.mp4": {"gop": 1},
    "open-gop.mp4": {"options": {"x264-params": "open-gop=1:bframes=3"}},
    "refreshed-by-and-by.mp4": {"gop": 20, "options": {"intra-refresh": "1", "bf": "0"}},
    "uneven.mp4": {"times": UNEVEN},
    "uneven.mkv": {"times": UNEVEN},
    "bframes.mkv": {},
    "bframes.ts": {},
    "reordered.avi": {},
    "bframes.avi": {"codec": "mpeg4", "options": {"bf": "2", "b": "20000000"}},
    "raw.h264": {},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8"}},
    "program-stream.mpg": {"codec": "mpeg2video", "options": {"bf": "2", "b": "20000000"}},
    "motion.mjpeg": {"codec": "mjpeg", "pixels": "yuvj420p"},
}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for name, options in CLIPS.items():
        write_clip(folder / name, FRAMES, **options)  # type: ignore[arg-type]
    return folder


@pytest.mark.parametrize("name", CLIPS)
def test_a_clip_gives_all_its_frames_in_order_and_its_parts_are_the_whole(clips: Path, name: str) -> None:
    whole = read(clips / name)
    assert [frame.index for frame in whole] == list(range(60))
    assert all(close(frame.image, image) for frame, image in zip(whole, FRAMES, strict=True))
    for fps, chunk in ((None, 7), (None, 25), (6.0, 4)):
        entire = whole if fps is None else read(clips / name, fps)
        assert len(entire) == 60 if fps is None else 10 < len(entire) < 40
        assert [frame.index for frame in entire] == list(range(len(entire)))
        edges = range(0, len(entire) + chunk, chunk)
        parts = [f for start in edges for f in read(clips / name, fps, start, start + chunk)]
        assert same(parts, entire), f"{name} in parts of {chunk} at {fps} a second"


@hypothesis_settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(["bframes.mp4", "uneven.mp4", "open-gop.mp4"]),
    fps=st.none() | st.floats(0.5, 40),
    start=st.integers(0, 70),
    size=st.integers(1, 70),
)
def test_any_part_is_that_part_of_the_whole(clips: Path, name: str, fps: float | None, start: int, size: int) -> None:
    assert same(read(clips / name, fps, start, start + size), read(clips / name, fps)[start : start + size])


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize("fps", [0.7, 2.0, 6.0])
def test_a_sampled_frame_is_the_one_that_reading_everything_gives(clips: Path, name: str, fps: float) -> None:
    whole = {frame.time: frame.image for frame in read(clips / name)}
    sampled = read(clips / name, fps)
    assert 1 <= len(sampled) < 40
    assert all(np.array_equal(frame.image, whole[frame.time]) for frame in sampled)


def test_what_no_sampled_frame_leans_on_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_clip(tmp_path / "camera.mp4", scene(100), gop=25)
    fed = []
    real = decoder._tried
    monkeypatch.setattr(
        decoder, "_tried", lambda codec, packet, trouble: fed.append(packet) or real(codec, packet, trouble)
    )
    assert [frame.time for frame in read(path, 1.0)] == [0.0, 1.0, 2.0, 3.0]
    assert len([packet for packet in fed if packet is not None]) == 4, "key frames only"
    fed.clear()
    assert len(read(path, 2.0)) == 8
    assert len([packet for packet in fed if packet is not None]) < 75, "up to the last one in each second"


@pytest.mark.parametrize("name", ["uneven.mp4", "uneven.mkv"])
def test_times_are_those_of_the_frames(clips: Path, name: str) -> None:
    assert [frame.time for frame in read(clips / name)] == pytest.approx(UNEVEN, abs=2e-3)


@pytest.mark.parametrize("name", CLIPS)
def test_a_probe_says_what_decoding_finds(clips: Path, name: str) -> None:
    info = probe(clips / name, SourceKind.VIDEO, LIMITS)
    assert (info.width, info.height, info.frames) == (96, 64, 60)
    assert info.duration > 0 and info.fps > 0


def test_a_part_beyond_the_end_gives_nothing(clips: Path) -> None:
    assert read(clips / "bframes.mp4", None, 60, 90) == []
    assert len(read(clips / "bframes.mp4", None, 50, 90)) == 10


def test_odd_sizes_and_sizes_that_change_in_mid_stream_are_fine(tmp_path: Path) -> None:
    odd = write_clip(tmp_path / "odd.mkv", scene(5, width=97, height=65), codec="ffv1", pixels="yuv444p")
    assert {frame.image.shape for frame in read(odd)} == {(65, 97, 3)}
    joined = tmp_path / "joined.ts"
    parts = [write_clip(tmp_path / f"{w}.h264", scene(6, width=w), options={"bf": "0"}) for w in (96, 128)]
    joined = tmp_path / "joined.h264"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    assert [frame.image.shape[1] for frame in read(joined)] == [96] * 6 + [128] * 6


def test_a_copy_of_a_copy_keeps_its_brightness(tmp_path: Path) -> None:
    images = FRAMES
    for generation in range(4):
        path = tmp_path / f"{generation}.mp4"
        write_video(path, images, 25.0)
        images = [frame.image for frame in read(path)]
    lost = np.mean([image.mean() for image in images]) - np.mean([image.mean() for image in FRAMES])
    assert abs(lost) < 0.5, "a conversion that rounds down loses a grey level each time"


# --- broken video ----------------------------------------------------------------------------------


def test_a_video_cut_short_gives_the_frames_it_has(clips: Path, tmp_path: Path) -> None:
    whole = (clips / "bframes.ts").read_bytes()
    cut = tmp_path / "cut.ts"
    cut.write_bytes(whole[: len(whole) // 2])
    found = read(cut)
    assert 5 < len(found) < 60
    assert probe(cut, SourceKind.VIDEO, LIMITS).frames < 60


def test_damage_in_the_middle_costs_the_frames_it_hits(clips: Path, tmp_path: Path) -> None:
    data = bytearray((clips / "bframes.mp4").read_bytes())
    at = data.index(b"mdat")
    middle = at + (len(data) - at) // 3
    data[middle : middle + 200] = os.urandom(200)
    path = tmp_path / "damaged.mp4"
    path.write_bytes(data)
    found = read(path)
    assert len(found) > 30
    indices = [frame.index for frame in found]
    assert indices == sorted(set(indices))
    assert close(found[-1].image, FRAMES[-1]), "after the next key frame all is well"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("notes.mp4", b"this is no video\n" * 100),
        ("empty.mp4", b""),
        ("zeros.avi", bytes(5000)),
        ("script.mp4", b"ffconcat version 1.0\nfile other.mp4\n"),
        ("playlist.mp4", b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"),
        ("subtitles.mkv", b"1\n00:00:00,000 --> 00:00:09,000\nHello\n"),
    ],
)
def test_what_is_no_video_is_refused_by_name(clips: Path, tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / "other.mp4").write_bytes((clips / "bframes.mp4").read_bytes())
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BadSource, match=name):
        probe(path, SourceKind.VIDEO, LIMITS)
    with pytest.raises(BadSource, match=name):
        read(path)


def test_a_header_without_its_index_is_refused(clips: Path, tmp_path: Path) -> None:
    path = tmp_path / "headless.mp4"
    path.write_bytes((clips / "bframes.mp4").read_bytes()[:2000])
    with pytest.raises(BadSource, match=r"headless\.mp4.*cut short"):
        probe(path, SourceKind.VIDEO, LIMITS)


def test_frames_over_the_limits_are_refused(clips: Path) -> None:
    for limits, setting in (
        (Limits(max_pixels=1000), "SENTINEL_MAX_PIXELS"),
        (Limits(max_frames=10), "SENTINEL_MAX_FRAMES"),
        (Limits(max_seconds=0.5), "SENTINEL_MAX_SECONDS"),
        (Limits(min_side=65), "SENTINEL_MIN_SIDE"),
    ):
        with pytest.raises(BadSource, match=setting):
            probe(clips / "bframes.mp4", SourceKind.VIDEO, limits)
    with pytest.raises(BadSource, match=r"bframes\.mp4"):
        video = clips / "bframes.mp4"
        list(
            sampled_frames(video, SourceKind.VIDEO, sample_fps=None, start=0, stop=None, limits=Limits(max_pixels=1000))
        )


# --- stills -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp", ".tiff", ".ppm", ".jp2", ".avif"])
def test_a_still_is_read_in_any_usual_format(tmp_path: Path, suffix: str) -> None:
    image = scene(1, width=98, height=70)[0]
    try:
        folder = write_images(tmp_path, [image], suffix=suffix)
    except cv2.error:
        pytest.skip(f"this OpenCV writes no {suffix}")
    path = folder / f"frame1{suffix}"
    info = probe(path, SourceKind.IMAGE, LIMITS)
    assert (info.width, info.height, info.frames) == (98, 70, 1)
    (frame,) = read(path, 5.0, kind=SourceKind.IMAGE)
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
        (frame,) = read(tmp_path / name, kind=SourceKind.IMAGE)
        assert frame.image.dtype == np.uint8
        assert np.abs(frame.image.astype(int) - expected).max() <= 1, name


def test_a_folder_gives_all_its_images_in_order_whatever_the_rate(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "batch", scene(12))
    info = probe(folder, SourceKind.FOLDER, LIMITS)
    assert (info.frames, info.kind) == (12, SourceKind.FOLDER)
    whole = read(folder, 0.2, kind=SourceKind.FOLDER)
    assert [frame.index for frame in whole] == list(range(12))
    assert all(np.array_equal(frame.image, image) for frame, image in zip(whole, scene(12), strict=True))
    assert same(read(folder, 0.2, 5, 9, SourceKind.FOLDER), whole[5:9])


def huge_png(side: int) -> bytes:
    """A real PNG of `side` x `side` black pixels in a few kilobytes a hundred million pixels."""

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
        lambda: read(path, kind=SourceKind.IMAGE),
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
            read(tmp_path / name, kind=SourceKind.IMAGE)
        assert name in str(error.value)


def test_one_bad_image_spoils_a_folder_before_it_is_accepted(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "batch", scene(3))
    (folder / "frame2.png").write_text("no image")
    with pytest.raises(BadSource, match=r"frame2\.png"):
        probe(folder, SourceKind.FOLDER, LIMITS)


def test_an_image_in_memory_is_the_image_in_a_file(tmp_path: Path) -> None:
    path = write_images(tmp_path, scene(1), suffix=".jpg") / "frame1.jpg"
    data = path.read_bytes()
    (frame,) = read(path, kind=SourceKind.IMAGE)
    assert np.array_equal(decode_image(data, "event 1", LIMITS), frame.image)
    assert probe_image(data, "event 1", LIMITS) == probe(path, SourceKind.IMAGE, LIMITS)
    with pytest.raises(BadSource, match="event 2"):
        decode_image(b"no image", "event 2", LIMITS)


@pytest.mark.parametrize(
    ("width", "height", "side"), [(128, 64, 32), (1280, 720, 40), (100, 1000, 50), (640, 480, 224)]
)
def test_a_small_picture_is_the_mean_of_what_each_pixel_covers(width: int, height: int, side: int) -> None:
    image = np.full((height, width, 3), 60, np.uint8)
    image[:, ::2] = 180  # detail that must vanish, not alias
    image[: height // 2] //= 2
    small = StillPicture(image).small(side)
    assert small.shape == (side, side, 3) and small.dtype == np.uint8
    assert np.abs(small.astype(float) - cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)).max() <= 3
    noise = np.random.default_rng(0).integers(40, 216, (height, width, 3), dtype=np.uint8)
    by_opencv = cv2.resize(noise, (side, side), interpolation=cv2.INTER_AREA).astype(float)
    assert abs((StillPicture(noise).small(side) - by_opencv).mean()) < 0.6


def test_a_video_and_its_frames_as_images_look_alike(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", FRAMES[:5])
    for frame in read(path):
        still = StillPicture(frame.image)
        off = frame.picture.small(32).astype(int) - still.small(32)
        assert abs(off.mean()) < 0.7 and np.abs(off).mean() < 4  # what RGB clips is lost
        assert np.abs(frame.picture.planes().bands.astype(int) - still.planes().bands).mean() < 1.5


def test_the_route_names_what_decides_about_pixels() -> None:
    assert "opencv" in DECODE_PIPELINE and "swscale" in DECODE_PIPELINE
