"""Packets to segments: whole groups, true times, nothing twice; from real files in the place of a camera."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import cv2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import CameraUnavailable
from common.sources.capture_time import time_in_name
from producers.cameras.clock import ArrivalClock
from producers.cameras.packets import Repeats, picture_format, whole_pictures
from producers.cameras.segments import Segment, Segmenter
from tests.footage import scene, write_clip
from tests.producers.live import FPS, camera_clip

STARTED = 1_790_000_000.0


def packets_of(path: Path) -> Iterator[av.Packet]:
    with av.open(str(path)) as container:
        yield from (packet for packet in container.demux(video=0) if packet.size)


def stored(tmp_path: Path, clip: Path, **own: object) -> tuple[list[Segment], Segmenter]:
    """Send a clip's packets at their rate, on a clock of our own, and return its segments."""
    found: list[Segment] = []
    options = {"seconds": 2.0, "keys_only": False, "most_bytes": 10**9, "not_before": 0.0, **own}
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        segmenter = Segmenter("dock", tmp_path / "spool", stream, done=found.append, **options)  # type: ignore[arg-type]
        for packet in whole_pictures(p for p in container.demux(stream) if p.size):
            assert packet.dts is not None and stream.time_base is not None
            segmenter.add(packet, STARTED + float(packet.dts * stream.time_base))
        segmenter.finish()
    return found, segmenter


def count(path: Path) -> int:
    """Return how many pictures a file shows; each must be decodable."""
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


@pytest.mark.parametrize("frames_reordered", [False, True])
def test_every_frame_is_in_one_segment_and_each_can_be_decoded_alone(tmp_path: Path, frames_reordered: bool) -> None:
    options = {"bf": "3" if frames_reordered else "0"}
    clip = write_clip(tmp_path / "a.mp4", scene(75), fps=FPS, gop=10, options=options)
    segments, segmenter = stored(tmp_path, clip)
    assert [count(segment.path) for segment in segments] == [20, 20, 20, 15]
    assert segmenter.dropped == 0
    assert {file.name for file in (tmp_path / "spool").iterdir()} == {segment.path.name for segment in segments}


def test_segments_are_named_by_the_time_when_they_were_taken(tmp_path: Path) -> None:
    segments, _ = stored(tmp_path, camera_clip(tmp_path / "a.mp4", 8))
    assert [segment.began for segment in segments] == pytest.approx([STARTED + 2 * n for n in range(4)], abs=1e-3)
    for segment in segments:
        assert time_in_name(segment.path) == pytest.approx(segment.began, abs=1e-5)


def test_what_a_connection_brings_never_begins_before_the_end_of_the_one_before(tmp_path: Path) -> None:
    clip = camera_clip(tmp_path / "a.mp4", 4)
    before, segmenter = stored(tmp_path, clip)
    after, _ = stored(tmp_path, clip, not_before=segmenter.ended)
    assert after[0].began >= before[-1].began + 1.9
    assert len({segment.path for segment in (*before, *after)}) == 4


def test_key_frames_alone_are_stored_where_no_more_is_wanted(tmp_path: Path) -> None:
    segments, _ = stored(tmp_path, camera_clip(tmp_path / "a.mp4", 8), keys_only=True, seconds=4.0)
    assert [count(segment.path) for segment in segments] == [4, 4]


def test_a_camera_without_key_frames_ends_its_segments_all_the_same(tmp_path: Path) -> None:
    clip = camera_clip(tmp_path / "a.mp4", 40, gop=1000)
    segments, segmenter = stored(tmp_path, clip, seconds=2.0)
    assert [count(segment.path) for segment in segments] == [121]
    assert segmenter.dropped > 0, "what follows cannot be decoded until the next key frame"


