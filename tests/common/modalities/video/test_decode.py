"""Decoding real files: whole and in parts, intact and damaged."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from common.contracts.batches import SourceKind
from common.errors import BadSource
from common.modalities.video import decoder
from common.modalities.video.decode import DECODE_PIPELINE, Frame, probe, sampled_frames
from common.modalities.video.encode import write_video
from common.sources.limits import Limits
from tests.footage import close, same, scene, write_clip

LIMITS = Limits()
FRAMES = scene(60)
UNEVEN = [round(t, 3) for t in np.cumsum([0.0] + [0.02, 0.04, 0.04, 0.11, 0.5] * 12)[:60].tolist()]


def read(path: Path, fps: float | None = None, start: int = 0, stop: int | None = None) -> list[Frame]:
    return list(sampled_frames(path, SourceKind.RECORDING, sample_fps=fps, start=start, stop=stop, limits=LIMITS))


CLIPS: dict[str, dict[str, object]] = {
    "bframes.mp4": {},
    "long-gop.mp4": {"gop": 250},
    "short-gop.mp4": {"gop": 3},
    "intra.mp4": {"gop": 1},
    "open-gop.mp4": {"options": {"x264-params": "open-gop=1:bframes=3"}},
    "gradual-refresh.mp4": {"gop": 20, "options": {"intra-refresh": "1", "bf": "0"}},
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
def test_a_clip_yields_all_its_frames_in_order_and_its_parts_make_up_the_whole(clips: Path, name: str) -> None:
    whole = read(clips / name)
    assert [frame.index for frame in whole] == list(range(60))
    assert all(close(frame.image, image) for frame, image in zip(whole, FRAMES, strict=True))
    for fps, chunk in ((None, 7), (None, 25), (6.0, 4)):
        entire = whole if fps is None else read(clips / name, fps)
        assert len(entire) == 60 if fps is None else 10 < len(entire) < 40
        assert [frame.index for frame in entire] == list(range(len(entire)))
        edges = range(0, len(entire) + chunk, chunk)
        parts = [f for start in edges for f in read(clips / name, fps, start, start + chunk)]
        assert same(parts, entire), f"{name} in parts of {chunk} at {fps} frames per second"


@hypothesis_settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(["bframes.mp4", "uneven.mp4", "open-gop.mp4"]),
    fps=st.none() | st.floats(0.5, 40),
    start=st.integers(0, 70),
    size=st.integers(1, 70),
)
def test_any_part_equals_that_slice_of_the_whole(
    clips: Path, name: str, fps: float | None, start: int, size: int
) -> None:
    assert same(read(clips / name, fps, start, start + size), read(clips / name, fps)[start : start + size])


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize("fps", [0.7, 2.0, 6.0])
def test_a_sampled_frame_equals_the_one_decoded_with_all_others(clips: Path, name: str, fps: float) -> None:
    whole = {frame.time: frame.image for frame in read(clips / name)}
    sampled = read(clips / name, fps)
    assert 1 <= len(sampled) < 40
    assert all(np.array_equal(frame.image, whole[frame.time]) for frame in sampled)


def test_frames_that_no_sampled_frame_references_are_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_clip(tmp_path / "camera.mp4", scene(100), gop=25)
    decoded = []
    real = decoder._decode_packet
    monkeypatch.setattr(
        decoder, "_decode_packet", lambda codec, packet, errors: decoded.append(packet) or real(codec, packet, errors)
    )
    assert [frame.time for frame in read(path, 1.0)] == [0.0, 1.0, 2.0, 3.0]
    assert len([packet for packet in decoded if packet is not None]) == 4, "key frames only"
    decoded.clear()
    assert len(read(path, 2.0)) == 8
    assert len([packet for packet in decoded if packet is not None]) < 75, "up to the last one in each second"


@pytest.mark.parametrize("name", ["uneven.mp4", "uneven.mkv"])
def test_times_are_the_presentation_timestamps(clips: Path, name: str) -> None:
    assert [frame.time for frame in read(clips / name)] == pytest.approx(UNEVEN, abs=2e-3)


@pytest.mark.parametrize("name", CLIPS)
def test_a_probe_declares_what_decoding_finds(clips: Path, name: str) -> None:
    info = probe(clips / name, SourceKind.RECORDING, LIMITS)
    assert (info.width, info.height, info.frames) == (96, 64, 60)
    assert info.duration > 0 and info.fps > 0


def test_a_part_beyond_the_end_is_empty(clips: Path) -> None:
    assert read(clips / "bframes.mp4", None, 60, 90) == []
    assert len(read(clips / "bframes.mp4", None, 50, 90)) == 10


def test_odd_sizes_and_sizes_that_change_within_a_stream_are_decoded(tmp_path: Path) -> None:
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


def test_a_truncated_video_yields_the_frames_it_has(clips: Path, tmp_path: Path) -> None:
    whole = (clips / "bframes.ts").read_bytes()
    cut = tmp_path / "cut.ts"
    cut.write_bytes(whole[: len(whole) // 2])
    found = read(cut)
    assert 5 < len(found) < 60
    assert probe(cut, SourceKind.RECORDING, LIMITS).frames < 60


def test_damage_in_the_middle_costs_only_the_frames_it_affects(clips: Path, tmp_path: Path) -> None:
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
def test_a_file_that_is_no_video_is_refused_by_name(clips: Path, tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / "other.mp4").write_bytes((clips / "bframes.mp4").read_bytes())
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BadSource, match=name):
        probe(path, SourceKind.RECORDING, LIMITS)
    with pytest.raises(BadSource, match=name):
        read(path)


def test_a_header_without_its_index_is_refused(clips: Path, tmp_path: Path) -> None:
    path = tmp_path / "headless.mp4"
    path.write_bytes((clips / "bframes.mp4").read_bytes()[:2000])
    with pytest.raises(BadSource, match=r"headless\.mp4.*cut short"):
        probe(path, SourceKind.RECORDING, LIMITS)


def test_frames_over_the_limits_are_refused(clips: Path) -> None:
    for limits, setting in (
        (Limits(max_pixels=1000), "SENTINEL_MAX_PIXELS"),
        (Limits(max_frames=10), "SENTINEL_MAX_FRAMES"),
        (Limits(max_seconds=0.5), "SENTINEL_MAX_SECONDS"),
        (Limits(min_side=65), "SENTINEL_MIN_SIDE"),
    ):
        with pytest.raises(BadSource, match=setting):
            probe(clips / "bframes.mp4", SourceKind.RECORDING, limits)
    with pytest.raises(BadSource, match=r"bframes\.mp4"):
        video = clips / "bframes.mp4"
        list(
            sampled_frames(
                video, SourceKind.RECORDING, sample_fps=None, start=0, stop=None, limits=Limits(max_pixels=1000)
            )
        )


def test_the_decode_pipeline_identifies_the_libraries_that_determine_pixels() -> None:
    assert "opencv" in DECODE_PIPELINE and "swscale" in DECODE_PIPELINE
