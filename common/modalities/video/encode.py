"""Writes frames to a video file, nearly without loss."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from common.errors import BadSource
from common.features import Image
from common.modalities.video.colour import FromRgb
from common.modalities.video.frame import Frame
from common.whole_files import whole_file

_CLOCK = 90_000  # ticks per second, as in MPEG: a frame of any common rate lasts a whole number of ticks
_TICK = Fraction(1, _CLOCK)
_MAX_DENOMINATOR = 1_000_000  # of a frame rate as a fraction


# Re-encoding must not look like drift. At crf 12 the blockiness of footage that was compressed before moves by 3 of its
# standard deviations within a window; at crf 4 by 1.3, at twice the file size. Few players support crf 0 (lossless).
# The preset moves no reading by more than "veryfast" does (0.2 of its minimum effect), in a quarter of its time, and
# decoding takes half as long; files are 1.5 to 1.9 times as large.
_H264 = ("libx264", {"crf": "4", "preset": "ultrafast"})
_VP9 = ("libvpx-vp9", {"crf": "4", "b": "0", "deadline": "realtime", "cpu-used": "6"})
_ENCODERS = {
    **dict.fromkeys((".mp4", ".m4v", ".mov", ".mkv", ".3gp", ".flv", ".ts", ".mts", ".m2ts"), _H264),
    ".webm": _VP9,
}


def writable_suffix(suffix: str) -> str:
    """Return `suffix` if videos can be written in that format, else ".mp4"."""
    return suffix if suffix.lower() in _ENCODERS else ".mp4"


def write_video(path: Path, images: Iterable[Image], fps: float, *, title: str | None = None) -> int:
    """Write `images` at a constant rate and return their number; see `write_frames`.

    Parameters
    ----------
    images : each (height, width, 3) uint8, RGB
    fps : frames per second
    """
    frames = (Frame.of(image, i, i / fps) for i, image in enumerate(images))
    return write_frames(path, frames, fps, title=title)


def write_frames(
    path: Path,
    frames: Iterable[Frame],
    fps: float,
    *,
    title: str | None = None,
    damage: Callable[[bytes, int], bytes] | None = None,
) -> int:
    """Write `frames`, each at its time, to a video at `path` and return their number.

    The file appears at `path` when it is complete, and replaces an existing one.
    Where a side of the frames has an odd length, the last row or column is
    dropped, because 4:2:0 requires even lengths.

    Parameters
    ----------
    path : its suffix determines the container
    frames : in order of time
    fps : nominal frames per second
    title : written to the metadata; makes files with equal frames differ
    damage : returns what is written of a packet, given its bytes and its number; None: the packets as they are

    Raises
    ------
    BadSource
        If there are no frames, frames of different sizes, or the video cannot be written under this name.
    """
    if path.suffix.lower() not in _ENCODERS:
        raise BadSource(f"{path}: videos can be written as {' '.join(_ENCODERS)}; choose one of these names")
    try:
        with whole_file(path) as staging, av.open(str(staging), "w") as container:
            if title is not None:
                container.metadata["title"] = title
            return _encode(container, frames, fps, path, damage or _whole)
    except OSError as error:
        raise BadSource(
            f"{path} cannot be written: {error.strerror or error}; free space, or name another folder"
        ) from error


def _whole(packet: bytes, _number: int) -> bytes:
    return packet


def _encode(
    container: OutputContainer, frames: Iterable[Frame], fps: float, path: Path, damage: Callable[[bytes, int], bytes]
) -> int:
    stream: VideoStream | None = None
    from_rgb, count, last, written = FromRgb(), 0, -1, 0

    def mux(packets: list[Packet[VideoStream]]) -> None:
        nonlocal written
        for packet in packets:
            container.mux(_with_bytes(packet, damage(bytes(packet), written)))
            written += 1

    for frame in frames:
        if stream is None:
            stream = _open_stream(container, frame.image, fps, path)
            shape = frame.image.shape
        if frame.image.shape != shape:
            raise BadSource(f"{path}: frame {count} has another size than the first: write a video for each size")
        picture = from_rgb(frame.image[: stream.height, : stream.width])
        last = max(last + 1, round(frame.time * _CLOCK))
        picture.pts, picture.time_base = last, _TICK
        mux(stream.encode(picture))
        count += 1
    if stream is None:
        raise BadSource(f"{path}: there are no frames to write")
    mux(stream.encode(None))
    return count


def _with_bytes(packet: Packet[VideoStream], data: bytes) -> Packet[VideoStream]:
    """Return `packet` with other bytes."""
    if data == bytes(packet):
        return packet
    other = cast("Packet[VideoStream]", Packet(data))
    other.stream, other.time_base = packet.stream, packet.time_base
    other.pts, other.dts, other.duration = packet.pts, packet.dts, packet.duration
    other.is_keyframe = packet.is_keyframe
    return other


def _open_stream(container: OutputContainer, image: Image, fps: float, path: Path) -> VideoStream:
    encoder, options = _ENCODERS[path.suffix.lower()]
    rate = Fraction(fps).limit_denominator(_MAX_DENOMINATOR)
    # One key frame per second, so that a part of the video can be read without decoding everything before it.
    stream = container.add_stream(encoder, rate=rate, options={**options, "g": str(max(1, round(fps)))})
    assert isinstance(stream, VideoStream)  # the encoders above are all of video
    stream.width, stream.height = image.shape[1] // 2 * 2, image.shape[0] // 2 * 2
    stream.pix_fmt = "yuv420p"
    stream.codec_context.time_base = _TICK
    return stream
