"""What a camera's packets need before they can be stored: whole pictures, times that ascend, nothing that came before.

All of it reads at most a packet's first bytes; nothing is decoded.
"""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import Iterable, Iterator
from typing import cast

import av
from av.packet import Packet
from av.video.stream import VideoStream

from common.errors import CameraUnavailable

_START_CODE = re.compile(rb"\x00\x00\x01(.)", re.DOTALL)
_HEADER_BYTES = 4096  # of a key frame, in which its parameter sets stand
_H264_SPS, _HEVC_SPS = 7, 33
# A JPEG is a row of segments: a mark, a kind, a length of two bytes; that of a frame holds precision, height and width.
_JPEG_BEGIN, _JPEG_HEAD, _JPEG_MARK = 2, 9, 0xFF
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_MOST_PARTS, _MOST_PART_BYTES = 1024, 32_000_000  # of one picture: beyond what any camera cuts one into
_REPEATED_KEYS = 4  # of the last key frames; cameras that repeat something after a reconnect repeat the last group


def whole_pictures(packets: Iterable[Packet[VideoStream]]) -> Iterator[Packet[VideoStream]]:
    """Yield packets of one picture each: some servers send the slices of one as packets with equal timestamps.

    A packet is yielded when the next one has come. Packets without a timestamp are left out; FFmpeg gives none to the
    first one of an RTSP stream.

    Raises
    ------
    CameraUnavailable
        If more packets have one timestamp than a picture can have.
    """
    held: list[Packet[VideoStream]] = []
    size = 0
    for packet in packets:
        if packet.pts is None:
            continue
        if held and packet.pts != held[0].pts:
            yield _joined(held)
            held, size = [], 0
        held.append(packet)
        size += packet.size
        if len(held) > 1 and (len(held) > _MOST_PARTS or size > _MOST_PART_BYTES):
            raise CameraUnavailable("its timestamps stand still")
    if held:
        yield _joined(held)


def _joined(parts: list[Packet[VideoStream]]) -> Packet[VideoStream]:
    first = parts[0]
    if len(parts) == 1:
        return first
    whole = cast("Packet[VideoStream]", av.Packet(b"".join(bytes(part) for part in parts)))
    whole.pts, whole.dts, whole.time_base = first.pts, first.dts, first.time_base
    whole.is_keyframe = any(part.is_keyframe for part in parts)
    whole.is_corrupt = any(part.is_corrupt for part in parts)
    return whole


def picture_format(packet: Packet[VideoStream], codec: str) -> bytes:
    """Return what says in a key frame how its pictures are made: a parameter set, or a JPEG's size; else nothing."""
    if codec == "mjpeg":
        return _jpeg_size(bytes(packet))
    if codec not in {"h264", "hevc"}:
        return b""
    head = bytes(memoryview(packet)[:_HEADER_BYTES])
    for start in _START_CODE.finditer(head):
        kind = start[1][0] & 0x1F if codec == "h264" else start[1][0] >> 1 & 0x3F
        if kind == (_H264_SPS if codec == "h264" else _HEVC_SPS):
            following = _START_CODE.search(head, start.end())
            return head[start.start(1) : following.start() if following else len(head)].rstrip(b"\x00")
    return b""


def _jpeg_size(data: bytes) -> bytes:
    """Return the bytes of a JPEG that hold its height and width."""
    at = _JPEG_BEGIN
    while at + _JPEG_HEAD <= len(data) and data[at] == _JPEG_MARK:
        if data[at + 1] in _JPEG_FRAMES:
            return data[at + 5 : at + 9]
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return b""


class Repeats:
    """Tells what a camera sends again after a reconnect: some send their last group of pictures to whoever asks.

    Key frames are compared by their bytes with the last ones before the cut. Each of those is found once, so a camera
    that is frozen, and sends equal key frames, is not left out for long.
    """

    def __init__(self) -> None:
        self._latest: deque[bytes] = deque(maxlen=_REPEATED_KEYS)
        self._before: set[bytes] = set()

    def reconnected(self) -> None:
        """Compare with what came up to now."""
        self._before = set(self._latest)

    def is_again(self, key: Packet[VideoStream]) -> bool:
        """Return whether a key frame is one that came before the cut; so is all up to the next key frame."""
        digest = hashlib.blake2b(memoryview(key), digest_size=16).digest()
        if digest in self._before:
            self._before.discard(digest)
            return True
        self._before = set()  # what is new ends the repetition
        self._latest.append(digest)
        return False