def test_a_segment_that_grows_too_large_ends_before_its_time(tmp_path: Path) -> None:
    clip = camera_clip(tmp_path / "a.mp4", 12, gop=30)
    segments, _ = stored(tmp_path, clip, seconds=60.0, most_bytes=clip.stat().st_size // 8)
    assert len(segments) > 1
    assert all(segment.size < clip.stat().st_size / 2 for segment in segments)


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_segment_that_cannot_be_written_leaves_no_file_and_no_open_one(tmp_path: Path) -> None:
    clip = camera_clip(tmp_path / "a.mp4", 4)
    with files_of_at_most(1000), pytest.raises(CameraUnavailable, match="cannot be stored"):
        stored(tmp_path, clip)
    assert not list((tmp_path / "spool").iterdir())
    opened = [str(link.readlink()) for link in Path("/proc/self/fd").glob("*") if link.is_symlink()]
    assert not [name for name in opened if "unfinished" in name]


def test_a_segment_whose_name_is_taken_by_a_folder_leaves_no_file(tmp_path: Path) -> None:
    clip = camera_clip(tmp_path / "a.mp4", 2)
    (segment,) = stored(tmp_path, clip)[0]
    segment.path.unlink()
    segment.path.mkdir()
    with pytest.raises(CameraUnavailable, match="cannot be stored"):
        stored(tmp_path, clip)
    assert list((tmp_path / "spool").iterdir()) == [segment.path]


def test_pictures_by_http_tell_their_size(tmp_path: Path) -> None:
    def size_of(width: int, height: int) -> bytes:
        (frame,) = scene(1, width=width, height=height)
        return picture_format(av.Packet(cv2.imencode(".jpg", frame)[1].tobytes()), "mjpeg")

    assert size_of(96, 64) == (64).to_bytes(2, "big") + (96).to_bytes(2, "big") == size_of(96, 64)
    assert size_of(192, 64) != size_of(96, 64)


@given(st.binary(max_size=200))
def test_whatever_a_packet_holds_its_format_is_asked_without_harm(data: bytes) -> None:
    for codec in ("mjpeg", "h264", "hevc", "vp9"):
        for head in (b"", b"\xff\xd8\xff", b"\x00\x00\x01\x67"):
            assert len(picture_format(av.Packet(head + data), codec)) <= len(head + data)


def test_slices_that_come_as_packets_of_their_own_become_one_picture(tmp_path: Path) -> None:
    clip = camera_clip(tmp_path / "a.mp4", 2)

    def torn() -> Iterator[av.Packet]:
        for packet in packets_of(clip):
            data = bytes(packet)
            for part in (data[:9], data[9:]):
                piece = av.Packet(part)
                piece.pts, piece.dts, piece.time_base = packet.pts, packet.dts, packet.time_base
                piece.is_keyframe = packet.is_keyframe
                yield piece

    whole = [bytes(packet) for packet in packets_of(clip)]
    assert [bytes(packet) for packet in whole_pictures(torn())] == whole


@pytest.mark.parametrize(("size", "most"), [(10, 1024), (1_000_000, 32)])
def test_a_camera_whose_timestamps_stand_still_is_given_up_before_it_fills_memory(size: int, most: int) -> None:
    asked = 0

    def still() -> Iterator[av.Packet]:
        nonlocal asked
        while asked < 10_000:
            asked += 1
            packet = av.Packet(size)
            packet.pts, packet.dts, packet.time_base = 7, 7, Fraction(1, 90_000)
            yield packet

    with pytest.raises(CameraUnavailable, match="its timestamps stand still"):
        list(whole_pictures(still()))
    assert asked == most + 1


def test_pictures_of_another_size_are_told_by_their_parameters(tmp_path: Path) -> None:
    def made_as(name: str, width: int) -> bytes:
        clip = write_clip(tmp_path / name, scene(20, width=width), fps=FPS, gop=10, options={"bf": "0"})
        formats = {picture_format(packet, "h264") for packet in packets_of(clip) if packet.is_keyframe}
        (only,) = formats
        return only

    small, large = made_as("a.ts", 96), made_as("b.ts", 192)  # a transport stream has them in its packets
    assert small and large and small != large
    assert picture_format(next(packets_of(tmp_path / "a.ts")), "mpeg4") == b""


def test_what_a_camera_sends_again_after_a_reconnect_is_told_from_what_is_new(tmp_path: Path) -> None:
    keys = [packet for packet in packets_of(camera_clip(tmp_path / "a.mp4", 12)) if packet.is_keyframe]
    repeats = Repeats()
    assert not any(repeats.is_again(key) for key in keys[:6])
    repeats.reconnected()
    assert [repeats.is_again(key) for key in (keys[4], keys[5], keys[6], keys[5])] == [True, True, False, False]


def test_a_frozen_camera_is_not_left_out_for_long(tmp_path: Path) -> None:
    key = next(packets_of(camera_clip(tmp_path / "a.mp4", 1)))
    repeats = Repeats()
    assert not any(repeats.is_again(key) for _ in range(10)), "within a connection nothing is a repetition"
    repeats.reconnected()
    assert [repeats.is_again(key) for _ in range(10)].count(True) == 1


@given(
    delays=st.lists(st.floats(0, 20), min_size=1, max_size=200),
    step=st.floats(0.01, 1.0),
    began=st.floats(-1e6, 1e6),
)
def test_a_time_is_never_before_the_truth_nor_after_the_arrival(delays: list[float], step: float, began: float) -> None:
    clock, taken = ArrivalClock(), STARTED
    for delay in delays:
        taken += step
        seconds = began + taken - STARTED
        clock.note(seconds, taken + delay)
        said = clock.time_of(seconds)
        assert taken - 1e-3 <= said <= taken + delay + 1e-3


def test_timestamps_that_jump_begin_a_new_segment(tmp_path: Path) -> None:
    found: list[Segment] = []
    with av.open(str(camera_clip(tmp_path / "a.mp4", 6))) as container:
        stream = container.streams.video[0]
        segmenter = Segmenter(
            "dock", tmp_path / "spool", stream, seconds=60, keys_only=False, most_bytes=10**9, not_before=0,
            done=found.append,
        )  # fmt: skip
        for number, packet in enumerate(p for p in container.demux(stream) if p.size):
            assert packet.pts is not None
            jump = round(1000 / Fraction(stream.time_base or 1)) if number >= 30 else 0
            packet.pts, packet.dts = packet.pts + jump, packet.pts + jump
            segmenter.add(packet, STARTED + number / FPS)
        segmenter.finish()
    assert [count(segment.path) for segment in found] == [30, 30]
    assert [b.began - a.began for a, b in pairwise(found)] == pytest.approx([3.0], abs=0.01)
