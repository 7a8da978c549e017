"""The size of an image from its first bytes, without decoding a pixel.

A picture of a few kilobytes may claim 20,000 x 20,000 pixels and more than a
gigabyte of memory, so its claim is read before a decoder sees it. Each format is
known by its own first bytes, whatever the file is called.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import BinaryIO

Size = tuple[int, int]
"""Width and height in pixels, as stored: before any turn that EXIF asks for."""

_HEAD_BYTES = 64 * 1024  # where the boxes of AVIF and JPEG 2000, and the text of PPM, say their size
_MOST_SEGMENTS = 1000  # of a JPEG, before its frame header: real ones have a dozen
_MOST_TAGS = 4096  # of a TIFF directory: real ones have twenty


def image_size(file: BinaryIO) -> Size | None:
    """Return the size that an image's header claims; None if it is no image known here, or cut short.

    Parameters
    ----------
    file : seekable, binary
    """
    file.seek(0)
    head = file.read(32)
    for is_format, read_size in _FORMATS:
        if is_format(head):
            try:
                return read_size(file, head)
            except (struct.error, ValueError, IndexError):
                return None
    return None


def _png(_: BinaryIO, head: bytes) -> Size:
    width, height = struct.unpack(">II", head[16:24])
    return width, height


def _bmp(_: BinaryIO, head: bytes) -> Size:
    (header_bytes,) = struct.unpack("<I", head[14:18])
    if header_bytes == 12:  # the OS/2 header, the only one with 16-bit sizes
        width, height = struct.unpack("<HH", head[18:22])
    else:
        width, height = struct.unpack("<ii", head[18:26])
    return abs(width), abs(height)  # a negative height: rows from the top


def _webp(_: BinaryIO, head: bytes) -> Size:
    kind = head[12:16]
    if kind == b"VP8X":  # the canvas, each side less one in 24 bits
        return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    if kind == b"VP8L":  # each side less one in 14 bits
        (bits,) = struct.unpack("<I", head[21:25])
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":  # 14 bits a side, two more for scaling
        width, height = struct.unpack("<HH", head[26:30])
        return width & 0x3FFF, height & 0x3FFF
    raise ValueError(kind)


def _jpeg(file: BinaryIO, _: bytes) -> Size:
    """Walk over the segments (thumbnails lie inside them) to the frame header."""
    file.seek(2)
    for _segment in range(_MOST_SEGMENTS):
        marker = file.read(2)
        while marker[1:] == b"\xff":  # fill bytes
            marker = marker[1:] + file.read(1)
        (length,) = struct.unpack(">H", file.read(2))
        if 0xC0 <= marker[1] <= 0xCF and marker[1] not in {0xC4, 0xC8, 0xCC}:  # tables and extensions share the range
            _, height, width = struct.unpack(">BHH", file.read(5))
            return width, height
        if marker[0] != 0xFF or marker[1] == 0xDA:  # the scan: a frame header should have come before it
            break
        file.seek(length - 2, 1)
    raise ValueError("no frame header")


def _tiff(file: BinaryIO, head: bytes) -> Size:
    """Read the first directory, of a classic or a Big TIFF."""
    order = "<" if head[:2] == b"II" else ">"
    big = struct.unpack(order + "H", head[2:4])[0] == 43
    (start,) = struct.unpack(order + ("Q" if big else "I"), head[8:16] if big else head[4:8])
    file.seek(start)
    (count,) = struct.unpack(order + ("Q" if big else "H"), file.read(8 if big else 2))
    entry, value = (20, 12) if big else (12, 8)
    found: dict[int, int] = {}
    for _ in range(min(count, _MOST_TAGS)):
        row = file.read(entry)
        tag, kind = struct.unpack(order + "HH", row[:4])
        if tag in {256, 257}:  # ImageWidth, ImageLength: 16 or 32 bits, at the start of the value
            found[tag] = struct.unpack(
                order + ("H" if kind == 3 else "I"), row[value : value + (2 if kind == 3 else 4)]
            )[0]
    return found.get(256, 0), found.get(257, 0)


def _portable(file: BinaryIO, _: bytes) -> Size:
    file.seek(0)
    words: list[bytes] = []
    for line in file.read(_HEAD_BYTES).split(b"\n"):
        words += line.split(b"#")[0].split()
        if len(words) > 2:
            break
    return int(words[1]), int(words[2])


def _jpeg2000(file: BinaryIO, _: bytes) -> Size:
    file.seek(0)
    head = file.read(_HEAD_BYTES)
    at = head.index(b"ihdr") + 4
    height, width = struct.unpack(">II", head[at : at + 8])
    return width, height


def _avif(file: BinaryIO, _: bytes) -> Size:
    """Return the largest of the sizes given: thumbnails and alpha planes have theirs too."""
    file.seek(0)
    head = file.read(_HEAD_BYTES)
    sizes = [struct.unpack(">II", piece[4:12]) for piece in head.split(b"ispe")[1:] if len(piece) >= 12]
    return max(sizes, key=lambda size: size[0] * size[1])


_FORMATS: tuple[tuple[Callable[[bytes], bool], Callable[[BinaryIO, bytes], Size]], ...] = (
    (lambda head: head.startswith(b"\x89PNG\r\n\x1a\n"), _png),
    (lambda head: head.startswith(b"\xff\xd8"), _jpeg),
    (lambda head: head.startswith(b"BM"), _bmp),
    (lambda head: head.startswith(b"RIFF") and head[8:12] == b"WEBP", _webp),
    (lambda head: head[:4] in {b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"}, _tiff),
    (lambda head: head[:1] == b"P" and head[1:2] in {b"5", b"6"} and head[2:3].isspace(), _portable),
    (lambda head: head[4:12] == b"jP  \r\n\x87\n", _jpeg2000),
    (lambda head: head[4:12] in {b"ftypavif", b"ftypavis"}, _avif),
)
