"""The size of an image from its header, without decoding a pixel.

An image file of a few kilobytes may declare 20,000 x 20,000 pixels, which take
more than a gigabyte of memory, so the size is checked before decoding. Formats
are recognised by their first bytes, not by the file's name. Pillow reads the
headers; OpenCV decodes images that pass.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

from PIL import Image

Size = tuple[int, int]
"""Width and height in pixels, as stored: before the rotation that EXIF data may require."""

FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")
"""Formats that Pillow may open and OpenCV decodes. WebP is read without Pillow, see `_webp`."""

_HEAD_BYTES = 32

# Pillow would refuse a large image without giving its size. Callers compare the size with SENTINEL_MAX_PIXELS.
Image.MAX_IMAGE_PIXELS = None


def image_size(file: BinaryIO) -> Size | None:
    """Return the size in an image's header; None if the format is unknown or the header is truncated.

    Parameters
    ----------
    file : seekable, binary
    """
    file.seek(0)
    head = file.read(_HEAD_BYTES)
    file.seek(0)
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return _webp(head)
    try:
        with Image.open(file, formats=FORMATS) as image:
            return image.size
    except Exception:  # Pillow's parsers raise SyntaxError, KeyError, struct.error, OSError and more
        return None


def _webp(head: bytes) -> Size | None:
    """Parse the size of a WebP image; Pillow would allocate the whole canvas twice before it returns the size."""
    kind = head[12:16]
    if len(head) < _HEAD_BYTES - 2:
        return None
    if kind == b"VP8X":  # the canvas: each side minus one, in 24 bits
        return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    if kind == b"VP8L":  # each side minus one, in 14 bits
        (bits,) = struct.unpack("<I", head[21:25])
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":  # 14 bits per side, and two for scaling
        width, height = struct.unpack("<HH", head[26:30])
        return width & 0x3FFF, height & 0x3FFF
    return None
